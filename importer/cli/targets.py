"""Make an ImportJob and a Skopeo of the options that several commands share."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from stat import S_IROTH, S_ISREG
from typing import TYPE_CHECKING

import click

from importer.cli.config import user_directory
from importer.cli.messages import log_line
from importer.cli.options.images import ArchitectureOption, LayerRules, Lists, Platform
from importer.cli.options.output import Output, Rehearsal, Unchanged
from importer.cli.options.registry import Access, KeepSignatures
from importer.cli.options.result import STDOUT, CommitMessage, CopyOptions, Shape, StoreContents
from importer.cli.options.rules import check_other_branch
from importer.cli.options.system import InSystem, LabelOptions, Signing, System
from importer.cli.options.work import Downloads, Jobs, OnCluster
from importer.cli.streams import say
from importer.commit.target import Form, Labelling, Target
from importer.errors import ImporterError
from importer.files.replacement import read_file
from importer.ingest.budget import Budget
from layers.errors import escaped
from layers.limits import LayerOptions, Limits
from layers.storage.layer_id import Whiteouts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.cli.options.given import Given
    from importer.fetch.skopeo import Skopeo
    from importer.run.import_all import ImportJob, Source, StoreCopy


# The options of all commands that import images, and those of the ones that fetch images.
IMPORT = (
    *(LayerRules, CopyOptions, StoreContents, CommitMessage, System, InSystem),
    *(LabelOptions, Signing, Jobs, OnCluster, Output, Rehearsal, Unchanged),
)
FETCH = (Lists, Platform, Access, KeepSignatures, Downloads)

_REPO = "import-image/repo"
_TAR, _IMAGES = "tar:", ("oci:", "oci-archive:")


def import_job(given: Given, source: Source, branch: str | None) -> ImportJob:
    """Return the import of the source's images, by the options of all importers."""
    from importer.run.import_all import ImportJob

    return ImportJob(
        target=target(given, branch),
        source=source,
        executors=given(OnCluster).executors(given(Jobs).jobs),
        copy=copy_of(given),
    )


def target(given: Given, branch: str | None) -> Target:
    """Return where images go, by the options of all importers.

    Raise click.UsageError if the images would be committed to the branch of --onto.
    """
    contents, commit = given(StoreContents), given(CommitMessage)
    form = given(Shape).form if given.takes(Shape) else Form.STORE
    onto, system, labels = given(System).onto, given(InSystem), given(LabelOptions)
    check_other_branch(branch, onto)
    whiteouts, usual = _whiteouts(given, form)
    rules = given(LayerRules)
    return Target(
        repo=repo_of(given),
        form=form,
        flatten=contents.flatten,
        layer_ids=contents.layer_ids,
        whiteouts=whiteouts,
        usual_whiteouts=usual,
        branch=branch,
        replace_branch=contents.replace_branch,
        onto=onto,
        existing_store=system.existing_store,
        engines=system.engines,
        labelling=Labelling(labels.selinux_label, labels.selinux_policy),
        prefix=contents.prefix,
        layer_options=layer_options(given),
        total=Limits(rules.max_size, rules.max_entries),
        subject=commit.subject,
        timestamp=commit.timestamp,
        signing=given(Signing).keys,
        budget=_budget(given),
    )


def copy_of(given: Given) -> StoreCopy | None:
    """Return what writes to DIR, tar:FILE, tar:-, oci:DIR[:TAG] or oci-archive:FILE, None without
    --to.

    Raise click.UsageError for a place that cannot have the store, LayerError for an image's place
    without a path.
    """
    options = given(CopyOptions)
    to = options.to
    if to is None:
        return None
    from importer.copies.directory import DirectoryCopy
    from importer.copies.packed import ImageCopy, TarCopy
    from layers.oci.reference import Reference

    if to == STDOUT and sys.stdout.isatty():
        raise click.UsageError(f"--to={STDOUT} writes no tar to a terminal: name a file, or a pipe")
    if not to.startswith((_TAR, *_IMAGES)):
        return DirectoryCopy(Path(to), update=options.update, days=options.component_days)
    if options.component_days is not None:
        raise click.UsageError("--component-days is not for this --to: only DIR has components")
    if given(StoreContents).whiteouts is Whiteouts.QUOTED:
        raise click.UsageError("--whiteouts=quoted is not for this --to: only DIR has whiteouts")
    if to.startswith(_IMAGES):
        return ImageCopy(to, Reference.parse(to), given(Jobs).count)
    file = sys.stdout.buffer if to == STDOUT else Path(to.removeprefix(_TAR))
    return TarCopy(to, file, update=options.update)


