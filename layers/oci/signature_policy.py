"""Tell whether a signature policy accepts any image, so that skopeo need not check.

Source: containers-policy.json(5); github.com/containers/image signature/policy_config.go and
policy_eval.go (`requirementsForImageRef`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.document import parse_document
from layers.errors import LayerError

if TYPE_CHECKING:
    from layers.document import Document
    from layers.oci.reference import Reference

_ANYTHING = [{"type": "insecureAcceptAnything"}]


def accepts_anything(raw: bytes, reference: Reference) -> bool:
    """Return whether the policy lets the image pass without looking at it.

    Return False where that is not certain: skopeo then decides.
    """
    try:
        policy = parse_document(raw, "the signature policy")
    except LayerError:
        return False
    transports = policy.get("transports", {})
    scopes = transports.get(reference.transport, {}) if isinstance(transports, dict) else None
    if policy.get("default") != _ANYTHING or not isinstance(scopes, dict):
        return False
    return all(_passes(scope, scopes, reference) for scope in scopes)


def _passes(scope: str, scopes: Document, reference: Reference) -> bool:
    return scopes[scope] == _ANYTHING or not _may_match(scope, reference)


def _may_match(scope: str, reference: Reference) -> bool:
    """Return whether the scope could be one that the image is looked up by.

    A docker scope is HOST[/PATH[:TAG or @DIGEST]] or *.DOMAIN. Other transports' scopes are paths
    with rules of their own, so any of them may match.
    """
    name = reference.name
    if reference.transport != "docker" or name is None:
        return True
    if scope.startswith("*."):
        return name.registry.partition(":")[0].endswith(scope[1:])
    return name.repository.startswith(scope) or scope.startswith(name.repository)
