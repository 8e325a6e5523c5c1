"""The command import-release."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cli.credentials import credentials
from importer.cli.finish import INCOMPLETE, UNCHANGED, Answer, end
from importer.cli.messages import log_line, progress_for
from importer.cli.options.cluster import OnCluster
from importer.cli.options.declare import Given, command
from importer.cli.options.images import LayerRules, Lists, Platform
from importer.cli.options.labels import Labels, Signing
from importer.cli.options.output import Document, Messages, Rehearsal, Unchanged
from importer.cli.options.registry import Registry, Retries
from importer.cli.options.release import (
    ReleaseReport,
    ReleaseResult,
    ReleaseSources,
)
from importer.cli.options.release_files import ReleaseFiles
from importer.cli.options.result import Commit, OptionalRepo, StoreContents
from importer.cli.options.system import System
from importer.cli.options.work import Downloads, Jobs, Spool
from importer.cli.pinned_lists import pinned, pinning_for
from importer.cli.release_files import file_updates
from importer.cli.targets import layer_options, skopeo, target_of

if TYPE_CHECKING:
    from importer.fetch.skopeo import Skopeo
    from importer.release.dry_run import ReleaseDryRun
    from importer.release.job import Origin, ReleaseJob
    from importer.release.result import DiffResult
    from importer.release.result import ReleaseResult as Imported
    from layers.release.report import Report


@command(
    "import-release",
    ReleaseSources,
    Lists,
    Platform,
    LayerRules,
    OptionalRepo,
    ReleaseResult,
    ReleaseFiles,
    StoreContents,
    Commit,
    System,
    Labels,
    Signing,
    Registry,
    Retries,
    Jobs,
    Downloads,
    Spool,
    OnCluster,
    Messages,
    Document,
    Rehearsal,
    ReleaseReport,
    Unchanged,
)
def import_release(given: Given) -> None:
    """Import all images of a release, and tell what changed since the last one.

    SOURCE is a MicroShift release file, a file of `oc adm release info -o json`, an
    ImageStream, a list of references, `-` for one of these from standard input, a URL of one
    or of a release controller, or the pullspec of a release payload. Several make one
    release. ARCH=SOURCE is for one architecture alone.
    """
    end(lambda: _work(given), log_json=given(Messages).log_json)


def _work(given: Given) -> Answer:
    result, repo = given(ReleaseResult), given(OptionalRepo).repo
    if result.diff is not None:
        return _diff(given, repo, *result.diff)
    assert repo is not None  # a rule of ReleaseResult  # noqa: S101
    job = _job(given, repo)
    if result.check:
        return _check(given, job)
    return _plan(given, job) if given(Rehearsal).dry_run else _import(given, job)


def _diff(given: Given, repo: Path | None, old: str, new: str) -> Answer:
    from importer.release.check import diff_releases

    progress = progress_for(given(Messages))
    return _compared(given, diff_releases(repo, _origin(given), old, new, progress))


def _check(given: Given, job: ReleaseJob) -> Answer:
    from importer.release.check import check_release

    return _compared(given, check_release(job, progress_for(given(Messages))))


def _plan(given: Given, job: ReleaseJob) -> Answer:
    from importer.release.dry_run import plan_release

    result = plan_release(job, progress_for(given(Messages)))
    return _answer(given, result, result.lines())


def _import(given: Given, job: ReleaseJob) -> Answer:
    from importer.release.import_release import import_release as import_all

    messages, pinning = given(Messages), pinning_for(given(Lists))
    progress, began = progress_for(messages), time.monotonic()
    result = import_all(job, progress)
    progress.message(result.summary(time.monotonic() - began))
    if pinning is not None:
        pinning.write(pinned(result))
    reports = result.reports()
    files = [f"{path} was changed" for path in result.updated]
    aside = [] if messages.quiet else _aside(reports, files, log_json=messages.log_json)
    answer = _answer(given, result, _markdown(given, reports) or result.lines())
    return replace(answer, aside="\n".join(aside))


def _answer(
    given: Given, result: Imported | DiffResult | ReleaseDryRun, lines: list[str]
) -> Answer:
    as_json = given(Document).as_json
    text = json.dumps(result.document(), indent=2) if as_json else "\n".join(lines)
    if result.incomplete:
        return Answer(text, INCOMPLETE)
    unchanged = result.unchanged and given(Unchanged).unchanged_exit_77
    return Answer(text, UNCHANGED if unchanged else 0)


def _job(given: Given, repo: Path) -> ReleaseJob:
    from importer.release.job import ReleaseJob

    result = given(ReleaseResult)
    target = target_of(given, repo, result.branch)
    return ReleaseJob(
        target=replace(target, keep_images=result.keep_images),
        origin=_origin(given),
        keep_going=result.keep_going,
        keep=result.keep,
        lock=result.lock,
        files=file_updates(given),
        image_references=given(ReleaseFiles).image_references,
    )


def _origin(given: Given) -> Origin:
    from importer.release.controller import OPENSHIFT
    from importer.release.job import Origin
    from importer.release.sources import SourceName

    sources = given(ReleaseSources)
    return Origin(
        names=(
            *(SourceName.parse(text) for text in sources.sources),
            *(SourceName(str(path)) for path in given(Lists).lists),
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
    from importer.fetch.credentials import refuse_unnamed
    from importer.release.sources import registries_of

    sources = given(ReleaseSources)
    registries = registries_of([*sources.sources, *(given(ReleaseResult).diff or ())])
    refuse_unnamed(credentials(given(Registry)), registries)
    return skopeo(given, given(Retries).retry_times, registries)


def _compared(given: Given, result: DiffResult) -> Answer:
    reports = result.reports()
    files = [f"{path} would change" for path in result.updated]
    text = _markdown(given, reports) or [*_for_people(reports, tty=sys.stdout.isatty()), *files]
    return _answer(given, result, text)


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
    from importer.render.release_table import rendered
    from layers.release.report import plain

    return rendered(reports) if tty else plain(reports)
