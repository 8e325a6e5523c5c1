"""An import that is cut off anywhere leaves a clean repo, and the next run completes it."""

import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from importer.process import Server
from tests.tools import patience
from tests.tools.expected import layer_ids
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Run, imported
from tests.tools.ostreerepo import fsck, heads, refs, rev_parse
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry, whiteout

LAYERS = 4
#: When a run is cut off, as shares of the time that a run takes which nobody disturbs.
SHARES = [0.15 * step for step in range(1, 7)]
#: How long to look out for what is there for a moment, and may be missed.
LOOK_SECONDS = 60


def files(number: int) -> list[Entry]:
    """A layer of enough files for several batches of writes."""
    folder = b"d%d" % number
    names = [folder + b"/f%03d" % n for n in range(150)]
    contents = [Entry(name, content=name * 200) for name in names]
    gone = [whiteout(b"d%d/f000" % (number - 1))] if number else []
    return [Entry(folder, "dir", mode=0o755), *contents, *gone]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An image of some layers, each with files, and all but one with a whiteout."""
    layout = tmp_path_factory.mktemp("kill") / "layout"
    return build_oci(layout, "t", [files(number) for number in range(LAYERS)])


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbs: the refs that it makes, and the seconds that it takes."""

    heads: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, registry: Registry, image: BuiltImage
) -> Undisturbed:
    """The second of two runs: the first one may have to start the fork server."""
    home, reference = tmp_path_factory.mktemp("undisturbed"), registry.push(image, "kill:t")
    imported(home / "first", "--branch=os/images", reference)
    begun = time.monotonic()
    imported(home / "repo", "--branch=os/images", reference)
    return Undisturbed(heads(home / "repo"), time.monotonic() - begun)


@pytest.fixture(scope="module")
def commits(undisturbed: Undisturbed) -> dict[str, str]:
    """What a run that nobody disturbs makes."""
    return undisturbed.heads


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultyProxy]:
    """Between the import and the registry."""
    with FaultyProxy(registry.url) as running:
        yield running


def check_and_complete(repo: Path, registry: Registry, image: BuiltImage) -> int:
    """fsck; then a run that completes, and fetches no layer that was done. How many were."""
    done = done_layers(repo, image)
    fsck_if_there(repo)
    registry.blob_requests()
    document = imported(repo, "--branch=os/images", f"{registry.host}/kill:t")
    asked = set(registry.blob_requests())
    cached = [layer["digest"] for layer in document["images"][0]["layers"] if layer["cached"]]
    assert cached == [digest for digest in image.layer_digests if digest in done]
    assert not asked & done
    fsck(repo)
    return len(done)


def fsck_if_there(repo: Path) -> None:
    """A repo whose making was cut short has no `objects` yet, and is none."""
    if (repo / "objects").exists():
        fsck(repo)


def done_layers(repo: Path, image: BuiltImage) -> set[str]:
    """The blobs of the layers that have both their branches."""
    heads = repo / "refs/heads/oci"
    ids = layer_ids(image.diff_ids)
    return {
        digest
        for digest, layer_id in zip(image.layer_digests, ids, strict=True)
        if (heads / "layer" / layer_id).exists() and (heads / "tar-split" / layer_id).exists()
    }


def killed(repo: Path, reference: str, wait: Callable[[], object]) -> None:
    """Starts an import, waits, and kills it, if it is still there. Nothing that it has started
    stays, though the registry may not answer any more."""
    run = Run(repo, "--branch=os/images", reference)
    wait()
    run.send(signal.SIGKILL)
    outcome = run.finish()
    assert outcome.status in (0, -signal.SIGKILL)
    assert outcome.leftovers == []


@pytest.mark.parametrize("share", SHARES)
def test_killed_at_any_time(
    registry: Registry, tmp_path: Path, image: BuiltImage, undisturbed: Undisturbed, share: float
) -> None:
    repo = tmp_path / "repo"
    killed(repo, f"{registry.host}/kill:t", lambda: time.sleep(share * undisturbed.seconds))
    check_and_complete(repo, registry, image)
    assert heads(repo) == undisturbed.heads


def test_killed_again_and_again_in_one_repo(
    registry: Registry, tmp_path: Path, image: BuiltImage, undisturbed: Undisturbed
) -> None:
    repo = tmp_path / "repo"
    for share in SHARES[1:]:
        killed(repo, f"{registry.host}/kill:t", partial(time.sleep, share * undisturbed.seconds))
        fsck_if_there(repo)
    check_and_complete(repo, registry, image)
    assert heads(repo) == undisturbed.heads
    # libostree takes up a directory that a killed transaction left, so they do not pile up.
    assert len(list((repo / "tmp").glob("staging-*"))) <= 2


