"""The origin of a release: what the command line says of it, and the branches that it goes to."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, replace
from typing import TYPE_CHECKING

from importer.cache.branches import release_branch
from importer.errors import ImporterError
from importer.fetch.complaint import shown
from importer.release.source_name import SourceName
from layers.architecture import go_arch
from layers.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from importer.commit.target import Target
    from importer.fetch.skopeo import Skopeo
    from layers.limits import Limits
    from layers.lists.detect import ListRules
    from layers.release.release import Release

# A release controller's URL. `{suffix}` is "-ARCH" on all architectures but amd64, whose streams
# have none.
OPENSHIFT = (
    "https://{arch}.ocp.releases.ci.openshift.org/api/v1/releasestream/{stream}{suffix}/latest"
)


@frozen
class ReleaseOrigin:
    """The origin of releases: sources and a controller's stream, or a lock file.

    `controller` is a template of URLs; a release of its stream has to be in one of `phases`.
    `lists` are the rules for local lists. `arches` are the architectures of --arch; if empty, the
    sources name them. `only` and `exclude` are patterns of component names. `name` overrides the
    release's own name.
    """

    _: KW_ONLY
    names: tuple[SourceName, ...]
    stream: str
    controller: str
    phases: frozenset[str]
    lists: ListRules
    locked: Path | None
    arches: tuple[str, ...]
    only: tuple[str, ...]
    exclude: tuple[str, ...]
    name: str
    limits: Limits
    skopeo: Skopeo

    def architectures(self) -> tuple[str, ...]:
        """Return the architectures to import; `("",)` takes the source's own.

        Raise ImporterError if a source is for an architecture that --arch does not name.
        """
        named = dict.fromkeys(name.arch for name in self.names if name.arch)
        if self.arches:
            _check_asked(self.arches, named)
        return self.arches or tuple(named) or ((host_arch(),) if self.stream else ("",))

    def release(self, release: Release) -> Release:
        """Return the sources' release with the name and the components that are asked for."""
        chosen = release.chosen(self.only, self.exclude)
        if not self.name:
            return chosen
        return replace(chosen, name=self.name, version=chosen.version or self.name)


def host_arch() -> str:
    """Return this machine's architecture, by its Go name."""
    return go_arch(os.uname().machine)


def _check_asked(arches: tuple[str, ...], named: dict[str, None]) -> None:
    for arch in named:
        if arch not in arches:
            raise ImporterError(
                f"a source is for {arch}, which is not asked for", hint=f"add --arch {arch}"
            )


def stream_url(template: str, stream: str, arch: str) -> str:
    """Return the URL of a controller's stream. Raise ImporterError if the template has unknown
    fields."""
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


def release_branches(target: Target, releases: Sequence[Release]) -> list[tuple[str, str | None]]:
    """Return each release's branch, and the operating system's for it, None without --onto.
    --branch and --onto may hold `{arch}`.

    Raise ImporterError if a release has neither --branch nor a name, if two releases have one
    branch, or one operating system, or if a branch is both.
    """
    branches = [_release_branch(target, release) for release in releases]
    if len(set(branches)) < len(branches):
        raise ImporterError(
            "two architectures would go to one branch",
            hint="a --branch for several architectures has {arch} in its name",
        )
    if target.onto is None:
        return [(branch, None) for branch in branches]
    if len(releases) > 1 and "{arch}" not in target.onto:
        raise ImporterError(
            "two architectures would go into one operating system",
            hint="an --onto for several architectures has {arch} in its name",
        )
    bases = [target.onto.replace("{arch}", release.arch) for release in releases]
    shared = set(bases) & set(branches)
    if shared:
        raise ImporterError(
            f"{shared.pop()} would be both --onto and --branch",
            hint="--onto stays as it is: --branch has to be another",
        )
    return [*zip(branches, bases, strict=True)]


def _release_branch(target: Target, release: Release) -> str:
    if target.branch is not None:
        return target.branch.replace("{arch}", release.arch)
    name = release.stream or release.name or release.version
    if not name:
        raise ImporterError(
            "no source names the release", hint="name it by --release, or a --branch for it"
        )
    return release_branch(name, release.arch)
