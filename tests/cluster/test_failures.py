"""A worker that dies, lags behind, differs or cannot write costs a retry or one clear line."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from importer.cluster.agreement import Agreement
from importer.errors import ImporterError
from tests.tools import ostreerepo, patience
from tests.tools.dask import DaskCluster, DaskProcess
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Outcome, Run, imported, run_import
from tests.tools.ostreerepo import fsck, heads, refs
from tests.tools.patience import await_that
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

#: For a Python that does not find our packages.
WITHOUT_US = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("importer", "layers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as running:
        yield running


@pytest.fixture
def dask(scheduler: DaskCluster) -> Iterator[DaskCluster]:
    """The scheduler; a test's workers end with the test."""
    yield scheduler
    scheduler.remove_workers()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An image of three layers, the second of some 300 KB."""
    noise = bytes((n * n >> 7) % 251 for n in range(300_000))
    layers = [[Entry(b"a", content=b"a")], [Entry(b"b", content=noise)], [Entry(b"c")]]
    layout = tmp_path_factory.mktemp("image") / "layout"
    return build_oci(layout, "t", layers, compression="none")


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, registry: Registry, image: BuiltImage
) -> dict[str, str]:
    """The refs that one machine makes."""
    repo = tmp_path_factory.mktemp("alone") / "repo"
    imported(repo, "--branch=os/images", registry.push(image, "failing:t"))
    return layer_heads(repo)


def layer_heads(repo: Path) -> dict[str, str]:
    """The commits of the layers' branches, and of their records: they name no registry."""
    return {ref: head for ref, head in heads(repo).items() if ref != "os/images"}


@pytest.fixture
def proxy(registry: Registry, image: BuiltImage) -> Iterator[FaultyProxy]:
    """Between the workers and the registry, which has the image as failing:t."""
    registry.push(image, "failing:t")
    with FaultyProxy(registry.url) as running:
        yield running


def stalled(proxy: FaultyProxy, image: BuiltImage) -> Fault:
    """The second layer's blob stops in its middle, the first time that it is asked for."""
    return proxy.add(Fault(image.layer_digests[1], "stall", after=100_000, times=1))


def begun(repo: Path, dask: DaskCluster, proxy: FaultyProxy, name: str = "failing") -> Run:
    """An import through the proxy."""
    cluster = f"--cluster={dask.address}"
    return Run(repo, "--branch=os/images", cluster, f"{proxy.host}/{name}:t")


def check_failed(outcome: Outcome, repo: Path, *parts: str) -> None:
    """One line for the user, with these parts; no branch for the image, and a sound repo."""
    assert outcome.status == 1, outcome
    (line,) = outcome.said("error")
    assert all(part in line for part in parts), line
    assert "distributed." not in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.leftovers == []
    assert "os/images" not in refs(repo)
    fsck(repo)


def test_a_worker_is_killed_in_a_layer(
    dask: DaskCluster,
    registry: Registry,
    proxy: FaultyProxy,
    image: BuiltImage,
    tmp_path: Path,
    repo: Path,
) -> None:
    """The image's only one, so that one worker alone is busy. The other one reads it then; nothing
    of the first attempt is left."""
    lone = build_oci(tmp_path / "lone", "t", [image.read(image.layers[1])], compression="none")
    imported(tmp_path / "alone", "--form=layers", registry.push(lone, "lone:t"))
    dask.add(2)
    fault = stalled(proxy, image)
    run = begun(repo, dask, proxy, "lone")
    assert fault.reached.wait(patience.SECONDS)
    (victim,) = [one for one in dask.workers if "skopeo" in one.children()]
    victim.kill()
    await_that(lambda: victim.children() == [], "its reader and skopeo outlive it")
    outcome = run.finish()
    assert outcome.status == 0, outcome.stderr
    assert layer_heads(repo) == heads(tmp_path / "alone")
    fsck(repo)
    assert [one.name for one in (repo / "tmp").iterdir() if one.name != "cache"] == []


def _fetching(dask: DaskCluster) -> list[DaskProcess]:
    return [one for one in dask.workers if "skopeo" in one.children()]


