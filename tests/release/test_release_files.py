"""The files that import-release writes: MicroShift's release files, and the lock."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from layers.errors import LayerError
from layers.release.lock import parse_lock
from tests.tools.cgroup2 import UNSHARE
from tests.tools.gpg import gpg_home, stop_agent
from tests.tools.image import build_index, build_oci
from tests.tools.importimage import Run
from tests.tools.importrelease import changes, failed, released
from tests.tools.nightly import COMPONENTS
from tests.tools.ostreerepo import rev_parse
from tests.tools.process import Argument, run
from tests.tools.releaseworld import (
    AMD64,
    ARM64,
    World,
    write,
)
from tests.tools.tarbuild import Entry


def test_release_files_are_rewritten_each_for_its_architecture(world: World, copied: Path) -> None:
    files = {"amd64": copied / "release-x86_64.json", "arm64": copied / "release-aarch64.json"}
    old = {"release": {"base": "4.19"}, "images": {"etcd": "x", "lvms_operator": "y"}}
    for file in files.values():
        write(file, old)
        file.chmod(0o640)
    arguments = [*world.serve(world.first), *world.serve(world.first_arm64)]
    updates = [f"--update-json={file}" for file in files.values()]
    document = released(copied, *arguments, *updates)
    assert document["updated_files"] == [str(file) for file in files.values()]
    assert document["unchanged"] is False
    for nightly in (world.first, world.first_arm64):
        file = files[nightly.arch]
        images = {"etcd": nightly.pullspecs["etcd"], "lvms_operator": "y"}
        expected = {"release": {"base": nightly.name}, "images": images}
        assert json.loads(file.read_text()) == expected
        assert file.read_text() == run(["jq", ".", file])
        assert file.stat().st_mode & 0o777 == 0o640
    inodes = [file.stat().st_ino for file in files.values()]
    again = released(copied, *arguments, *updates)
    assert (again["updated_files"], again["unchanged"]) == ([], True)
    assert [file.stat().st_ino for file in files.values()] == inodes


def test_a_file_that_cannot_be_rewritten_stops_the_import(world: World, copied: Path) -> None:
    before = rev_parse(copied, AMD64)
    file = write(copied / "other.json", {"images": {"unknown": "x"}})
    os.mkfifo(copied / "pipe")
    source = world.file(world.second, copied)
    world.registry.requests()
    for option in (
        f"--update-json={file}",
        f"--update-json={copied}",
        f"--update-json={copied}/none.json",
        f"--lock={copied}/none/lock",
        f"--lock={copied}",
        f"--lock={copied}/{'long' * 100}",
        f"--lock={copied}/pipe",
    ):
        failed(copied, *source, option)
    assert rev_parse(copied, AMD64) == before
    assert world.registry.requests() == []
    assert (copied / "pipe").is_fifo()
    assert [one.name for one in copied.iterdir() if "import-release" in one.name] == []


def test_two_options_do_not_write_one_file(world: World, copied: Path) -> None:
    source = world.file(world.second, copied)
    file = write(copied / "release-x86_64.json", {"images": {"etcd": "x"}})
    before = file.read_bytes()
    update = f"--update-json={file}"
    for other in (["--new-json=" + str(file), "--components=etcd"], [f"--lock={file}"]):
        (said,) = failed(copied, *source, update, *other).said("error")
        assert said == f"{file} would be written by two options"
    assert file.read_bytes() == before
    assert released(copied, *source, update, update)["updated_files"] == [str(file)]


def test_a_directory_that_is_not_writable_stops_it_too(world: World, copied: Path) -> None:
    """Root may write anywhere but where a file system says no."""
    source = world.file(world.second, copied)
    (said,) = failed(copied, *source, "--lock=/proc/self/lock").said("error")
    assert said == "/proc/self/lock cannot be written: its directory is not writable"


#: Stops the import where it signs the commit, and says so.
SLOW_GPG = """#!/bin/sh
case "$*" in *--export*) touch "$0.reached"; exec sleep 1000 ;; esac
exec /usr/bin/gpg "$@"
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_commits_leaves_nothing_beside_the_files(
    world: World, copied: Path, tmp_path: Path, number: int
) -> None:
    before = rev_parse(copied, AMD64)
    output = tmp_path / "output"
    output.mkdir()
    file = write(output / "release.json", {"images": {"etcd": "x"}})
    home = gpg_home(tmp_path / "keys", "signer")
    fake = tmp_path / "bin/gpg"
    fake.parent.mkdir()
    fake.write_text(SLOW_GPG)
    fake.chmod(0o755)
    source = world.file(world.second, tmp_path)
    arguments = [*source, f"--lock={output}/lock", f"--update-json={file}", "--tls-verify=false"]
    signing = [f"--gpg-homedir={home}", "--gpg-sign=signer@example.com"]
    env = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    try:
        running = Run(copied, *arguments, *signing, command="import-release", env=env)
        await_file(fake.with_name("gpg.reached"), running)
        running.send(number)
        outcome = running.finish()
    finally:
        stop_agent(home)
    assert (outcome.status, outcome.leftovers) == (-number, [])
    assert list(output.iterdir()) == [file]
    assert rev_parse(copied, AMD64) == before
    released(copied, *arguments)
    assert sorted(output.iterdir()) == [output / "lock", file]