def repo_of(given: Given) -> Path:
    """Return the repo that the command line names, or else the user's cache."""
    user_cache = user_directory(os.environ, "XDG_CACHE_HOME", ".cache")
    return given(CopyOptions).repo or user_cache / _REPO


def _budget(given: Given) -> Budget:
    jobs = given(Jobs).count
    if not given.takes(Downloads):
        return Budget(jobs=jobs)  # nothing is fetched
    fetches = given(OnCluster).cluster is None and not given(Rehearsal).dry_run
    asked = given(Downloads)
    downloads = asked.max_parallel_downloads if fetches else 0
    return Budget(downloads, jobs, asked.spool_size)


def _whiteouts(given: Given, form: Form) -> tuple[Whiteouts | None, Whiteouts]:
    """Return `whiteouts` and `usual_whiteouts` of the Target. A config file gives the usual ones;
    a copy of the store has none by itself.

    Raise click.UsageError if the command line has --whiteouts, and the form is not a store.
    """
    whiteouts = given(StoreContents).whiteouts
    if whiteouts is None or given.is_configured("whiteouts"):
        copied = given(CopyOptions).to is not None
        return None, whiteouts or (Whiteouts.NONE if copied else Whiteouts.QUOTED)
    if form is not Form.STORE:
        raise click.UsageError("--whiteouts is only for --form=store")
    return whiteouts, Whiteouts.QUOTED


def layer_options(given: Given) -> LayerOptions:
    """Return what a layer may hold."""
    rules = given(LayerRules)
    return LayerOptions(rules.device_nodes, Limits(rules.max_layer_size, rules.max_layer_entries))


def skopeo(given: Given, registries: Iterable[str]) -> Skopeo:
    """Return how to call skopeo, by the options of all commands that call it.

    Raise ImporterError if there are credentials, and the command line names several `registries`.
    """
    from importer.fetch.skopeo import Credentials, Skopeo, registries_file
    from importer.fetch.skopeo_files import FORM, check_readable

    certificates = "certificates are in files *.crt, *.cert and *.key, see containers-certs.d(5)"
    registry, platform, registries = given(Access), given(Platform), set(registries)
    conf = registry.registries_conf
    # A config's file is for all commands, also for one that asks no registry.
    if registries or not given.is_configured("authfile"):
        check_readable("--authfile", registry.authfile, FORM)
    check_readable("--cert-dir", registry.cert_dir, certificates, directory=True)
    check_readable("--policy", registry.policy, "see containers-policy.json(5)")
    if registry.creds_file is not None and not given(Output).quiet:
        _tell_of_readers(registry.creds_file, log_json=given(Output).log_json)
    return Skopeo(
        authfile=registry.authfile,
        creds=Credentials.for_one(credentials(registry), registries),
        cert_dir=registry.cert_dir,
        tls_verify=registry.tls_verify,
        registries_conf=registries_file(conf) if conf is not None else None,
        policy=registry.policy,
        insecure_policy=registry.insecure_policy,
        arch=given(ArchitectureOption).arch if given.takes(ArchitectureOption) else None,
        os=platform.os,
        variant=platform.variant,
        retry_times=registry.retry_times,
        timeout=registry.timeout,
        keep_signatures=given.takes(KeepSignatures) and given(KeepSignatures).keep_signatures,
    )


def _tell_of_readers(path: Path, *, log_json: bool) -> None:
    """Report a file of credentials that every user of the machine can read."""
    with suppress(OSError):  # reading it gives the user this error; "-" is standard input
        mode = path.stat().st_mode
        if S_ISREG(mode) and mode & S_IROTH:
            text = f"every user of this machine can read {path}: chmod go= keeps it to you"
            say(log_line("info", text) if log_json else escaped(text))


_MOST_BYTES = 64 << 10
_FORM = "the file has one line, USER:PASSWORD"


def credentials(given: Access) -> str | None:
    """Return USER[:PASSWORD], or None without the options.

    Raise ImporterError if the file of --creds-file cannot be read, or is not one line of text.
    """
    return given.creds if given.creds_file is None else _read(given.creds_file)


@cache  # standard input can be read once
def _read(path: Path) -> str:
    is_stdin = str(path) == "-"
    raw = _stdin() if is_stdin else read_file(path, _MOST_BYTES, pipes=True)
    name = "standard input" if is_stdin else str(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ImporterError(f"{name} has credentials that are not UTF-8", hint=_FORM) from None
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0].partition(":")[0]:
        what = "no credentials" if not text.strip() else "something else than USER:PASSWORD"
        raise ImporterError(f"{name} has {what}", hint=_FORM)
    return lines[0]


def _stdin() -> bytes:
    # sys.stdin is None if descriptor 0 was closed when Python started.
    return sys.stdin.buffer.read(_MOST_BYTES) if sys.stdin is not None else b""