@pytest.mark.fuzz
def test_a_worker_is_stopped(
    tmp_path: Path,
    proxy: FaultyProxy,
    image: BuiltImage,
    expected: dict[str, str],
    repo: Path,
) -> None:
    """By SIGSTOP: it answers no more, and Dask's worker-ttl, here 10 seconds, ends the wait. The
    other worker reads its layer; whether the loss is told before the end depends on the moment."""
    patience_of_dask = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s"}
    with DaskCluster(tmp_path, env=patience_of_dask) as dask:
        dask.add(2)
        fault = stalled(proxy, image)
        run = begun(repo, dask, proxy)
        assert fault.reached.wait(patience.SECONDS)
        await_that(lambda: len(_fetching(dask)) == 1, "one alone has a layer that is not read")
        (victim,) = _fetching(dask)
        victim.process.send_signal(signal.SIGSTOP)
        outcome = run.finish()
    assert outcome.status == 0, outcome.stderr
    assert layer_heads(repo) == expected
    fsck(repo)


def test_the_scheduler_is_lost(
    tmp_path: Path, proxy: FaultyProxy, image: BuiltImage, repo: Path
) -> None:
    with DaskCluster(tmp_path) as dask:
        dask.add()
        fault = stalled(proxy, image)
        run = begun(repo, dask, proxy)
        assert fault.reached.wait(patience.SECONDS)
        dask.scheduler.kill()
        outcome = run.finish()
        check_failed(outcome, repo, f"the connection to the Dask scheduler {dask.address} is lost")


def test_ctrl_c_ends_the_workers_jobs(
    dask: DaskCluster, proxy: FaultyProxy, image: BuiltImage, expected: dict[str, str], repo: Path
) -> None:
    """The worker itself stays, and reads the layers of the next import."""
    (worker,) = dask.add()
    fault = stalled(proxy, image)
    run = begun(repo, dask, proxy)
    assert fault.reached.wait(patience.SECONDS)
    await_that(lambda: "skopeo" in worker.children(), "nobody reads")
    run.send(signal.SIGINT)
    assert run.finish().status == -signal.SIGINT
    await_that(lambda: "skopeo" not in worker.children(), "the worker goes on fetching")
    assert begun(repo, dask, proxy).finish().status == 0
    assert layer_heads(repo) == expected
    assert [one.name for one in (repo / "tmp").iterdir() if one.name != "cache"] == []


def test_a_failed_layer_stops_the_others(
    dask: DaskCluster, proxy: FaultyProxy, image: BuiltImage, repo: Path
) -> None:
    """A worker in the middle of another layer stops, too."""
    dask.add(2)
    fault = stalled(proxy, image)
    proxy.add(Fault(image.layer_digests[0], 200, body=bytes(image.layers[0].size)))
    run = begun(repo, dask, proxy)
    assert fault.reached.wait(patience.SECONDS)
    check_failed(run.finish(), repo, image.layer_digests[0])
    await_that(lambda: all("skopeo" not in one.children() for one in dask.workers), "goes on")


def other_version(directory: Path, package: str) -> dict[str, str]:
    """The environment of a worker on which another version of a package is installed."""
    info = directory / f"{package.replace('-', '_')}-9.9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.9.9\n")
    return {"PYTHONPATH": str(directory)}


def test_a_worker_with_another_version(
    dask: DaskCluster, registry: Registry, image: BuiltImage, repo: Path, tmp_path: Path
) -> None:
    dask.add(env=other_version(tmp_path, "isal"))
    reference = registry.push(image, "failing:t")
    outcome = run_import(repo, "--branch=os/images", f"--cluster={dask.address}", reference)
    check_failed(outcome, repo, "worker tcp://127.0.0.1:", "it has isal 9.9.9, and the importing")


def test_the_versions_that_have_to_agree(tmp_path: Path) -> None:
    agreed = Agreement.made(tmp_path)
    agreed.check()
    for other in (replace(agreed, program="9"), replace(agreed, isal="9")):
        with pytest.raises(ImporterError, match="and the importing process has 9"):
            other.check()


def test_a_proof_is_one_file_that_both_see(tmp_path: Path) -> None:
    agreed = Agreement.made(tmp_path)
    name = agreed.answered()
    agreed.prove(name)
    assert not (tmp_path / name).exists()
    with pytest.raises(ImporterError, match="is not here"):
        agreed.prove(name)
    (tmp_path / "nonce").write_text("another")
    with pytest.raises(ImporterError, match="is not the same directory"):
        agreed.answered()


