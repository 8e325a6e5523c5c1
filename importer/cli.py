"""The command line: the only place that prints a result, and that exits."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from importer import options, process
from importer.layer import LayerOptions
from importer.pipeline import Form, Job, import_images
from importer.progress import for_terminal
from layers.errors import Fault
from layers.limits import Limits
from layers.reference import ImageName, Reference
from layers.tree import DeviceNodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.result import Result

_LIMITS = Limits()
_UNCHANGED = 77  # as rpm-ostree says it


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="import-image")
@click.argument("references", metavar="REF...", nargs=-1, required=True)
@click.option(
    "--form",
    type=click.Choice([form.value for form in Form]),
    default=Form.STORE.value,
    help="store: a containers-storage tree of the images; layers: the layers' branches alone.",
)
@click.option(
    "--prefix",
    metavar="DIR",
    default="/usr/lib/containers/storage",
    show_default=True,
    help="Where the store lies in the commit.",
)
@click.option("--name", metavar="NAME", help="The image's name in the store.")
@click.option(
    "--device-nodes",
    type=click.Choice([choice.value for choice in DeviceNodes]),
    default=DeviceNodes.AUTO.value,
    help="auto: leave out those below /dev, refuse others; skip: leave out all; error: refuse all.",
)
@click.option(
    "--max-layer-size",
    type=options.Size(),
    default=f"{_LIMITS.size >> 30}G",
    show_default=True,
    help="Refuse a layer that unpacks to more.",
)
@click.option(
    "--max-layer-entries",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    default=_LIMITS.entries,
    show_default=True,
    help="Refuse a layer that has more files.",
)
@options.common
def import_image(references: tuple[str, ...], **values: Any) -> None:
    """Import container images into an ostree repo.

    REF is registry/name@sha256:DIGEST or registry/name:TAG, or TRANSPORT:... as skopeo
    writes it. Each layer goes to a branch of its own, and the images to a branch with a
    store that podman and CRI-O use as an additional image store.
    """
    _run(lambda: _import(references, values), values)


def _import(references: tuple[str, ...], values: dict[str, Any]) -> Result:
    job = Job(
        repo=values["repo"],
        references=tuple(dict.fromkeys(Reference.parse(text) for text in references)),
        name=_name(references, values["name"]),
        skopeo=options.skopeo(values),
        form=Form(values["form"]),
        branch=values["branch"],
        prefix=_prefix(values["prefix"]),
        layer_options=LayerOptions(DeviceNodes(values["device_nodes"]), _limits(values)),
        subject=values["subject"],
        timestamp=values["timestamp"],
        signing=options.signing(values),
    )
    return import_images(job, for_terminal(quiet=values["quiet"]))


def _limits(values: dict[str, Any]) -> Limits:
    return Limits(values["max_layer_size"], values["max_layer_entries"])


def _name(references: tuple[str, ...], name: str | None) -> ImageName | None:
    if name is not None and len(references) > 1:
        raise click.UsageError("--name is for a single image")
    return ImageName.parse(name) if name is not None else None


def _prefix(prefix: str) -> str:
    names = prefix.split("/")[1:]
    if not prefix.startswith("/") or any(name in ("", ".", "..") for name in names):
        raise click.BadParameter("an absolute path without '.' and '..'", param_hint="--prefix")
    return prefix


def _run(work: Callable[[], Result], values: dict[str, Any]) -> NoReturn:
    """Print the result, or the error as one line and a hint; exit as the README says."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        result = work()
        _print(result, as_json=values["as_json"])
    except Fault as error:
        _say(error)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
    sys.exit(_UNCHANGED if result.unchanged and values["unchanged_exit_77"] else 0)


def _print(result: Result, *, as_json: bool) -> None:
    document = result.document()
    text = json.dumps(document, indent=2) if as_json else "\n".join(result.lines())
    click.echo(text)


def _say(error: Fault) -> None:
    click.echo(f"error: {error}", err=True)
    if error.advice:
        click.echo(f"hint: {error.advice}", err=True)


def _leave(number: int, _frame: object) -> None:
    """At once, and by the signal, as a shell expects it of what it interrupts.

    Threads may be anywhere in libostree; an import that is cut off anywhere leaves a
    consistent repo, so there is nothing to wait for.
    """
    process.kill_all()
    with suppress(OSError):
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h\n")  # the cursor, which a progress bar hides
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
