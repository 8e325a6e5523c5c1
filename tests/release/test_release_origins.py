"""Where releases come from: files, lists, payload images, release controllers that lie."""

import json
from pathlib import Path

import pytest

from tests.tools.controller import Reply, accepted
from tests.tools.image import build_oci
from tests.tools.importrelease import changes, failed, released, run_release
from tests.tools.nightly import COMPONENTS, Nightlies, Nightly
from tests.tools.ostreerepo import rev_parse
from tests.tools.process import Argument
from tests.tools.registry import Registry
from tests.tools.releaseworld import (
    AMD64,
    ARM64,
    STREAM,
    World,
    tree,
    write,
)
from tests.tools.tarbuild import Entry, whiteout

# --- sources ------------------------------------------------------------------------------


def test_all_sources_of_a_release_mean_the_same_commit(world: World, copied: Path) -> None:
    answer = accepted(world.first.name, world.first.pullspec)
    sources: dict[str, Argument] = {
        "payload": world.first.pullspec,
        "info": write(copied / "info.json", world.first.release_info()),
        "stream": write(copied / "image-references", world.first.image_stream),
        "answer": world.controller.serve("/some/answer", answer),
        "url": world.controller.serve(
            "/image-references", Reply(json.dumps(world.first.image_stream).encode())
        ),
    }
    commits = {
        name: released(copied, source, f"--branch=test/{name}")["commit"]
        for name, source in sources.items()
    }
    assert set(commits.values()) == {rev_parse(copied, AMD64)}


def test_a_microshift_file_and_a_list_mean_the_same_tree(world: World, copied: Path) -> None:
    file = write(copied / "release-x86_64.json", world.first.release_json())
    listed = copied / "list"
    listed.write_text("".join(f"{name} {one}\n" for name, one in world.first.pullspecs.items()))
    for source in (file, listed):
        document = released(copied, source, "--branch=test/tree", "--release=4.20.0")
        assert document["releases"][0]["layers"]["fetched"] == {"layers": 0, "bytes": 0}
        assert tree(copied, "test/tree") == tree(copied, AMD64)
    assert changes(document) == {
        "added": [],
        "changed": [],
        "removed": [],
        "unchanged": list(COMPONENTS),
    }


def test_sources_are_put_together(world: World, copied: Path) -> None:
    whole = world.first.release_json()
    names = list(whole["images"])
    parts = [
        write(copied / f"{n}.json", whole | {"images": {k: whole["images"][k] for k in chosen}})
        for n, chosen in enumerate((names[:5], names[4:]))
    ]
    released(copied, *parts, "--branch=test/parts")
    assert tree(copied, "test/parts") == tree(copied, AMD64)


def test_a_file_for_one_architecture_says_so_by_its_name(world: World, copied: Path) -> None:
    amd64 = write(copied / "release-x86_64.json", world.first.release_json())
    arm64 = write(copied / "release-aarch64.json", world.first_arm64.release_json())
    document = released(copied, amd64, arm64, "--branch=test/{arch}")
    assert [part["branch"] for part in document["releases"]] == ["test/amd64", "test/arm64"]
    assert tree(copied, "test/arm64") == tree(copied, ARM64)


def test_patterns_choose_what_is_imported(world: World, copied: Path) -> None:
    arguments = [*world.file(world.first, copied), "--only=c*", "--exclude=csi-*"]
    document = released(copied, *arguments)
    assert [one["component"] for one in document["releases"][0]["images"]] == ["cli", "coredns"]


def test_a_list_gives_a_name_to_one_image_alone(world: World, copied: Path) -> None:
    pod, cli, etcd = (world.first.pullspecs[one] for one in ("pod", "cli", "etcd"))
    listed = copied / "list"
    listed.write_text(f"a {pod}\na {cli}\n")
    (said,) = failed(copied, listed, "--release=r").said("error")
    assert said == f"component a is {pod} in {listed}:1, and {cli} in {listed}:2"
    listed.write_text(f"a {pod}\na {pod}\n{cli}\n{etcd}\n")
    document = released(copied, listed, "--release=r")
    components = [one["component"] for one in document["releases"][0]["images"]]
    assert components == ["a", cli, etcd]  # two images of one repository


def test_a_release_without_a_name_needs_one(world: World, copied: Path) -> None:
    listed = copied / "list"
    listed.write_text(f"{world.first.pullspecs['pod']}\n")
    assert failed(copied, listed).said("error") == ["no source names the release"]
    document = released(copied, listed, "--release=ours")
    assert (
        document["releases"][0]["branch"] == f"oci/release/ours/{document['releases'][0]['arch']}"
    )