def test_a_worker_without_import_image(
    dask: DaskCluster, registry: Registry, image: BuiltImage, repo: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_US)
    dask.add(env={"PYTHONPATH": str(tmp_path)})
    reference = registry.push(image, "failing:t")
    outcome = run_import(repo, "--branch=os/images", f"--cluster={dask.address}", reference)
    check_failed(outcome, repo, "worker tcp://127.0.0.1:", "import-image cannot be loaded")


@pytest.mark.root
def test_a_worker_that_does_not_see_the_repo(
    dask: DaskCluster, registry: Registry, image: BuiltImage, repo: Path
) -> None:
    mount = f'mount -t tmpfs none "{repo / "tmp"}" && exec "$@"'
    dask.add(wrapper=["unshare", "--mount", "sh", "-c", mount, "sh"])
    reference = registry.push(image, "failing:t")
    outcome = run_import(repo, "--branch=os/images", f"--cluster={dask.address}", reference)
    check_failed(outcome, repo, "worker tcp://127.0.0.1:", "it does not see the repo")
    assert "at the same path" in outcome.said("hint")[0]


def test_a_worker_that_cannot_write(
    dask: DaskCluster, registry: Registry, image: BuiltImage, repo: Path
) -> None:
    """The limit of its files' size stands for its quota: the kernel refuses the large layer."""
    reference = registry.push(image, "failing:t")
    dask.add(wrapper=["prlimit", "--fsize=150000"])
    cluster = f"--cluster={dask.address}"
    outcome = run_import(repo, "--branch=os/images", cluster, reference)
    check_failed(outcome, repo, image.layer_digests[1], "File too large", "worker tcp://127.0.0.1:")


def test_no_worker_comes(
    dask: DaskCluster, registry: Registry, image: BuiltImage, repo: Path
) -> None:
    flags = ["--branch=os/images", f"--cluster={dask.address}", "--cluster-wait=0.5"]
    outcome = run_import(repo, *flags, registry.push(image, "failing:t"))
    check_failed(outcome, repo, f"cluster {dask.address} has had no worker for 0.5 s")


def test_there_is_no_scheduler(registry: Registry, image: BuiltImage, repo: Path) -> None:
    flags = ["--branch=os/images", "--cluster=tcp://127.0.0.1:1"]
    env = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    outcome = run_import(repo, *flags, registry.push(image, "failing:t"), env=env)
    check_failed(outcome, repo, "the Dask scheduler tcp://127.0.0.1:1 does not answer: ")
    assert outcome.said("hint")[0].startswith("start one with `dask scheduler`")


def test_modes_that_only_libostree_writes(
    registry: Registry, image: BuiltImage, tmp_path: Path
) -> None:
    repo = ostreerepo.init(tmp_path / "repo", "bare")
    flags = ["--branch=os/images", "--cluster=tcp://127.0.0.1:1"]
    outcome = run_import(repo, *flags, registry.push(image, "failing:t"))
    check_failed(outcome, repo, "only libostree can write to a repo of mode bare")


def test_without_dask(registry: Registry, image: BuiltImage, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text(
        "raise ModuleNotFoundError('no', name='distributed')\n"
    )
    flags = ["--branch=os/images", "--cluster=tcp://127.0.0.1:1"]
    env = {"PYTHONPATH": str(tmp_path)}
    outcome = run_import(repo, *flags, registry.push(image, "failing:t"), env=env)
    check_failed(outcome, repo, "--cluster needs Dask: distributed is not installed")
    assert outcome.said("hint") == ["pip install 'import-image[cluster]'"]


def test_credentials_do_not_cross_the_network_unencrypted(
    registry: Registry, image: BuiltImage, repo: Path
) -> None:
    flags = ["--branch=os/images", "--cluster=tcp://127.0.0.1:1", "--creds=user:secret"]
    outcome = run_import(repo, *flags, registry.push(image, "failing:t"))
    check_failed(outcome, repo, "--creds would go to the workers of tcp://127.0.0.1:1 unencrypted")
