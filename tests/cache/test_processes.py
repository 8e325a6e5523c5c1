"""Labelled and flattened layers are the same, whatever the number of processes."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from importer.cache.labelled import labelled
from importer.cache.layer import head_layer
from importer.ingest.budget import Budget
from importer.progress import Silence
from importer.repo.writer import Repo
from importer.run.import_all import import_all
from tests.tools.entry import Entry, whiteout
from tests.tools.expected import layer_ids
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.lab import import_job
from tests.tools.ostreerepo import Mode, fsck, init, refs
from tests.tools.registry import Registry

SHARED = [
    Entry(b"gone", content=b"gone"),
    Entry(b"big", content=os.urandom(3 << 20)),
    *(Entry(b"file%d" % n, content=b"content %d" % n, mode=0o640) for n in range(300)),
    Entry(b"link", "symlink", link=b"file1"),
]
IMAGES = {
    "one": [SHARED, [whiteout(b"gone")]],
    "two": [SHARED, [Entry(b"two", content=b"2")]],
    "three": [SHARED, [Entry(b"two", content=b"2")]],
    "four": [SHARED],
}


@pytest.fixture
def small_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes for any work."""
    monkeypatch.setattr("importer.workers.tasks._WORTH", 1)


@pytest.mark.usefixtures("small_work")
@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_labelled_layers(registry: Registry, tmp_path: Path, layout: Path, mode: Mode) -> None:
    built = build_oci(layout, "t", IMAGES["one"])
    repo = tmp_path / "repo"
    init(repo, mode)
    imported(repo, registry.push(built, "processes/labelled:t"))
    found = []
    for jobs in (1, 3):
        shutil.copytree(repo, tmp_path / str(jobs), symlinks=True)
        opened = Repo.open(tmp_path / str(jobs))
        layers = {one: head_layer(opened, one) for one in layer_ids(built.diff_ids)}
        made = labelled(opened, layers, "a:b:c:s0", jobs)
        trees = [(one.tree.contents, one.tree.meta, one.record) for one in made.values()]
        found.append((trees, refs(opened.path)))
        fsck(opened.path)
    assert found[0] == found[1]


@pytest.mark.usefixtures("small_work")
def test_flattened_images(registry: Registry, tmp_path: Path, layout: Path) -> None:
    """Two of them are the same under two names, and one has a single layer."""
    built = {name: build_oci(layout, name, layers) for name, layers in IMAGES.items()}
    names = [registry.push(one, f"processes/{name}:t") for name, one in built.items()]
    found = []
    for jobs in (1, 3):
        job = import_job(tmp_path / str(jobs), *names, tls_verify=False)
        target = replace(job.target, branch=None, flatten=True, budget=Budget(jobs=jobs))
        job = replace(job, target=target)
        commits = [one.commit.checksum for one in import_all(job, Silence()).made]
        found.append((commits, refs(tmp_path / str(jobs))))
    assert found[0] == found[1]
    assert len(set(found[0][0])) == 4
