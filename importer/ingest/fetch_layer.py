"""One layer's files into the repo, in one transaction: read here, or by a worker process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.ingest.job import BlobJob
from importer.repo.libostree import faults
from layers.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.fetch.blobs import Blobs
    from importer.ingest.job import Job
    from importer.ingest.worker_pool import Reader, Readers
    from importer.progress import Advance
    from importer.repo.writer import Repo
    from layers.storage.image import ImageLayer
    from layers.tree.read_layer import LayerOptions, ReadLayer

    type Read = Callable[[Repo], ReadLayer]
    type Found = Callable[[ReadLayer], None]


@contextmanager
def lent_reader(repo: Repo, readers: Readers) -> Iterator[Reader | None]:
    """Lend a process that reads a layer; None where libostree itself has to write the files."""
    if not repo.writes_beside:
        yield None
    else:
        with readers.lent() as reader:
            yield reader


def run_job[T](repo: Repo, reader: Reader | None, job: Job[T], source: int, advance: Advance) -> T:
    """Do a job, such as to read a layer, and store its files in the repo's transaction.

    `source` is the descriptor that the job reads from, -1 if it needs none. `advance` is told of
    the bytes read, and may raise to stop the job.
    """
    if reader is None:
        return job.read(repo, source, advance)
    with faults("writing files"):
        done = reader.read(job, repo.new_place(), source, advance)
    repo.count_written(done.written_bytes)
    return done.found


def read_layer(repo: Repo, layer: ImageLayer, read: Read, found: Found) -> None:
    """Store a layer's files by `read`, in a transaction of their own.

    `found` is called with the layer once it is read; its files are durable on return. The caller
    keeps the repo locked until the layer has its branches: see `importer.cache.batch.LayerGroup`.
    """
    try:
        with repo.transaction():
            found(read(repo))
    except Fault as error:
        raise error.within(digest=str(layer.blob.digest)) from None


def fetch_layer(
    repo: Repo,
    blobs: Blobs,
    source: str,
    layer: ImageLayer,
    options: LayerOptions,
    readers: Readers,
    found: Found,
) -> int:
    """Fetch a layer's blob and store its files, as `read_layer` does.

    Fetching is tried again as often as the user allows. Return the bytes that the last attempt
    added to the repo.
    """
    job = BlobJob(layer, options, blobs.timeout)

    def read(own: Repo) -> ReadLayer:
        # The process first: who has opened a blob has somebody at the other end waiting.
        with (
            lent_reader(own, readers) as reader,
            blobs.pipe(source, layer.available) as (descriptor, advance),
        ):
            return run_job(own, reader, job, descriptor, advance)

    def attempt() -> int:
        own = repo.again()
        read_layer(own, layer, read, found)
        return own.written_bytes

    return blobs.retrying(attempt)
