"""Memory stays bounded, whatever a layer holds: one file of 2.2 GB."""

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from isal import isal_zlib

from tests.tools.entry import Entry
from tests.tools.image import Document, build_oci
from tests.tools.importimage import Run
from tests.tools.ostreerepo import init, ls, ostree
from tests.tools.registry import Registry
from tests.tools.tarbuild import TRAILER, tar_member

SIZE = 2_200_000_000  # over 2 GiB, as no signed 32-bit number is
PIECE = 1 << 20
LIMIT = 300 * 10**6


def content() -> Iterator[bytes]:
    """2.2 GB that compress well, no two mebibytes of them the same."""
    zeros = bytes(PIECE - 8)
    for number in range(SIZE // PIECE):
        yield number.to_bytes(8) + zeros
    yield bytes(SIZE % PIECE)


def tar() -> Iterator[bytes]:
    """The layer: the file alone. Its size fits a plain header's 11 octal digits."""
    header = tar_member(Entry(b"big", raw={"size": b"%011o\0" % SIZE}))
    yield header
    yield from content()
    yield bytes(-SIZE % 512) + TRAILER


@dataclass(frozen=True)
class Packed:
    """The layer's blob, and what a manifest and a config say of it."""

    blob: bytes
    diff_id: str

    def describe(self, manifest: Document) -> None:
        """Names this blob in place of the manifest's only one."""
        digest = f"sha256:{hashlib.sha256(self.blob).hexdigest()}"
        manifest["layers"][0] |= {"digest": digest, "size": len(self.blob)}

    def configure(self, config: Document) -> None:
        """The config's side of it."""
        config["rootfs"]["diff_ids"] = [self.diff_id]


def packed() -> Packed:
    """The tar in gzip, made piece by piece."""
    compressor = isal_zlib.compressobj(level=1, wbits=31)
    hasher, parts = hashlib.sha256(), []
    for piece in tar():
        hasher.update(piece)
        parts.append(compressor.compress(piece))
    parts.append(compressor.flush())
    return Packed(b"".join(parts), f"sha256:{hasher.hexdigest()}")


class Watch:
    """The peak of a process's resident memory, in bytes, while it lives; threads included."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.peak = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def join(self) -> int:
        """The peak, once the process has ended."""
        self._thread.join()
        return self.peak

    def _watch(self) -> None:
        # proc_pid_status(5): VmHWM, which only grows; a zombie has none.
        while lines := self._lines():
            self.peak = int(lines[0].split()[1]) * 1024
            time.sleep(0.01)

    def _lines(self) -> list[str]:
        try:
            text = self._status.read_text()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [line for line in text.splitlines() if line.startswith("VmHWM:")]


@pytest.fixture
def big_repo(tmp_path: Path) -> Iterator[Path]:
    """A bare-user repo without fsync, which is no part of this; pytest would keep its 2.2 GB."""
    repo = init(tmp_path / "repo", "bare-user")
    ostree(repo, "config", "set", "core.fsync", "false")
    yield repo
    shutil.rmtree(repo)


def test_a_file_of_2_gb_imports_in_less_than_300_mb(
    registry: Registry, big_repo: Path, layout: Path
) -> None:
    layer = packed()
    built = build_oci(layout, "t", [b""], edit_config=layer.configure, edit_manifest=layer.describe)
    registry.put_blob("huge", layer.blob)
    reference = registry.push(built, "huge:t")
    run = Run(big_repo, "--json", reference, script=True)
    peak = Watch(run.process.pid).join()
    outcome = run.finish()
    assert outcome.status == 0, outcome.stderr
    print(f"peak resident memory: {peak / 1e6:.0f} MB for a layer of {SIZE / 1e6:.0f} MB")
    assert 10**7 < peak < LIMIT
    (record,) = outcome.document["images"][0]["layers"]
    assert record["diff_id"] == layer.diff_id
    branch = f"oci/layer/{record['layer_id']}"
    assert ls(big_repo, branch) == ["/big"]
    assert f" {SIZE} " in ostree(big_repo, "ls", branch, "/big")
