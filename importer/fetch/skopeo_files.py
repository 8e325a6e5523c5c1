"""The files that skopeo reads: credentials, certificates and the signature policy.

skopeo ignores a file of credentials or a directory of certificates that does not exist, and asks
the registry without them. Format of the credentials: containers-auth.json(5).
"""

from __future__ import annotations

import json
import os
from errno import EACCES
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.files.presence import is_present
from importer.files.replacement import read_file
from layers.document import MAX_DOCUMENT_SIZE
from layers.oci.signature_policy import accepts_anything

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.fetch.skopeo import Skopeo
    from layers.oci.reference import Reference

# Paths where skopeo looks for the policy, and where newer versions may (container-libs,
# image/pkg/...). Each file that exists has to accept the image, since we do not know which of them
# this skopeo uses.
_POLICIES = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")
_OWN_POLICY = "containers/policy.json"
FORM = "the credentials are in a file as `skopeo login --authfile=FILE` writes it"


def check_readable(option: str, path: str | None, hint: str, *, directory: bool = False) -> None:
    """Raise ImporterError if there is no readable file, or directory, at the option's path."""
    if path is None:
        return
    kind, reason = "directory" if directory else "file", ""
    try:
        if S_ISDIR(os.stat(path).st_mode) is not directory:  # noqa: PTH116
            reason = "it is no directory" if directory else "it is a directory"
        elif not os.access(path, os.R_OK, effective_ids=True):
            reason = os.strerror(EACCES)
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise ImporterError(f"{option}: no {kind} can be read at {path}: {reason}", hint=hint)


def login_hint(registry: str, authfile: str | None, *, creds: bool) -> str:
    """Return what to do about a registry that wants other credentials than it got, or some."""
    if creds:
        return (
            f"{registry} refused the credentials of --creds or --creds-file: are they right, and"
            " may this user read the repository?"
        )
    option = f" --authfile={authfile}" if authfile else ""
    login = f"`skopeo login{option} {registry}`"
    for path in [Path(authfile)] if authfile else _usual_files():
        if _has_entry(path, registry):
            return f"{registry} refused the credentials that {path} has for it: {login} renews them"
    if authfile:
        return f"{authfile} has no credentials for {registry}: {login} adds them"
    return f"log in with {login}, or give --authfile or --creds"


def _usual_files() -> Iterable[Path]:
    """Return the files in which skopeo looks without --authfile."""
    if given := os.environ.get("REGISTRY_AUTH_FILE"):
        return [Path(given)]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.geteuid()}"
    home = Path(os.environ.get("HOME", "/"))
    return [Path(runtime) / "containers/auth.json", home / ".docker/config.json"]


def _has_entry(path: Path, registry: str) -> bool:
    """Return whether the file has credentials for the registry, or for a part of it. A file that
    cannot be read has none: the message is on the registry."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_DOCUMENT_SIZE))
        keys = {*document.get("auths", {}), *document.get("credHelpers", {})}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False
    # Docker's keys may be URLs; containers-auth.json(5) also has HOST/NAMESPACE.
    hosts = (str(key).removeprefix("https://").removeprefix("http://") for key in keys)
    names = {registry, "index.docker.io"} if registry == "docker.io" else {registry}
    return any(host.partition("/")[0] in names for host in hosts)


def has_to_ask(skopeo: Skopeo, reference: Reference) -> bool:
    """Return whether skopeo has to check the image against the policy.

    An image in the repo may have been imported under another policy, so each import checks again,
    unless the policy in force accepts anything.
    """
    if skopeo.insecure_policy:
        return False
    policies = [raw for raw in map(_policy, _policy_files(skopeo)) if raw is not None]
    return not policies or not all(accepts_anything(raw, reference) for raw in policies)


def _policy_files(skopeo: Skopeo) -> list[Path]:
    if skopeo.policy is not None:
        return [Path(skopeo.policy)]
    homes = [Path.home() / ".config", Path(os.environ.get("XDG_CONFIG_HOME") or "/nonexistent")]
    return [home / _OWN_POLICY for home in homes] + [Path(place) for place in _POLICIES]


def _policy(path: Path) -> bytes | None:
    """Return the file, None if there is none, or b"" if it cannot be read: skopeo then reports
    why."""
    try:
        return read_file(path, MAX_DOCUMENT_SIZE) if is_present(path) else None
    except ImporterError:
        return b""
