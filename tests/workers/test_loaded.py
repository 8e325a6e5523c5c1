"""Nearly every import starts worker processes, and most of a start is loading modules."""

import gzip
from hashlib import sha256
from pathlib import Path

from importer.ingest.job import BlobJob
from importer.repo.writer import Repo
from importer.workers.pool import Workers
from importer.workers.tasks import run_job
from layers.digest import Digest
from layers.limits import DeviceNodes, LayerOptions, Limits
from layers.oci.manifest import Descriptor
from tests.tools import ostreerepo
from tests.tools.entry import Entry
from tests.tools.loaded import Loaded
from tests.tools.pipe import fed
from tests.tools.tarbuild import tar_bytes

# Each takes milliseconds to load, or loads others that do.
UNUSED = {
    *("concurrent.futures", "gi", "logging", "pathlib", "random", "shutil", "subprocess"),
    *("tempfile", "traceback", "zstandard"),
    *("importer.files", "importer.process", "layers.oci.readable", "layers.storage"),
}


def test_a_worker_that_reads_a_layer_loads_little(tmp_path: Path) -> None:
    repo = Repo.open(ostreerepo.init(tmp_path / "repo", "bare-user"))
    tar = tar_bytes([Entry(b"file", content=b"text")])
    blob = gzip.compress(tar)
    job = BlobJob(
        Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest(blob), len(blob)),
        digest(tar),
        LayerOptions(DeviceNodes.AUTO, Limits()),
        timeout=60,
    )
    workers = Workers(BlobJob.__module__)
    try:
        with workers.lent() as worker, repo.locked(), repo.transaction(), fed(blob) as pipe:
            layer = run_job(repo, worker, job, pipe, lambda _: None)
            loaded = worker.run(Loaded())
    finally:
        workers.close()
    assert layer.entries == 1
    assert not loaded & UNUSED


def digest(data: bytes) -> Digest:
    return Digest("sha256", sha256(data).hexdigest())