@pytest.mark.parametrize(("number", "after"), [(0, 0), (0, 5000), (2, 100), (LAYERS - 1, 5000)])
def test_killed_in_the_midst_of_a_blob(
    registry: Registry,
    proxy: FaultyProxy,
    tmp_path: Path,
    image: BuiltImage,
    commits: dict[str, str],
    number: int,
    after: int,
) -> None:
    repo = tmp_path / "repo"
    stalled = proxy.add(Fault(image.layer_digests[number], "stall", after))
    killed(repo, f"{proxy.host}/kill:t", lambda: stalled.reached.wait(patience.SECONDS))
    assert "os/images" not in refs(repo)
    check_and_complete(repo, registry, image)
    assert rev_parse(repo, "os/images") == commits["os/images"]


def test_layers_that_were_done_are_not_fetched_again(
    registry: Registry, proxy: FaultyProxy, tmp_path: Path, image: BuiltImage, commits: object
) -> None:
    """The last blob never comes; all the others have their branches by then."""
    repo = tmp_path / "repo"
    proxy.add(Fault(image.layer_digests[-1], "stall", 100))
    killed(repo, f"{proxy.host}/kill:t", lambda: await_done(repo, image, LAYERS - 1))
    assert check_and_complete(repo, registry, image) == LAYERS - 1


def await_done(repo: Path, image: BuiltImage, count: int) -> None:
    """Until so many layers have their branches."""
    deadline = time.monotonic() + patience.SECONDS
    while len(done_layers(repo, image)) < count and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.mark.parametrize(
    "sign",
    [
        "config",
        "tmp/staging-*",
        "tmp/import-image-*/*/*/*",
        "tmp/import-image-*/*/*/*.dirtree",
        "tmp/staging-*/??/*.dirtree",
        "objects/??/*.file",
        "objects/??/*.dirtree",
        "tmp/staging-*/??/*.commit",
        "objects/??/*.commit",
        "refs/heads/oci/tar-split/*",
        "refs/heads/oci/layer/*",
        "refs/heads/os/images",
    ],
)
def test_killed_as_soon_as_something_is_there(
    registry: Registry, tmp_path: Path, image: BuiltImage, commits: dict[str, str], sign: str
) -> None:
    """libostree's steps, by what they leave on the disk."""
    repo = tmp_path / "repo"

    killed(repo, f"{registry.host}/kill:t", lambda: await_sign(repo, sign))
    check_and_complete(repo, registry, image)
    assert heads(repo) == commits


def await_sign(repo: Path, sign: str) -> bool:
    """Until such a file is there, or has been, for too short a time to be seen; whether it was."""
    done, deadline = repo / "refs/heads/os/images", time.monotonic() + LOOK_SECONDS
    while not (seen := any(repo.glob(sign))) and not done.exists() and time.monotonic() < deadline:
        pass
    return seen


def test_a_program_outlives_the_thread_that_asked_for_it() -> None:
    """The kernel's signal is for the end of the thread that started the program."""
    ours, theirs = socket.socketpair()
    servers: list[Server] = []
    with ours, theirs:
        number = theirs.fileno()
        argv = ["bash", "-c", f"read line <&{number}; echo done >&{number}"]
        thread = threading.Thread(target=lambda: servers.append(Server(argv, [number])))
        thread.start()
        task = Path(f"/proc/self/task/{thread.native_id}")
        thread.join()
        while task.exists():
            time.sleep(0.001)
        theirs.close()
        ours.sendall(b"line\n")
        assert ours.recv(10) == b"done\n"
    servers[0].stop()


# -- with processes that write files --


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """So many files in both layers that they take a while."""
    layers = [
        [Entry(b"%d-%04d" % (number, n), content=b"%d" % n) for n in range(1500)]
        for number in range(2)
    ]
    return build_oci(tmp_path_factory.mktemp("crowd") / "layout", "t", layers)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("sign", ["tmp/import-image-*/*/0/*", "objects/??/*.file"])
def test_nobody_is_left_who_writes(
    registry: Registry,
    proxy: FaultyProxy,
    tmp_path: Path,
    crowd: BuiltImage,
    sign: str,
    number: signal.Signals,
) -> None:
    """While they write objects, and while they move them to where they belong.

    The last bytes of a layer never come, so that nobody is done before the signal.
    """
    repo = tmp_path / "repo"
    reference = registry.push(crowd, "kill-crowd:t")
    proxy.add(Fault(crowd.layer_digests[1], "stall", crowd.layers[1].size - 100))
    run = Run(repo, "--branch=os/images", proxy.through(reference))
    assert await_sign(repo, sign)
    run.send(number)
    outcome = run.finish()
    assert (outcome.status, outcome.stderr.count("error"), outcome.leftovers) == (-number, 0, [])
    fsck(repo)
    imported(repo, "--branch=os/images", reference)
    fsck(repo)
    assert list((repo / "tmp").glob("import-image-*")) == []