def await_file(path: Path, running: Run) -> None:
    """Until it is there, or the run has ended."""
    while not path.exists():
        assert running.process.poll() is None, running.finish()
        time.sleep(0.01)


@pytest.mark.root
def test_a_mounted_file_stops_it_too(world: World, copied: Path) -> None:
    """As `podman run -v FILE:FILE` makes one."""
    before = rev_parse(copied, AMD64)
    mounted = write(copied / "mounted.json", world.first.release_json())
    bind = f'mount --bind "{mounted}" "{mounted}" && exec "$@"'
    arguments = [*world.file(world.second, copied), f"--update-json={mounted}"]
    outcome = failed(copied, *arguments, wrapper=(*UNSHARE, "sh", "-c", bind, "sh"))
    assert outcome.said("error") == [f"{mounted} cannot be replaced: it is mounted there"]
    assert rev_parse(copied, AMD64) == before


def test_what_is_in_no_registry_cannot_be_locked(world: World, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("pod oci:/nowhere:pod\n")
    allowed = "--allow-transports=oci"
    outcome = failed(tmp_path / "repo", listed, allowed, "--release=x", f"--lock={tmp_path}/lock")
    assert outcome.said("error") == ["oci:/nowhere:pod is in no registry, so it cannot be locked"]
    assert outcome.said("hint") == ["push it to one, or leave --lock out"]


@pytest.fixture
def tagged(world: World) -> list[str]:
    """Lines of a list: an index by tag, an image by tag, and one by digest."""
    directory = world.nightlies.directory
    images = [
        build_oci(directory, arch, [[Entry(arch.encode())]], architecture=arch)
        for arch in ("amd64", "arm64")
    ]
    index = world.registry.push(build_index(directory, "index", images), "tagged/index:v1")
    alone = world.registry.push(images[0], "tagged/alone:v1")
    return [f"index {index}\n", f"alone {alone}\n", f"pod {world.first.pullspecs['pod']}\n"]


def test_what_is_locked_is_imported_without_asking_for_anything_but_blobs(
    world: World, tagged: list[str], tmp_path: Path
) -> None:
    listed, lock = tmp_path / "list", tmp_path / "lock.json"
    listed.write_text("".join(tagged))
    document = released(tmp_path / "a", listed, "--release=r", "--arch=amd64", f"--lock={lock}")
    world.registry.requests()
    locked = released(tmp_path / "b", "--locked", lock)
    asked = [one.path for one in world.registry.requests() if one.path != "/v2/"]
    assert locked["commit"] == document["commit"]
    assert locked["branch"] == document["branch"]
    manifests = [path for path in asked if "/manifests/" in path]
    written = json.loads(lock.read_text())["releases"]["amd64"]["images"]
    pinned = {one["manifest"] for one in written.values()}
    assert {path.rpartition("/")[2] for path in manifests} <= pinned
    assert all("/blobs/" in path for path in set(asked) - set(manifests))

    again = released(tmp_path / "b", "--locked", lock)
    assert again["unchanged"] is True
    assert world.registry.requests() == []


def test_a_lock_stays_when_the_tag_moves(world: World, tagged: list[str], tmp_path: Path) -> None:
    listed, lock = tmp_path / "list", tmp_path / "lock.json"
    listed.write_text(tagged[1])
    arguments: list[Argument] = [listed, "--release=r", "--arch=amd64"]
    first = released(tmp_path / "a", *arguments, f"--lock={lock}")["commit"]
    moved = build_oci(world.nightlies.directory, "moved", [[Entry(b"new")]])
    world.registry.push(moved, "tagged/alone:v1")
    assert changes(released(tmp_path / "a", *arguments, "--dry-run"))["changed"] == ["alone"]
    assert released(tmp_path / "a", "--locked", lock)["unchanged"] is True
    assert released(tmp_path / "a", *arguments)["releases"][0]["parent"] == first


def test_a_lock_is_the_same_each_time_and_holds_all_architectures(
    world: World, copied: Path
) -> None:
    locks = [copied / "lock-a.json", copied / "lock-b.json"]
    for lock in locks:
        arguments = [*world.serve(world.first), *world.serve(world.first_arm64)]
        released(copied, *arguments, f"--lock={lock}")
    assert locks[0].read_bytes() == locks[1].read_bytes()
    assert released(copied, "--locked", locks[0], "--dry-run")["unchanged"] is True
    one = released(copied, "--locked", locks[0], "--arch=aarch64", "--only=pod", "--dry-run")
    assert [part["branch"] for part in one["releases"]] == [ARM64]
    assert len(changes(one)["removed"]) == len(COMPONENTS) - 1


@pytest.fixture(scope="module")
def lock(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is locked of a release with one image."""
    where = tmp_path_factory.mktemp("lock")
    source = world.file(world.first, where)[0]
    released(where / "repo", source, "--only=pod", f"--lock={where}/lock.json")
    return (where / "lock.json").read_text()


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('"import-release-lock": 1', '"import-release-lock": 2', "is of another version"),
        ('\\"schemaVersion\\":2', '\\"schemaVersion\\": 2', "has digest"),
        ('"manifest": "sha256:', '"manifest": "sha256:0', "not a digest: .*sha256 has 64"),
        ("@sha256:", "@sha256:0000", "not a digest: .*sha256 has 64"),
        ('"images": {', '"images": 7, "x": {', "images is not of type dict"),
        ('"releases": {', '"releases": {}, "x": {', "LOCK has no release"),
        ('"stream": "', '"stream": "\\u001b', "is no name of a release"),
    ],
)
def test_a_lock_that_was_changed_is_refused(lock: str, old: str, new: str, error: str) -> None:
    assert old in lock
    assert "amd64" in parse_lock(lock.encode(), "LOCK")
    with pytest.raises(LayerError, match=error):
        parse_lock(lock.replace(old, new).encode(), "LOCK")


def test_a_lock_of_another_image_than_its_pullspec_is_refused(lock: str) -> None:
    other = re.sub(r"@sha256:\w{64}", f"@sha256:{'0' * 64}", lock)
    with pytest.raises(
        LayerError, match="LOCK: pod: the pullspec is not what it is locked to, sha"
    ):
        parse_lock(other.encode(), "LOCK")


def test_a_lock_that_is_none_is_an_error(tmp_path: Path) -> None:
    other = write(tmp_path / "other.json", {"images": {}})
    outcome = failed(tmp_path / "repo", "--locked", other)
    assert outcome.said("error") == [f"{other}: import-release-lock is missing"]
    assert outcome.said("hint") == ["a file that --lock has written is whole"]
