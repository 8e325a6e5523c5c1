"""Make a Target and a Skopeo of the options that several commands share."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from stat import S_IROTH, S_ISREG
from typing import TYPE_CHECKING

import click

from importer.cli.copies import repo_of
from importer.cli.messages import log_line
from importer.cli.options.images import LayerRules, Lists, Platform
from importer.cli.options.labels import LabelOptions, Signing
from importer.cli.options.output import Document, Messages, Rehearsal, Unchanged
from importer.cli.options.registry import Access, RegistryOptions, Retries
from importer.cli.options.result import (
    CommitMessage,
    FormOption,
    Shape,
    StoreContents,
    ToBranch,
)
from importer.cli.options.rules import check_other_branch
from importer.cli.options.store_copy import CopyOptions
from importer.cli.options.system import InSystem, System
from importer.cli.options.work import Downloads, Jobs, OnCluster, Spool
from importer.cli.streams import say
from importer.commit.target import Form, Labelling, Target
from importer.errors import ImporterError
from importer.files.replacement import read_file
from importer.ingest.budget import Budget
from layers.errors import escaped
from layers.limits import Limits
from layers.storage.layer_id import Whiteouts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.cli.options.given import Given
    from importer.fetch.skopeo import Skopeo
    from importer.ingest.executor import OpenExecutors
    from layers.tree.read_layer import LayerOptions


# The options of all commands that import images, and those of the ones that fetch images.
IMPORT = (
    *(LayerRules, StoreContents, CommitMessage, System, InSystem),
    *(LabelOptions, Signing),
    *(Jobs, OnCluster, Messages, Document, Rehearsal, Unchanged),
)
FETCH = (Lists, Platform, RegistryOptions, Retries, Downloads, Spool)


def target(given: Given) -> Target:
    """Return where images go, by the options of import-image and import-storage."""
    shape = given(Shape)
    branch = given(ToBranch).branch
    bundle = shape.form is FormOption.BUNDLE
    return target_of(given, repo_of(given), branch, shape.of_commit, bundle=bundle)


def target_of(
    given: Given,
    repo: Path,
    branch: str | None,
    form: Form = Form.STORE,
    *,
    bundle: bool = False,
) -> Target:
    """Return where images go, by the options of all importers.

    Raise click.UsageError if the images would be committed to the branch of --onto.
    """
    contents, commit = given(StoreContents), given(CommitMessage)
    onto, system = given(System).onto, given(InSystem)
    check_other_branch(branch, onto)
    whiteouts, usual = _whiteouts(given, form)
    return Target(
        repo=repo,
        form=form,
        bundle=bundle,
        flatten=contents.flatten,
        layer_ids=contents.layer_ids,
        whiteouts=whiteouts,
        usual_whiteouts=usual,
        branch=branch,
        replace_branch=commit.replace_branch,
        onto=onto,
        existing_store=system.existing_store,
        engines=system.engines,
        labelling=_labelling(given(LabelOptions)),
        prefix=contents.prefix,
        layer_options=layer_options(given),
        total=_total(given(LayerRules)),
        subject=commit.subject,
        timestamp=commit.timestamp,
        signing=given(Signing).keys,
        budget=_budget(given),
    )


def executors(given: Given) -> OpenExecutors:
    """Return what opens the executors that read layers."""
    return given(OnCluster).executors(given(Jobs).jobs)


def _labelling(labels: LabelOptions) -> Labelling:
    return Labelling(labels.selinux_label, labels.selinux_policy)


def _total(rules: LayerRules) -> Limits:
    return Limits(rules.max_size, rules.max_entries)


def _budget(given: Given) -> Budget:
    jobs = given(Jobs).count
    if not given.takes(Spool):
        return Budget(jobs=jobs)  # nothing is fetched
    return Budget(given(Downloads).max_parallel_downloads, jobs, given(Spool).spool_size)


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
    from layers.tree.read_layer import LayerOptions

    rules = given(LayerRules)
    return LayerOptions(rules.device_nodes, Limits(rules.max_layer_size, rules.max_layer_entries))


def skopeo(
    given: Given, retry_times: int, registries: Iterable[str], arch: str | None = None
) -> Skopeo:
    """Return how to call skopeo. `arch` is for images of several architectures.

    Raise ImporterError if there are credentials, and the command line names several `registries`.
    """
    made = skopeo_of(given, given(RegistryOptions), retry_times, registries, arch)
    return replace(made, keep_signatures=given(RegistryOptions).keep_signatures)


def skopeo_of(
    given: Given, registry: Access, retry_times: int, registries: Iterable[str], arch: str | None
) -> Skopeo:
    """Return how to call skopeo, by the options of all commands that call it."""
    from importer.fetch.skopeo import Credentials, Skopeo
    from importer.fetch.skopeo_files import FORM, check_readable

    certificates = "certificates are in files *.crt, *.cert and *.key, see containers-certs.d(5)"
    check_readable("--authfile", registry.authfile, FORM)
    check_readable("--cert-dir", registry.cert_dir, certificates, directory=True)
    check_readable("--policy", registry.policy, "see containers-policy.json(5)")
    if registry.creds_file is not None and not given(Messages).quiet:
        _tell_of_readers(registry.creds_file, log_json=given(Messages).log_json)
    platform = given(Platform)
    return Skopeo(
        authfile=registry.authfile,
        creds=Credentials.for_one(credentials(registry), registries),
        cert_dir=registry.cert_dir,
        tls_verify=registry.tls_verify,
        registries_conf=_registries_conf(registry.registries_conf),
        policy=registry.policy,
        insecure_policy=registry.insecure_policy,
        arch=arch,
        os=platform.os,
        variant=platform.variant,
        retry_times=retry_times,
        timeout=registry.timeout,
    )


def _registries_conf(given: Path | None) -> str | None:
    if given is None:
        return None
    from importer.fetch.skopeo import registries_file

    return registries_file(given)


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