# -- Ctrl-C --


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("what", ["manifests/t", "config", "layer"])
def test_a_signal_ends_it_at_once_and_all_it_started(
    registry: Registry,
    proxy: FaultyProxy,
    tmp_path: Path,
    image: BuiltImage,
    commits: object,
    what: str,
    number: signal.Signals,
) -> None:
    repo = tmp_path / "repo"
    paths = {"config": image.config_digest, "layer": image.layer_digests[0]}
    stalled = proxy.add(Fault(paths.get(what, what), "stall", 20))
    run = Run(repo, f"{proxy.host}/kill:t")
    assert stalled.reached.wait(patience.SECONDS)
    run.send(number)
    # The registry answers no more: whoever waited for it would wait for ever.
    outcome = run.finish()
    assert (outcome.status, outcome.stdout, outcome.leftovers) == (-number, "", [])
    assert "Traceback" not in outcome.stderr
    assert outcome.said("error") == []
    assert [ref for ref in refs(repo) if ref.startswith("oci/image/")] == []
    fsck(repo)


def test_an_interrupted_import_says_how_many_layers_it_keeps(
    registry: Registry, proxy: FaultyProxy, tmp_path: Path, image: BuiltImage, commits: object
) -> None:
    repo, events = tmp_path / "repo", tmp_path / "events"
    proxy.add(Fault(image.layer_digests[-1], "stall", 100))
    wrapper = ["bash", "-c", f'exec "$0" "$@" 7>{events}']
    run = Run(repo, "--progress-fd=7", f"{proxy.host}/kill:t", wrapper=wrapper)
    deadline = time.monotonic() + patience.SECONDS
    while time.monotonic() < deadline:
        if events.exists() and events.read_text().count('"done"') == LAYERS - 1:
            break
        time.sleep(0.01)
    run.send(signal.SIGINT)
    said = run.finish().stderr.splitlines()
    assert said == [said[0], "interrupted; 3 layers are kept"]
    assert len(done_layers(repo, image)) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_to_be_ignored(
    registry: Registry,
    proxy: FaultyProxy,
    tmp_path: Path,
    image: BuiltImage,
    commits: object,
    number: signal.Signals,
) -> None:
    """As by nohup(1), or by a shell's `&`."""
    stalled = proxy.add(Fault(image.layer_digests[0], "stall", 20))
    wrapper = ["env", f"--ignore-signal={number.name.removeprefix('SIG')}"]
    run = Run(tmp_path / "repo", f"{proxy.host}/kill:t", wrapper=wrapper)
    assert stalled.reached.wait(patience.SECONDS)
    run.send(number)
    stalled.go_on.set()
    outcome = run.finish()
    assert (outcome.status, outcome.said("error"), outcome.leftovers) == (0, [], [])


def await_our_code(pid: int) -> None:
    """Until Python itself is up: what interrupts it before, no code of ours can see.

    It catches SIGINT from its beginning on, and our first line gives the default back. Who misses
    that moment sees us catch SIGTERM soon, or be done.
    """
    status, was_caught = Path(f"/proc/{pid}/status"), False
    deadline = time.monotonic() + patience.SECONDS
    while time.monotonic() < deadline:
        text = status.read_text()
        is_caught = catches(text, signal.SIGINT)
        is_ours = (was_caught and not is_caught) or catches(text, signal.SIGTERM)
        if is_ours or re.search(r"^State:\s*Z", text, re.MULTILINE):
            return
        was_caught = is_caught
    raise AssertionError("the program does not begin")


def catches(status: str, number: int) -> bool:
    """Whether a process of this proc_pid_status(5) has a handler for the signal."""
    (mask,) = re.findall(r"SigCgt:\s*([0-9a-f]+)", status)
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("share", [0, *SHARES[:4]])
def test_ctrl_c_at_any_time(
    registry: Registry, tmp_path: Path, image: BuiltImage, undisturbed: Undisturbed, share: float
) -> None:
    repo = tmp_path / "repo"
    run = Run(repo, "--branch=os/images", f"{registry.host}/kill:t")
    await_our_code(run.process.pid)
    time.sleep(share * undisturbed.seconds)
    run.send(signal.SIGINT)
    outcome = run.finish()
    assert outcome.status in (0, -signal.SIGINT)
    assert (outcome.leftovers, outcome.said("error")) == ([], [])
    assert "Traceback" not in outcome.stderr
    fsck_if_there(repo)