def test_a_source_is_read_once_for_all_architectures(world: World, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    pods = [release.pullspecs["pod"] for release in (world.first, world.first_arm64)]
    listed.write_text("".join(f"pod-{number} {pod}\n" for number, pod in enumerate(pods)))
    url = world.controller.serve("/once", Reply(listed.read_bytes()))
    both = (
        "--arch=amd64",
        "--arch=arm64",
        "--branch=x/{arch}",
        "--dry-run",
        "--keep-going",
        "--json",
    )
    piped = ("sh", "-c", f'cat "{listed}" | "$@"', "sh")
    by_pipe = run_release(tmp_path / "none", "-", *both, wrapper=piped).document
    assert by_pipe == run_release(tmp_path / "none", url, *both).document
    assert [part["branch"] for part in by_pipe["releases"]] == ["x/amd64", "x/arm64"]
    assert [list(part["failed"]) for part in by_pipe["releases"]] == [["pod-1"], ["pod-0"]]
    assert world.controller.requests.count("/once") == 1


def test_a_list_from_elsewhere_opens_nothing_of_this_machine(world: World, tmp_path: Path) -> None:
    """Not even if a local list may: the server of a URL, or who writes to the pipe, is another."""
    line = f"oci:{world.nightlies.directory}:cli\n"
    allowed = ("--branch=x", "--insecure-policy", "--allow-transports=oci")
    url = world.controller.serve("/list", Reply(line.encode()))
    (tmp_path / "list").write_text(line)
    piped = ("sh", "-c", f'cat "{tmp_path}/list" | "$@"', "sh")
    for outcome in (
        failed(tmp_path / "repo", url, *allowed),
        failed(tmp_path / "repo", "-", *allowed, wrapper=piped),
    ):
        assert "is in no registry" in outcome.said("error")[0]


def test_errors_name_the_source(world: World, copied: Path) -> None:
    bad = copied / "bad.json"
    bad.write_text("{")
    for source, error in {
        str(bad): f"{bad} is not JSON",
        str(copied / "no.json"): f"{copied / 'no.json'}: there is no such file",
        str(copied): f"{bad} is not JSON",  # a directory's lists are read
        "long" * 2000: "longlong",
        "\x1b[1m\nname": "\\x1b[1m\\nname: there is no such file",
        "-": "-: standard input lists no image",
        f"arm64={world.first.pullspec}": f"{world.first.pullspec}: ",
    }.items():
        (said,) = failed(copied, source).said("error")
        assert said.startswith(error), said


def test_a_document_that_is_wrong_is_no_images_fault(world: World, copied: Path) -> None:
    bad = copied / "bad.json"
    bad.write_text('{"kind": "ImageStream"}')
    assert failed(copied, bad).said("hint") == [
        "the program or person that wrote the source has to correct it"
    ]
    bad.write_text('{"images": {"other": 7}}')
    outcome = failed(copied, *world.file(world.first, copied), f"--update-json={bad}")
    assert outcome.said("error") == [f"{bad} names no component of the release"]
    assert outcome.said("hint") == [f"the release has {', '.join(COMPONENTS)}"]


def test_two_sources_that_disagree_are_refused(world: World, copied: Path) -> None:
    old = write(copied / "old.json", world.first.release_json())
    new = write(copied / "new.json", world.second.release_json())
    (said,) = failed(copied, old, new).said("error")
    assert said.startswith(f"component etcd is {world.first.pullspecs['etcd']} in {old}, and ")


def test_architectures_do_not_share_a_branch(world: World, copied: Path) -> None:
    arguments = [*world.serve(world.first), *world.serve(world.first_arm64), "--branch=test/one"]
    assert failed(copied, *arguments).said("error") == ["two architectures would go to one branch"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--locked=a", "--stream=b"],
        ["a.json", "--diff", "b", "c"],
        ["a.json", "--json", "--markdown"],
        ["a.json", "--max-chars=500"],
        ["a.json", "--lock=b", "--locked=c"],
        ["a.json", "--branch=.x"],
        ["a.json", "--keep=0"],
        ["a.json", "--arch="],
        ["a.json", "--arch=x/../y"],
        ["a.json", "--release=two\nlines"],
        ["a.json", "--timeout=nan"],
        ["a.json", "--timeout=inf"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    outcome = run_release(tmp_path / "none", *arguments)
    assert outcome.status == 2, outcome.stderr
    assert not (tmp_path / "none").exists()


# --- the payload image --------------------------------------------------------------------


def test_the_topmost_list_of_a_payload_counts(world: World, copied: Path) -> None:
    def listing(nightly: Nightly) -> Entry:
        content = json.dumps(nightly.image_stream).encode()
        return Entry(b"release-manifests/image-references", content=content)

    layers = [[listing(world.second)], [listing(world.first)], [Entry(b"above")]]
    built = build_oci(world.nightlies.directory, "odd", layers, architecture="amd64")
    pullspec = world.registry.push(built, "odd/release:top")
    world.registry.requests()
    released(copied, pullspec, "--branch=test/top")
    assert built.layer_digests[0] not in world.registry.blob_requests()
    assert tree(copied, "test/top") == tree(copied, AMD64)


def test_a_list_that_was_deleted_does_not_count(world: World, copied: Path) -> None:
    content = json.dumps(world.first.image_stream).encode()
    name = b"release-manifests/image-references"
    layers = [[Entry(name, content=content)], [whiteout(name)]]
    built = build_oci(world.nightlies.directory, "odd", layers, architecture="amd64")
    pullspec = world.registry.push(built, "odd/release:deleted")
    (said,) = failed(copied, pullspec, "--dry-run").said("error")
    assert said == f"{pullspec}: the image has no {name.decode()}, so it is no release payload"


def test_a_payload_layer_that_is_not_what_it_should_be_is_not_believed(
    world: World, copied: Path
) -> None:
    with Registry() as registry:
        nightly = Nightlies(registry, copied / "layout").push("broken")
        registry.storage.corrupt(nightly.payload.layer_digests[-1])
        (said,) = failed(copied, nightly.pullspec, "--dry-run").said("error")
    assert said.startswith(f"{nightly.pullspec}: {nightly.payload.layer_digests[-1]}: ")


# --- the release controller ---------------------------------------------------------------


def test_a_release_that_was_not_accepted_is_not_taken(world: World, copied: Path) -> None:
    arguments = world.serve(world.second)
    rejected = accepted(world.second.name, world.second.pullspec, "Rejected")
    world.controller.stream(STREAM, "amd64", rejected)
    (said,) = failed(copied, *arguments).said("error")
    assert said.endswith(f"no release is Accepted: {world.second.name} is Rejected")
    document = released(copied, *arguments, "--phase=Rejected", "--dry-run")
    assert changes(document)["changed"] == ["etcd", "pod"]


def test_a_stream_that_does_not_exist_is_an_error(world: World, copied: Path) -> None:
    arguments = [f"--controller={world.controller.template}", "--stream=4.99", "--arch=amd64"]
    outcome = failed(copied, *arguments)
    assert outcome.said("error") == [
        f"{world.controller.url}/amd64/api/v1/releasestream/4.99/latest: 404 Not Found"
    ]
    assert outcome.said("hint") == ["is the stream's name right, for this architecture?"]


def lies(world: World) -> dict[str, tuple[Reply, str]]:
    """Answers that are not true, each with what is to be said of it."""
    other = world.second.payload.digest.replace("sha256:", "sha256:0")[:-1]
    repository = world.second.pullspec.rpartition(":")[0]
    pullspec = f"{world.second.pullspec}@{world.first.payload.digest}"
    return {
        "not-json": (Reply(b'{"nothing'), "is not JSON"),
        "html": (Reply(b"<html>"), "is HTML or XML"),
        "empty": (Reply(b""), "lists no image"),
        "huge": (Reply(b'{"name": "' + b"x" * (5 << 20)), "has more than 4194304 bytes"),
        "file": (accepted("n", "dir:/etc"), "pullSpec: not an image reference: 'dir:/etc'"),
        "gone": (accepted("n", f"{repository}@{other}"), "manifest unknown"),
        "tag": (accepted("n", pullspec), f"the tag is at {world.second.payload.digest} now"),
        "name": (
            accepted("4.99", world.second.pullspec),
            f"calls the release 4.99, its payload {world.second.name}",
        ),
    }


@pytest.mark.parametrize(
    "lie", ["not-json", "html", "empty", "huge", "file", "gone", "tag", "name"]
)
def test_a_controller_that_lies_is_not_believed(world: World, copied: Path, lie: str) -> None:
    reply, error = lies(world)[lie]
    url = world.controller.serve(f"/lie/{lie}", reply)
    (said,) = failed(copied, url, "--arch=amd64").said("error")
    assert said.startswith((f"{url}: ", f"{url} "))
    assert error in said
