"""The command import-release."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from importer.cli.finish import Answer, answer, end, imported
from importer.cli.messages import log_line, progress_for
from importer.cli.named_images import pinned, read_lists
from importer.cli.options.given import Given, command
from importer.cli.options.images import Lists
from importer.cli.options.output import Output, Rehearsal
from importer.cli.options.registry import Access
from importer.cli.options.release import ReleaseReport, ReleaseResult, ReleaseSources
from importer.cli.options.result import CopyOptions
from importer.cli.targets import FETCH, IMPORT, credentials, import_job, layer_options, skopeo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.fetch.skopeo import Skopeo
    from importer.release.files import FileUpdate
    from importer.release.origin import ReleaseOrigin
    from importer.run.import_all import ImportJob
    from layers.release.report import Report


_EXAMPLES = """
# The images of a MicroShift release file:
import-release --repo /srv/repo --branch microshift/images release-x86_64.json

# The newest nightly for two architectures; the last 14 are kept:
import-release --repo /srv/repo --stream 4.20.0-0.nightly \\
    --arch amd64 --arch arm64 --authfile pull-secret.json --keep 14

# Is there a newer nightly, and what changed in it?
import-release --repo /srv/repo --stream 4.20.0-0.nightly --dry-run
"""


@command(
    "import-release",
    ReleaseSources,
    ReleaseResult,
    *FETCH,
    *IMPORT,
    ReleaseReport,
    examples=_EXAMPLES,
)
def import_release(given: Given) -> None:
    """Import all images of a release, and tell what changed since the last one.

    SOURCE is a MicroShift release file, a file of `oc adm release info -o json`, an
    ImageStream, a list of references, `-` for one of these from standard input, a URL of one
    or of a release controller, the pullspec of a release payload, or REF!/PATH for a file of
    these in an image. Several make one release. ARCH=SOURCE is for one architecture alone.
    """
    end(lambda: _work(given), log_json=given(Output).log_json)


def _work(given: Given) -> Answer:
    result, repo = given(ReleaseResult), given(CopyOptions).repo
    if result.diff is not None:
        return _diff(given, repo, *result.diff)
    job = _job(given, _origin(given))
    return _plan(given, job) if given(Rehearsal).dry_run else _import(given, job)


def _diff(given: Given, repo: Path | None, old: str, new: str) -> Answer:
    from importer.release.compare import diff_releases

    result = diff_releases(repo, _origin(given), old, new, progress_for(given(Output)))
    reports = result.reports()
    text = _markdown(given, reports) or _for_people(reports, tty=sys.stdout.isatty())
    return answer(given, result, text)


def _plan(given: Given, job: ImportJob) -> Answer:
    from importer.run.dry_run import plan_import

    plan = plan_import(job, progress_for(given(Output)))
    reports = plan.reports()
    files = [f"{path} would change" for path in plan.updated]
    people = [*_for_people(reports, tty=sys.stdout.isatty()), *files, *plan.lines()]
    text = _markdown(given, reports) or people
    return answer(given, plan, text, incomplete=plan.incomplete)


def _import(given: Given, job: ImportJob) -> Answer:
    from importer.run.release_result import reports as release_reports

    messages, lists = given(Output), given(Lists)
    pinning = read_lists(lists)[1] if lists.pin is not None else None
    result = imported(job, progress_for(messages))
    if pinning is not None:
        pinning.write(pinned(result))
    reports = release_reports(result)
    files = [f"{path} was changed" for path in result.updated]
    aside = [] if messages.quiet else _aside(reports, files, log_json=messages.log_json)
    printed = answer(given, result, _markdown(given, reports), incomplete=result.incomplete)
    return replace(printed, aside="\n".join(aside))


def _job(given: Given, origin: ReleaseOrigin) -> ImportJob:
    from importer.release.files import FilesToWrite
    from importer.sources.release import ReleaseSource

    result = given(ReleaseResult)
    files = FilesToWrite(result.lock, tuple(_updates(result)), result.image_references)
    job = import_job(given, ReleaseSource(origin, files), result.branch)
    return replace(
        job,
        target=replace(job.target, keep_images=result.keep_images),
        keep_going=result.keep_going,
        keep=result.keep,
        files=files,
    )


def _origin(given: Given) -> ReleaseOrigin:
    from importer.release.origin import OPENSHIFT, ReleaseOrigin
    from importer.release.source_name import SourceName

    sources = given(ReleaseSources)
    return ReleaseOrigin(
        names=(
            *map(SourceName.parse, sources.sources),
            *(SourceName.parse(str(path)) for path in given(Lists).lists),
        ),
        stream=sources.stream or "",
        controller=sources.controller or OPENSHIFT,
        phases=frozenset(sources.phases),
        lists=given(Lists).rules,
        locked=sources.locked,
        arches=tuple(dict.fromkeys(sources.arches)),
        only=sources.only,
        exclude=sources.exclude,
        name=sources.name or "",
        limits=layer_options(given).limits,
        skopeo=_skopeo(given),
    )


def _skopeo(given: Given) -> Skopeo:
    from importer.fetch.skopeo import refuse_unnamed
    from importer.fetch.skopeo_files import FORM, check_readable
    from importer.release.source_name import registries_of

    sources = given(ReleaseSources)
    registries = registries_of([*sources.sources, *(given(ReleaseResult).diff or ())])
    refuse_unnamed(credentials(given(Access)), registries)
    check_readable("--authfile", given(Access).authfile, FORM)  # a release names more
    return skopeo(given, registries)


def _markdown(given: Given, reports: list[Report]) -> list[str]:
    from layers.release.report import markdown

    report = given(ReleaseReport)
    return [markdown(reports, report.max_chars)] if report.as_markdown else []


def _aside(reports: list[Report], files: list[str], *, log_json: bool) -> list[str]:
    from layers.release.report import plain

    if log_json:
        return [log_line("info", line) for line in (*plain(reports), *files)]
    return [*_for_people(reports, tty=sys.stderr.isatty()), *files]


def _for_people(reports: list[Report], *, tty: bool) -> list[str]:
    if tty:
        from importer.render.rich_table import release_tables  # loads rich

        return release_tables(reports)
    from layers.release.report import plain

    return plain(reports)


def _updates(files: ReleaseResult) -> Iterator[FileUpdate]:
    """Yield the files in the order of the kinds.

    Raise click.UsageError if the components of a new file are not clear.
    """
    from importer.release.files import FileKind, FileUpdate

    kinds = {
        FileKind.RELEASE: files.updates,
        FileKind.KUSTOMIZATION: files.kustomizations,
        FileKind.CRIO: files.crio_files,
    }
    for kind, texts in kinds.items():
        for text in texts:
            yield FileUpdate.parse(kind, text)
    for text, components in zip(files.new_files, _components(files), strict=True):
        yield FileUpdate.parse(FileKind.NEW_RELEASE, text, components)


def _components(files: ReleaseResult) -> list[tuple[str, ...]]:
    found = [tuple(filter(None, map(str.strip, text.split(",")))) for text in files.components]
    if len(found) == 1:
        found *= len(files.new_files)
    if len(found) != len(files.new_files):
        raise click.UsageError(
            f"--new-json is given {len(files.new_files)} times, --components {len(found)} times:"
            " give --components once, or once for each --new-json"
        )
    return found
