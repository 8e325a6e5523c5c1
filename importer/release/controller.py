"""Release controllers: the URL of a stream, and the choice of one of its releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.fetch.complaint import shown

if TYPE_CHECKING:
    from layers.release.source import Answers, ControllerAnswer

# `{suffix}` is "-ARCH" on all architectures but amd64, whose streams have none.
OPENSHIFT = (
    "https://{arch}.ocp.releases.ci.openshift.org/api/v1/releasestream/{stream}{suffix}/latest"
)


def stream_url(template: str, stream: str, arch: str) -> str:
    """Return the URL of a stream. Raise ImporterError if the template has unknown fields."""
    suffix = "" if arch == "amd64" or stream.endswith(f"-{arch}") else f"-{arch}"
    url = template
    for field, value in (("arch", arch), ("stream", stream), ("suffix", suffix)):
        url = url.replace(f"{{{field}}}", value)
    if not template.startswith(("http://", "https://")) or "{" in url or "}" in url:
        raise ImporterError(
            f"{shown(template)!r} is no template of a URL",
            hint="its fields are {arch} {stream} {suffix}",
        )
    return url


def chosen(answers: Answers, phases: frozenset[str], origin: str) -> ControllerAnswer:
    """Return the newest release in one of these phases. Raise ImporterError if there is none."""
    for answer in answers:
        if answer.phase in phases:
            return answer
    found = ", ".join(f"{one.name} is {one.phase}" for one in answers[:3]) or "it names none"
    raise ImporterError(
        f"{origin}: no release is {' or '.join(sorted(phases))}: {found}",
        hint="--phase allows another",
    )
