"""Tell whether a signature policy accepts any image, so that skopeo need not check.

Source: containers-policy.json(5); github.com/containers/image signature/policy_config.go and
policy_eval.go (`requirementsForImageRef`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.document import parse_document
from layers.errors import LayerError

if TYPE_CHECKING:
    from layers.oci.reference import Reference

_ANYTHING = [{"type": "insecureAcceptAnything"}]
_TOP = {"default", "transports"}
# The keys of each requirement beside `type`; skopeo refuses a policy with any other key.
_SIGSTORE = "keyPath keyPaths keyData keyDatas fulcio pki signedIdentity"
_REKOR = "rekorPublicKeyPath rekorPublicKeyPaths rekorPublicKeyData rekorPublicKeyDatas"
_KEYS = {
    "insecureAcceptAnything": "",
    "reject": "",
    "signedBy": "keyType keyPath keyPaths keyData signedIdentity",
    "signedBaseLayer": "baseLayerIdentity",
    "sigstoreSigned": f"{_SIGSTORE} {_REKOR}",
}


def accepts_anything(raw: bytes, reference: Reference) -> bool:
    """Return whether the policy surely accepts the image unseen. Else skopeo has to decide."""
    try:
        policy = parse_document(raw, "the signature policy")
    except LayerError:
        return False
    transports = policy.get("transports", {})
    scopes = transports.get(reference.transport, {}) if isinstance(transports, dict) else None
    if policy.get("default") != _ANYTHING or not isinstance(scopes, dict):
        return False
    if not policy.keys() <= _TOP or not all(map(_is_valid, transports.values())):
        return False  # skopeo says why it refuses the policy
    return all(
        requirements == _ANYTHING or not _may_match(scope, reference)
        for scope, requirements in scopes.items()
    )


def _is_valid(scopes: object) -> bool:
    """Return whether skopeo could take the scopes of a transport, apart from the values of their
    requirements' keys."""
    return isinstance(scopes, dict) and all(
        isinstance(requirements, list) and requirements and all(map(_is_requirement, requirements))
        for requirements in scopes.values()
    )


def _is_requirement(value: object) -> bool:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(kind, str) or kind not in _KEYS:
        return False
    return value.keys() <= {"type", *_KEYS[kind].split()}


def _may_match(scope: str, reference: Reference) -> bool:
    """Return whether skopeo may look the image up by this scope.

    A docker scope is HOST[/PATH[:TAG or @DIGEST]] or *.DOMAIN. Other transports' scopes are paths
    with rules of their own, so any of them may match.
    """
    name = reference.name
    if reference.transport != "docker" or name is None:
        return True
    if scope.startswith("*."):
        return name.registry.partition(":")[0].endswith(scope[1:])
    return name.repository.startswith(scope) or scope.startswith(name.repository)
