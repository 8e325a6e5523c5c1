"""The command import-release."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer.cli import options
from importer.cli.finish import Answer, end
from importer.cli.messages import log_line, progress_for
from importer.cli.release_types import Architecture, BranchTemplate, Name, Seconds
from importer.cli.types import NotEmpty, Place
from importer.commit.target import Form
from importer.release.check import check_release, diff_releases
from importer.release.http import OPENSHIFT
from importer.release.import_release import import_release as import_all
from importer.release.job import Origin, ReleaseJob
from importer.release.sources import SourceName
from importer.render.release_table import rendered
from layers.release.report import markdown, plain

if TYPE_CHECKING:
    from importer.release.result import DiffResult, ReleaseResult
    from layers.release.report import Report

_TIMEOUT = 30.0
_RETRIES = 3
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_UNCHANGED = 77  # as rpm-ostree says it
_INCOMPLETE = 3


# In the place of those of the same name that import-image has.
_OTHERWISE = ("repo", "branch", "arch", "retry_times", "form", "bundle")


@click.command(context_settings=_CONTEXT)
@click.version_option(package_name="import-image")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=NotEmpty())
@click.option(
    "--stream", metavar="NAME", type=NotEmpty(), help="The newest release of a controller's stream."
)
@click.option(
    "--controller",
    metavar="URL",
    type=NotEmpty(),
    envvar="IMPORT_RELEASE_CONTROLLER",
    default=OPENSHIFT,
    help="Where streams are, with {arch}, {stream} and {suffix}.  [IMPORT_RELEASE_CONTROLLER]",
)
@click.option(
    "--phase",
    "phases",
    type=NotEmpty(),
    multiple=True,
    default=["Accepted"],
    show_default=True,
    help="Phases that a controller's release may be in; repeatable.",
)
@click.option(
    "--timeout",
    type=Seconds(),
    default=_TIMEOUT,
    show_default=True,
    help="Seconds that a controller may be silent.",
)
@click.option(
    "--arch",
    "arches",
    type=Architecture(),
    multiple=True,
    help="The architecture; repeatable, a branch for each.",
)
@click.option("--release", "name", type=Name(), help="What to call the release.")
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    type=NotEmpty(),
    help="Take these components; repeatable.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    type=NotEmpty(),
    help="Leave these components out; repeatable.",
)
@click.option("--keep-going", is_flag=True, help="Commit without the images that failed; exit 3.")
@click.option("--check", is_flag=True, help="Only tell whether there is something new.")
@click.option(
    "--diff",
    nargs=2,
    metavar="OLD NEW",
    type=NotEmpty(),
    help="Compare branches, commits or sources.",
)
@click.option(
    "--update-json",
    "updates",
    multiple=True,
    metavar="FILE",
    type=NotEmpty(),
    help="Put the images into this MicroShift release file; repeatable.",
)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Keep N releases on the branch."
)
@click.option("--lock", type=Place(path_type=Path), help="Write what was resolved to a file.")
@click.option(
    "--locked",
    type=Place(path_type=Path),
    help="Import what --lock has written; ask registries for blobs alone.",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="What changed, as Markdown.")
@click.option(
    "--max-chars", type=click.IntRange(min=200), metavar="N", help="Cut the Markdown to N."
)
@click.option(
    "--repo",
    "repo_path",
    envvar="OSTREE_REPO",
    show_envvar=True,
    type=Place(path_type=Path),
    help="The ostree repo; made in bare-user mode where there is none.",
)
@click.option(
    "--branch",
    "branch_name",
    type=BranchTemplate(),
    help="The branch to commit to, with {arch} for several.  [oci/release/STREAM/ARCH]",
)
@click.option(
    "--retry-times",
    "tries",
    type=click.IntRange(0, 100),
    default=_RETRIES,
    show_default=True,
    help="How often to try again what cannot be fetched.",
)
@options.common
def import_release(sources: tuple[str, ...], **values: Any) -> None:
    """Import all images of a release, and tell what changed since the last one.

    SOURCE is a MicroShift release file, a file of `oc adm release info -o json`, an
    ImageStream, a list of references, `-` for one of these from standard input, a URL of one
    or of a release controller, or the pullspec of a release payload. Several make one
    release. ARCH=SOURCE is for one architecture alone.
    """
    end(lambda: _work(sources, values), log_json=values["log_json"])


import_release.params = [one for one in import_release.params if one.name not in _OTHERWISE]


def _work(sources: tuple[str, ...], values: dict[str, Any]) -> Answer:
    _check_usage(sources, values)
    values |= {"repo": values["repo_path"], "branch": values["branch_name"], "arch": None}
    values |= {"form": Form.STORE.value, "bundle": False, "retry_times": values["tries"]}
    progress = progress_for(values)
    origin = _origin(sources, values)
    if values["diff"]:
        old, new = values["diff"]
        return _compared(diff_releases(values["repo"], origin, old, new, progress), values)
    job = ReleaseJob(
        origin=origin,
        keep_going=values["keep_going"],
        keep=values["keep"],
        lock=values["lock"],
        updates=tuple(_update(text) for text in values["updates"]),
        **options.target(values),
    )
    if values["check"]:
        return _compared(check_release(job, progress), values)
    result = import_all(job, progress)
    aside = [] if values["quiet"] else _aside(result.reports(), log_json=values["log_json"])
    answer = _answer(result, _markdown(result.reports(), values) or result.lines(), values)
    return replace(answer, aside="\n".join(aside))


def _answer(result: ReleaseResult | DiffResult, lines: list[str], values: dict[str, Any]) -> Answer:
    as_json = values["as_json"]
    text = json.dumps(result.document(), indent=2) if as_json else "\n".join(lines)
    if result.incomplete:
        return Answer(text, _INCOMPLETE)
    return Answer(text, _UNCHANGED if result.unchanged and values["unchanged_exit_77"] else 0)


def _check_usage(sources: tuple[str, ...], values: dict[str, Any]) -> None:
    named = bool(sources or values["stream"])
    if sum([named, bool(values["locked"]), bool(values["diff"])]) != 1:
        raise click.UsageError("name sources or a --stream, or --locked, or --diff")
    if values["repo_path"] is None and not values["diff"]:
        raise click.UsageError("--repo, or OSTREE_REPO, has to name the ostree repo")
    if values["locked"] and values["lock"]:
        raise click.UsageError("--lock and --locked exclude each other")
    if values["as_markdown"] and values["as_json"]:
        raise click.UsageError("--json and --markdown exclude each other")
    if values["max_chars"] and not values["as_markdown"]:
        raise click.UsageError("--max-chars is for --markdown")
    _check_asking(values)


def _check_asking(values: dict[str, Any]) -> None:
    """What only asks does not write."""
    asking = [name for name in ("check", "diff") if values[name]]
    writing = [name for name in ("lock", "keep", "updates", "keep_going") if values[name]]
    if asking and (writing or len(asking) > 1):
        raise click.UsageError(f"--{asking[0]} imports nothing, and goes with no such option")


def _origin(sources: tuple[str, ...], values: dict[str, Any]) -> Origin:
    target = options.target(values)
    return Origin(
        names=tuple(SourceName.parse(text) for text in sources),
        stream=values["stream"] or "",
        controller=values["controller"],
        phases=frozenset(values["phases"]),
        timeout=values["timeout"],
        locked=values["locked"],
        arches=tuple(dict.fromkeys(values["arches"])),
        only=values["only"],
        exclude=values["exclude"],
        name=values["name"] or "",
        limits=target["layer_options"].limits,
        skopeo=options.skopeo(values),
    )


def _update(text: str) -> tuple[str, Path]:
    name = SourceName.parse(text)
    return name.arch, Path(name.text)


def _compared(result: DiffResult, values: dict[str, Any]) -> Answer:
    reports = result.reports()
    text = _markdown(reports, values) or _for_people(reports, tty=sys.stdout.isatty())
    return _answer(result, text, values)


def _markdown(reports: list[Report], values: dict[str, Any]) -> list[str]:
    if not values["as_markdown"]:
        return []
    return [markdown(reports, values["max_chars"])]


def _aside(reports: list[Report], *, log_json: bool) -> list[str]:
    if log_json:
        return [log_line("info", line) for line in plain(reports)]
    return _for_people(reports, tty=sys.stderr.isatty())


def _for_people(reports: list[Report], *, tty: bool) -> list[str]:
    return rendered(reports) if tty else plain(reports)
