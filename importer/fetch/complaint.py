"""Turn messages of skopeo and of libraries into errors: with a hint, and without passwords."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from importer.errors import FetchError, ImporterError
from importer.fetch.skopeo_files import FORM
from layers.errors import escaped

if TYPE_CHECKING:
    from importer.process import CommandError


_LOGRUS = r'level=fatal msg="((?:[^"\\]|\\.)*)"'
# Go's strconv.Quote, which JSON does not read: what an image's name or a registry says may be
# anything.
_ESCAPE = r"(?s)\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[01][0-9a-f]{7}|.)"
# What skopeo puts in front of a registry's answer; the source is in front already.
_REPEATED = 'Error parsing image name "{}": '
_POLICY = "see containers-policy.json(5), or give --policy or --insecure-policy"
_ARCHIVE = "is it an archive as `skopeo copy` or `podman save` write it?"
_CHANGED = "the registry, or something on the way, changed it; nothing was imported"
# Replaced by a hint that names the registry and tells whether it got credentials.
LOGIN = "log in with `skopeo login`, or give --authfile or --creds"
# Failures that a retry does not help against: text to look for in the messages of skopeo 1.18 and
# of 1.22, which differ, and a hint what to do instead.
_FINAL = (
    ("connect to the Docker daemon", "does it run? DOCKER_HOST names another than this machine's"),
    ("server gave HTTP response to HTTPS client", "for a registry without TLS: --tls-verify=false"),
    ("x509:", "give the registry's CA with --cert-dir, or --tls-verify=false"),
    ("getting username and password", FORM),
    ("unauthorized", LOGIN),
    ("authentication required", LOGIN),
    # The kernel's words, not a registry's; skopeo looks into registries.conf.d below HOME as well.
    (": permission denied", "is it, or the directory that HOME names, this user's?"),
    ("denied", LOGIN),
    ("manifest unknown", "there is no such tag or digest; `skopeo list-tags` lists the tags"),
    ("name unknown", "the registry has no repository of that name"),
    ("blob unknown", "the registry lacks what the manifest names; push the image again"),
    ("corrupted blob", _CHANGED),
    ("bytes in blob", _CHANGED),
    # containers/image internal/image/{unparsed,oci_index,digest_validation}.go
    ("does not match provided manifest digest", _CHANGED),
    ("does not match selected manifest digest", _CHANGED),
    ("does not match expected", _CHANGED),
    ("unsupported manifest MIME type", "an index can list images only, OCI's or docker's alike"),
    ("no such file or directory", "is the path right?"),
    ("is a directory", "is the path right?"),
    ("not a directory", "is the path right?"),
    ("invalid tar header", _ARCHIVE),
    ("untarring file", _ARCHIVE),
    ("loading tar component", _ARCHIVE),
    # containers/image docker/internal/tarfile/reader.go
    ("manifest.json: expected 1 item", "name one of its images: docker-archive:FILE:NAME:TAG"),
    ("Invalid source index", "the archive has fewer images; the first is @0"),
    ('Tag "', "the archive's manifest.json lists its images"),
    ("more than one image in oci", "name one by its tag: oci:DIR:TAG; index.json lists them"),
    (
        "no descriptor found for reference",
        "there is no such tag; the layout's index.json lists them",
    ),
    ("identifier is not an image", "`podman images` lists what the store has"),
    ("does not resolve to an image ID", "`podman images` lists what the store has"),
    ("no image found in", "the index lists other platforms; see --arch, --os and --variant"),
    ("is blocked in", "containers-registries.conf(5) of this machine, or of --registries-conf"),
    ("loading registries configuration", "see containers-registries.conf(5)"),
    ("no such host", "the registry's host name does not resolve"),
    ("policy.json", _POLICY),
    ("rejected by policy", _POLICY),
    # containers/image signature/policy_eval*.go, mechanism_gpgme.go, internal/sigstore_payload.go
    ("No signature verification policy", _POLICY),
    ("A signature was required", _POLICY),
    ("None of the signatures were accepted", _POLICY),
    ("Signature for identity", _POLICY),
    ("Signature for digest", _POLICY),
    ("Invalid GPG signature", _POLICY),
    ("signature verification failed", _POLICY),
)
_PASSING = (
    # The silent server may be the name server.
    ("dial tcp: lookup ", "the registry's host name does not resolve"),
    ("connection refused", "nothing listens there; is the registry up?"),
)


# Transports of files of this machine.
_FILES = ("containers-storage:", "dir:", "docker-archive:", "oci:", "oci-archive:")
# The proxy's error_code (protocol 0.2.8, skopeo 1.22) for errors that skopeo itself would retry.
# Its other codes say less than the message: "other" also covers a connection that was cut.
_RETRYABLE = "retryable"


def fetch_error(source: str, complaint: str, code: str = "") -> ImporterError:
    """Return skopeo's message as one line, with a hint; a FetchError if a retry may help.

    `code` is the proxy's error_code. Older proxies send none.
    """
    reasons: list[str] = re.findall(_LOGRUS, complaint)
    reason = re.sub(_ESCAPE, _unescaped, reasons[-1]) if reasons else complaint
    # Cut the text that is shown: an escape takes more characters than the byte it stands for.
    message = escaped(" ".join(reason.split()).removeprefix(_REPEATED.format(source)))[:1000]
    line, signs = f"{source}: {message}", message.replace(source, "")  # whatever the image's name
    hint = _hint(_FINAL, signs)
    if code != _RETRYABLE and (hint or source.startswith(_FILES)):
        return ImporterError(line, hint=hint)
    return FetchError(line, hint=hint or _hint(_PASSING, signs))


def failure(source: str, ended: CommandError) -> ImporterError:
    """Return the error of a skopeo that has ended: its message, or else its status."""
    if ended.stderr.strip():
        return fetch_error(source, ended.stderr)
    return FetchError(f"{source}: {ended.message}", hint=ended.hint)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return " " if code in "abfnrtv" else code  # spaces of whatever kind become one


def _hint(hints: tuple[tuple[str, str], ...], message: str) -> str:
    return next((hint for sign, hint in hints if sign in message), "")


# Of a URL, or at the beginning of what should be an image's reference.
_USER = r"((?:https?|docker)://|^(?=[^/?#]*:))([^/?#]*)@"


def shown(text: str) -> str:
    """Return the text without the user and password of any URL in it."""
    return re.sub(_USER, r"\1", text)


def scrubbed(message: str, url: str) -> str:
    """Return a library's message about a URL, without the URL's password."""
    from urllib.parse import unquote

    match = re.search(_USER, url)
    password = match[2].partition(":")[2] if match else ""
    for spelling in {password, unquote(password)} - {""}:
        message = message.replace(spelling, "***")
    return shown(message)
