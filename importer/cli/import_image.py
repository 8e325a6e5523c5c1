"""The command line of the imports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from importer.cache.omitted import tell_left_out
from importer.cli import options
from importer.cli.finish import Answer, end
from importer.cli.messages import progress_for
from importer.cli.types import NotEmpty, Place
from importer.graphroot.import_storage import StorageJob
from importer.graphroot.import_storage import import_storage as import_store
from importer.import_images import Job, import_images
from layers.oci.reference import ImageName, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.commit.result import Result
    from importer.progress import Progress

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_UNCHANGED = 77  # as rpm-ostree says it


@click.command(context_settings=_CONTEXT)
@click.version_option(package_name="import-image")
@click.argument("references", metavar="REF...", nargs=-1, required=True, type=NotEmpty())
@click.option("--name", metavar="NAME", type=NotEmpty(), help="The image's name in the store.")
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
        references=tuple(dict.fromkeys(Reference.parse(text) for text in references)),
        name=_name(references, values["name"]),
        skopeo=options.skopeo(values),
        **options.target(values),
    )
    return _told(import_images, job, values)


def _name(references: tuple[str, ...], name: str | None) -> ImageName | None:
    if name is not None and len(references) > 1:
        raise click.UsageError("--name is for a single image")
    return ImageName.parse(name) if name is not None else None


@click.command(context_settings=_CONTEXT)
@click.version_option(package_name="import-image")
@click.argument("graphroot", metavar="GRAPHROOT", type=Place(readable=False, path_type=Path))
@click.argument("names", metavar="[NAME]...", nargs=-1, type=NotEmpty())
@click.option(
    "--verified-only",
    is_flag=True,
    help="Refuse layers that have no tar-split record, which nothing can verify.",
)
@options.local
def import_storage(graphroot: Path, names: tuple[str, ...], **values: Any) -> None:
    """Import the images of an existing store into an ostree repo.

    GRAPHROOT is the directory of a containers-storage store (driver overlay), such as
    /var/lib/containers/storage, or of Docker's (overlay2), such as /var/lib/docker. It is
    only read. NAME is an image's name, digest or id, as podman takes it; without one, all
    complete images are imported. The layers go to the same branches as import-image's.
    """
    _run(lambda: _import_storage(graphroot, names, values), values)


def _import_storage(graphroot: Path, names: tuple[str, ...], values: dict[str, Any]) -> Result:
    job = StorageJob(
        graphroot=graphroot,
        names=names,
        verified_only=values["verified_only"],
        **options.target(values),
    )
    return _told(import_store, job, values)


def _told[J](work: Callable[[J, Progress], Result], job: J, values: dict[str, Any]) -> Result:
    progress = progress_for(values)
    result = work(job, progress)
    tell_left_out(result.layers, result.fetched, progress)
    return result


def _run(work: Callable[[], Result], values: dict[str, Any]) -> NoReturn:
    def answer() -> Answer:
        result = work()
        as_json = values["as_json"]
        text = json.dumps(result.document(), indent=2) if as_json else "\n".join(result.lines())
        unchanged = result.unchanged and values["unchanged_exit_77"]
        return Answer(text, _UNCHANGED if unchanged else 0)

    end(answer, log_json=values["log_json"])
