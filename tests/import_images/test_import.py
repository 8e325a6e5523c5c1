"""The way end to end: a registry's image, the command, the branches, and the tree they mean.

The judges are umoci, which unpacks the same image, the kernel's overlayfs, and `ostree`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.images import definition
from layers.storage.image_record import big_data_file
from tests.tools import ostreerepo
from tests.tools.expected import STORE, checked_out_store, layer_ids, merged, private_ids, unpacked
from tests.tools.image import BuiltImage, BuiltIndex, Compression, build_index, build_oci
from tests.tools.importimage import SCRIPT, imported, run_import
from tests.tools.ostreerepo import checkout, fsck, heads, ls, refs, rev_parse
from tests.tools.podman import Podman
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.snapshot import Snapshot, assert_same, snapshot
from tests.tools.store import store_images, store_layers
from tests.tools.tarbuild import Entry, opaque, whiteout

FIXTURES = sorted(
    path.stem for path in (Path(__file__).parent.parent.parent / "fixtures/images").glob("*.layers")
)
#: Every fixture as gzip and as zstd; one of them in every way that podman reads. That the
#: packing makes no difference to a layer's commit, test_determinism.py shows.
PACKINGS: list[tuple[str, Compression, bool]] = [
    *((name, "gzip", False) for name in FIXTURES),
    *((name, "zstd", False) for name in FIXTURES),
    ("deletions", "none", False),
    ("deletions", "none", True),
    ("deletions", "gzip", True),
]
BASE = [Entry(b"a", "dir", mode=0o755), Entry(b"a/f", content=b"f\n"), Entry(b"b", content=b"b\n")]
UPPER = [Entry(b"a", "dir", mode=0o700), opaque(b"a"), Entry(b"a/g"), whiteout(b"b")]
OTHER = [Entry(b"o", content=b"other\n")]


@pytest.fixture(scope="module")
def umoci_tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Snapshot]:
    """What umoci makes of a fixture; asked for once."""
    known: dict[str, Snapshot] = {}

    def tree(name: str) -> Snapshot:
        if name not in known:
            where = tmp_path_factory.mktemp("umoci")
            layers = definition.load(
                Path(__file__).parent.parent.parent / f"fixtures/images/{name}.layers"
            )
            build_oci(where / "layout", "t", layers)
            known[name] = unpacked(where / "layout", "t", where / "out")
        return known[name]

    return tree


def expected_layers(repo: Path, built: BuiltImage, cached: bool = False) -> list[dict[str, Any]]:
    """The document's `layers`, from the image and the branches; markers are counted apart."""
    ids = zip(layer_ids(built.diff_ids), private_ids(built.diff_ids), strict=True)
    return [
        {
            "digest": blob.digest,
            "diff_id": diff_id,
            "layer_id": layer_id,
            "store_layer_id": store_id,
            "commit": rev_parse(repo, f"oci/layer/{layer_id}"),
            "cached": cached,
            "size": blob.size,
            "whiteouts": quoted(repo, layer_id),
            "device_nodes": 0,
            "dropped_xattrs": 0,
        }
        for blob, diff_id, (layer_id, store_id) in zip(
            built.layers, built.diff_ids, ids, strict=True
        )
    ]


def quoted(repo: Path, layer_id: str) -> int:
    """How many quoted whiteouts a layer's branch has."""
    names = (path.rpartition("/")[2] for path in ls(repo, f"oci/layer/{layer_id}"))
    return sum(name.startswith(".ostree-wh.") for name in names)


def without_opaque(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The document's layers without the count of opaque markers."""
    return [{key: layer[key] for key in layer if key != "opaque"} for layer in layers]


# -- the tree --


@pytest.mark.root
@pytest.mark.parametrize(("name", "compression", "docker"), PACKINGS)
def test_a_fixture_means_what_umoci_unpacks(
    registry: Registry,
    tmp_path: Path,
    layout: Path,
    fixtures: Path,
    umoci_tree: Callable[[str], Snapshot],
    name: str,
    compression: Compression,
    docker: bool,
) -> None:
    repo = tmp_path / "repo"
    layers = definition.load(fixtures / f"{name}.layers")
    built = build_oci(layout, "t", layers, compression=compression, docker=docker)
    document = imported(repo, registry.push(built, f"fixture-{name}:{compression}-{docker}"))
    store = checked_out_store(repo, document["branch"], tmp_path / "out")
    ours = merged(store, built.image_id, tmp_path / "merged")
    assert_same(ours, umoci_tree(name), ("ours", "umoci"))
    fsck(repo)


@pytest.mark.root
def test_a_layers_branch_is_the_layers_tree_whiteouts_quoted(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE, UPPER])
    imported(repo, registry.push(built, "quoted:t"))
    upper = f"oci/layer/{layer_ids(built.diff_ids)[1]}"
    assert ls(repo, upper) == ["/.ostree-wh.b", "/a", "/a/.ostree-wh.f", "/a/g"]
    plain = snapshot(checkout(repo, upper, tmp_path / "plain", passthrough_whiteouts=False))
    mark = plain[b".ostree-wh.b"]
    assert (mark.kind, mark.mode, mark.uid, mark.gid, mark.size) == ("file", 0, 0, 0, 0)
    assert mark.xattrs == {}
    devices = snapshot(checkout(repo, upper, tmp_path / "devices"))
    assert {path: devices[path].device for path in (b"b", b"a/f")} == {b"b": (0, 0), b"a/f": (0, 0)}


# -- what is said --


def test_every_field_of_the_document(registry: Registry, tmp_path: Path, layout: Path) -> None:
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE, UPPER])
    reference = registry.push(built, "fields:t")
    outcome = run_import(repo, "--json", reference)
    (branch,) = [ref for ref in refs(repo) if ref.startswith("oci/image/")]
    document = outcome.document
    assert [layer["opaque"] for layer in document["images"][0]["layers"]] == [0, 1]
    assert [layer["whiteouts"] for layer in document["images"][0]["layers"]] == [0, 2]
    document["images"][0]["layers"] = without_opaque(document["images"][0]["layers"])
    fetched = built.config.size + sum(layer.size for layer in built.layers)
    assert document == {
        "commit": rev_parse(repo, branch),
        "branch": branch,
        "unchanged": False,
        "to": None,
        "artifacts": [],
        "fetched_bytes": fetched,
        "images": [
            {
                "reference": reference,
                "digest": built.digest,
                "image_id": built.image_id,
                "names": [reference],
                "commit": rev_parse(repo, branch),
                "branch": branch,
                "layers": expected_layers(repo, built),
            }
        ],
    }
    assert outcome.status == 0


def test_plain_output_is_the_commit_alone(registry: Registry, tmp_path: Path, layout: Path) -> None:
    repo = tmp_path / "repo"
    reference = registry.push(build_oci(layout, "t", [BASE]), "plain:t")
    outcome = run_import(repo, "--branch=os/b", reference)
    assert outcome.stdout == rev_parse(repo, "os/b") + "\n"
    assert "plain: done" in outcome.stderr


def test_a_layer_that_was_pulled_in_part_is_refused(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo, part = tmp_path / "repo", ostreerepo.init(tmp_path / "part")
    reference = registry.push(build_oci(layout, "t", [BASE]), "part:t")
    layer = imported(repo, reference)["images"][0]["layers"][0]["layer_id"]
    ostreerepo.ostree(part, "pull-local", "--commit-metadata-only", repo, f"oci/layer/{layer}")
    outcome = run_import(part, reference)
    assert outcome.status == 1
    assert f"oci/layer/{layer} was pulled in part only" in outcome.said("error")[0]
    ostreerepo.ostree(part, "pull-local", repo, f"oci/layer/{layer}")
    assert run_import(part, reference).status == 0


def test_quiet_says_nothing_but_the_commit(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo = tmp_path / "repo"
    reference = registry.push(build_oci(layout, "t", [BASE]), "quiet:t")
    outcome = run_import(repo, "--quiet", "--branch=os/b", reference)
    assert (outcome.stdout, outcome.stderr) == (rev_parse(repo, "os/b") + "\n", "")


def test_the_repo_may_be_named_by_the_environment(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo = tmp_path / "repo"
    reference = registry.push(build_oci(layout, "t", [BASE]), "environment:t")
    done = run(["env", f"OSTREE_REPO={repo}", SCRIPT, "--tls-verify=false", reference])
    assert done.strip() in heads(repo).values()
    assert ostreerepo.ostree(repo, "config", "get", "core.mode").strip() == "bare-user"


# -- a second time --


def test_a_second_import_fetches_nothing_and_moves_nothing(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE, UPPER])
    reference = registry.push(built, "twice:t")
    first = imported(repo, reference)
    before = heads(repo)
    commits = sorted((repo / "objects").glob("*/*.commit"))
    registry.blob_requests()
    second = run_import(repo, "--json", "--unchanged-exit-77", reference)
    assert registry.blob_requests() == []
    assert second.status == 77
    document = second.document
    assert (document["fetched_bytes"], document["unchanged"]) == (0, True)
    assert document["commit"] == first["commit"]
    layers = without_opaque(document["images"][0]["layers"])
    assert layers == expected_layers(repo, built, cached=True)
    assert heads(repo) == before
    assert sorted((repo / "objects").glob("*/*.commit")) == commits


def test_by_digest_a_second_import_asks_the_registry_for_nothing(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE])
    index = build_index(
        layout, "ix", [built, build_oci(layout, "arm", [BASE], architecture="arm64")]
    )
    references = [registry.push(built, "asleep"), registry.push(index, "asleep-index")]
    imported(repo, *references)
    registry.requests()
    outcome = run_import(repo, *references)
    assert (outcome.status, registry.requests()) == (0, [])


def test_unchanged_without_the_option_exits_0(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    reference = registry.push(build_oci(layout, "t", [BASE]), "unchanged:t")
    first = run_import(tmp_path / "repo", "--unchanged-exit-77", reference)
    second = run_import(tmp_path / "repo", reference)
    assert (first.status, second.status) == (0, 0)
    assert first.stdout == second.stdout


@pytest.mark.parametrize("form", ["store", "layers"])
def test_a_layer_with_a_branch_is_not_fetched_for_another_image(
    registry: Registry, tmp_path: Path, layout: Path, form: str
) -> None:
    repo = tmp_path / "repo"
    one = build_oci(layout, "one", [BASE, UPPER])
    two = build_oci(layout, "two", [BASE, OTHER])
    imported(repo, f"--form={form}", registry.push(one, f"share-{form}:one"))
    second = registry.push(two, f"share-{form}:two")
    registry.blob_requests()
    document = imported(repo, f"--form={form}", second)
    assert sorted(registry.blob_requests()) == sorted([two.config_digest, two.layer_digests[1]])
    assert [layer["cached"] for layer in document["images"][0]["layers"]] == [True, False]
    assert document["fetched_bytes"] == two.config.size + two.layers[1].size


def test_a_tag_that_moved_gives_a_new_commit_on_the_same_branch(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo = tmp_path / "repo"
    reference = registry.push(build_oci(layout, "one", [BASE]), "moved:t")
    first = imported(repo, reference)
    registry.push(build_oci(layout, "two", [BASE, OTHER]), "moved:t")
    second = imported(repo, reference)
    assert second["branch"] == first["branch"]
    assert second["unchanged"] is False
    assert rev_parse(repo, first["branch"]) == second["commit"] != first["commit"]
    fsck(repo)


# -- several images --


@pytest.fixture
def three(registry: Registry, layout: Path) -> list[BuiltImage]:
    """Images that share their base, one of them two layers."""
    return [
        build_oci(layout, "one", [BASE, UPPER]),
        build_oci(layout, "two", [BASE, UPPER, OTHER]),
        build_oci(layout, "three", [BASE, OTHER], config={"Cmd": ["three"]}),
    ]


@pytest.mark.root
def test_several_images_on_one_branch_are_one_store(
    registry: Registry, tmp_path: Path, layout: Path, three: list[BuiltImage]
) -> None:
    repo = tmp_path / "repo"
    references = [registry.push(image, f"several:{image.tag}") for image in three]
    registry.blob_requests()
    document = imported(repo, "--branch=os/images", *references)
    asked = registry.blob_requests()
    # A layer is its blob and its place: OTHER lies on two different ones.
    places = {
        (layer_id, digest)
        for image in three
        for layer_id, digest in zip(layer_ids(image.diff_ids), image.layer_digests, strict=True)
    }
    configs = [image.config_digest for image in three]
    assert sorted(asked) == sorted([*configs, *(digest for _, digest in places)])
    assert document["branch"] == "os/images"
    assert document["commit"] == rev_parse(repo, "os/images")
    assert [image["reference"] for image in document["images"]] == references
    assert not [ref for ref in refs(repo) if ref.startswith("oci/image/")]
    store = checked_out_store(repo, "os/images", tmp_path / "out")
    assert {image["id"] for image in store_images(store)} == {image.image_id for image in three}
    assert len(store_layers(store)) == 4
    for image in three:
        theirs = unpacked(layout, image.tag, tmp_path / f"umoci-{image.tag}")
        ours = merged(store, image.image_id, tmp_path / f"merged-{image.tag}")
        assert_same(ours, theirs, ("ours", "umoci"))


def test_several_images_without_a_branch_have_one_each(
    registry: Registry, tmp_path: Path, three: list[BuiltImage]
) -> None:
    repo = tmp_path / "repo"
    references = [registry.push(image, f"each:{image.tag}") for image in three]
    outcome = run_import(repo, *references)
    document = imported(repo, *references)
    assert (document["commit"], document["branch"], document["unchanged"]) == (None, None, True)
    branches = [image["branch"] for image in document["images"]]
    assert len(set(branches)) == 3
    assert [image["commit"] for image in document["images"]] == outcome.stdout.split()
    assert [rev_parse(repo, branch) for branch in branches] == outcome.stdout.split()


def test_the_same_reference_twice_is_once(
    registry: Registry, tmp_path: Path, three: list[BuiltImage]
) -> None:
    reference = registry.push(three[0], "same:one")
    document = imported(tmp_path / "repo", reference, reference)
    assert len(document["images"]) == 1


@pytest.mark.root
def test_an_image_by_tag_and_by_digest_is_one_record_with_both_names(
    registry: Registry, tmp_path: Path, three: list[BuiltImage]
) -> None:
    repo = tmp_path / "repo"
    by_tag = registry.push(three[0], "both:one")
    by_digest = registry.by_digest(three[0], "both")
    imported(repo, "--branch=os/b", by_tag, by_digest)
    (record,) = store_images(checked_out_store(repo, "os/b", tmp_path / "out"))
    assert record["names"] == sorted([by_tag, by_digest])


def test_the_form_layers_makes_layers_alone(
    registry: Registry, tmp_path: Path, three: list[BuiltImage]
) -> None:
    repo = tmp_path / "repo"
    references = [registry.push(image, f"alone:{image.tag}") for image in three[:2]]
    outcome = run_import(repo, "--form=layers", *references)
    ids = layer_ids(three[1].diff_ids)
    assert {ref for ref in refs(repo) if not ref.startswith("oci/tar-split/")} == {
        f"oci/layer/{layer_id}" for layer_id in ids
    }
    assert outcome.stdout.split() == [rev_parse(repo, f"oci/layer/{one}") for one in ids]
    document = run_import(repo, "--json", "--form=layers", *references).document
    assert (document["commit"], document["branch"], document["unchanged"]) == (None, None, True)
    assert [image["commit"] for image in document["images"]] == [None, None]
    # Then the store costs nothing more of the layers.
    after = imported(repo, references[0])
    assert [layer["cached"] for layer in after["images"][0]["layers"]] == [True, True]


# -- platforms --


@pytest.fixture(params=[False, True], ids=["oci", "docker"])
def index(layout: Path, request: pytest.FixtureRequest) -> BuiltIndex:
    """An index or manifest list for two architectures, of different content."""
    docker = bool(request.param)
    images = [
        build_oci(layout, "amd64", [BASE], docker=docker),
        build_oci(layout, "arm64", [OTHER], docker=docker, architecture="arm64", variant="v8"),
    ]
    return build_index(layout, "index", images, docker=docker)


def documents_in(store: Path, image_id: str) -> dict[str, bytes]:
    """The big data of an image by key, read as the record says."""
    (record,) = [one for one in store_images(store) if one["id"] == image_id]
    folder = store / "overlay-images" / image_id
    return {key: (folder / big_data_file(key)).read_bytes() for key in record["big-data-names"]}


@pytest.mark.root
@pytest.mark.parametrize(("flags", "chosen"), [(["--arch=amd64"], 0), (["--arch=arm64"], 1)])
def test_an_index_gives_the_image_for_the_platform(
    registry: Registry, tmp_path: Path, index: BuiltIndex, flags: list[str], chosen: int
) -> None:
    repo = tmp_path / "repo"
    image = index.images[chosen]
    reference = registry.push(index, f"platform:{chosen}")
    document = imported(repo, *flags, reference)
    found = document["images"][0]
    by_digest = registry.by_digest(index, "platform")
    assert found["digest"] == index.digest
    assert found["image_id"] == image.image_id
    assert found["names"] == [reference, by_digest]
    store = checked_out_store(repo, document["branch"], tmp_path / "out")
    assert documents_in(store, image.image_id) == {
        "manifest": image.read(image.manifest),
        f"manifest-{image.digest}": image.read(image.manifest),
        f"manifest-{index.digest}": index.read(),
        image.config_digest: image.read(image.config),
    }


def test_without_arch_it_is_this_machines(
    registry: Registry, tmp_path: Path, index: BuiltIndex
) -> None:
    machine = run(["dpkg", "--print-architecture"]).strip()
    document = imported(tmp_path / "repo", registry.push(index, "here:t"))
    chosen = [one for one in index.images if one.platform["architecture"] == machine]
    assert [document["images"][0]["image_id"]] == [one.image_id for one in chosen]


def test_another_platform_on_the_same_branch_is_not_the_first_ones_copy(
    registry: Registry, tmp_path: Path, index: BuiltIndex
) -> None:
    repo = tmp_path / "repo"
    reference = registry.push(index, "both-platforms:t")
    first = imported(repo, "--arch=amd64", reference)
    second = imported(repo, "--arch=arm64", reference)
    assert first["branch"] == second["branch"]
    ids = [document["images"][0]["image_id"] for document in (first, second)]
    assert ids == [one.image_id for one in index.images]


def test_an_architecture_that_is_not_there(
    registry: Registry, tmp_path: Path, index: BuiltIndex
) -> None:
    repo = tmp_path / "repo"
    outcome = run_import(repo, "--arch=s390x", registry.push(index, "absent:t"))
    assert outcome.status == 1
    assert len(outcome.said("error")) == 1
    assert "--arch" in outcome.said("hint")[0]
    assert refs(repo) == []


def test_an_image_for_one_platform_is_taken_unless_another_is_asked_for(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    repo = tmp_path / "repo"
    reference = registry.push(build_oci(layout, "t", [BASE], architecture="s390x"), "foreign:t")
    assert imported(repo, "--branch=os/b", reference)["unchanged"] is False
    outcome = run_import(repo, "--arch=arm64", "--branch=os/c", reference)
    assert outcome.status == 1
    assert "s390x" in outcome.said("error")[0]
    assert "os/c" not in refs(repo)


# -- the store --


@pytest.mark.root
def test_prefix_says_where_the_store_lies(registry: Registry, tmp_path: Path, layout: Path) -> None:
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE])
    reference = registry.push(built, "prefix:t")
    document = imported(repo, "--prefix=/usr/share/containers/storage", reference)
    store = checked_out_store(
        repo, document["branch"], tmp_path / "out", "usr/share/containers/storage"
    )
    assert [record["id"] for record in store_images(store)] == [built.image_id]
    assert not (tmp_path / "out" / STORE).exists()
    assert imported(repo, reference)["commit"] != document["commit"]


@pytest.mark.parametrize(
    "prefix",
    ["usr/lib", "/", "/a//b", "/a/../b", "/a/.ostree-wh.b", "/" + "n" * 256, "/a\udcff"],
)
def test_a_prefix_that_no_device_could_have_is_a_usage_error(repo: Path, prefix: str) -> None:
    outcome = run_import(repo, f"--prefix={prefix}", "oci:/nonexistent:t")
    assert (outcome.status, "invalid value for '--prefix'" in outcome.stderr) == (2, True)


@pytest.mark.parametrize(
    ("there", "wanted"), [("os", "os/images"), ("os", "os/a/b"), ("os/a/b", "os"), ("os/a", "os")]
)
def test_a_branch_that_another_one_leaves_no_place_for(
    registry: Registry, repo: Path, layout: Path, there: str, wanted: str
) -> None:
    reference = registry.push(build_oci(layout, "t", [BASE]), "place:t")
    imported(repo, f"--branch={there}", reference)
    outcome = run_import(repo, f"--branch={wanted}", reference)
    assert outcome.status == 1
    assert outcome.said("error") == [f"no branch {wanted} can be beside branch {there}"]
    onto = run_import(repo, f"--onto={wanted}", "--branch=x", reference)
    assert onto.said("error") == [f"the repo has no branch {wanted}"]


@pytest.mark.root
def test_the_same_blob_twice_in_an_image(registry: Registry, tmp_path: Path, layout: Path) -> None:
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE, OTHER, BASE, []])
    document = imported(repo, registry.push(built, "again:t"))
    assert len({layer["layer_id"] for layer in document["images"][0]["layers"]}) == 4
    store = checked_out_store(repo, document["branch"], tmp_path / "out")
    theirs = unpacked(layout, "t", tmp_path / "umoci")
    assert_same(merged(store, built.image_id, tmp_path / "merged"), theirs, ("ours", "umoci"))


def test_the_layers_of_the_record_are_the_layers_of_the_image(
    registry: Registry, tmp_path: Path, layout: Path
) -> None:
    """The record's values, from the image alone: podman is asked in test_podman.py."""
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE, UPPER], compression=["zstd", "none"])
    document = imported(repo, registry.push(built, "record:t"))
    text = ostreerepo.ostree(
        repo, "cat", document["branch"], f"/{STORE}/overlay-layers/layers.json"
    )
    base, upper = json.loads(text)
    ids = private_ids(built.diff_ids)
    assert (base["id"], upper["id"], upper["parent"]) == (*ids, ids[0])
    assert "parent" not in base
    for record, blob, diff_id in zip((base, upper), built.layers, built.diff_ids, strict=True):
        assert record["diff-digest"] == diff_id
        assert record["compressed-diff-digest"] == blob.digest
        assert record["compressed-size"] == blob.size
    assert (base["compression"], upper.get("compression")) == (4, None)
    assert upper["diff-size"] == built.layers[1].size


# -- other transports --


def copied(layout: Path, tag: str, destination: str, *flags: str) -> str:
    """`skopeo copy` from the layout to another transport."""
    run(["skopeo", "copy", "--quiet", *flags, f"oci:{layout}:{tag}", destination])
    return destination


@pytest.mark.root
@pytest.mark.parametrize("transport", ["oci", "oci-archive", "dir", "docker-archive"])
def test_other_transports(tmp_path: Path, layout: Path, transport: str) -> None:
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE, UPPER])
    target = tmp_path / "copy"
    names = {
        "oci": f"oci:{layout}:t",
        "oci-archive": f"oci-archive:{target}",
        "dir": f"dir:{target}",
        "docker-archive": f"docker-archive:{target}:example.org/one:two",
    }
    if transport != "oci":
        copied(layout, "t", names[transport])
    document = imported(repo, names[transport])
    (image,) = document["images"]
    named = transport == "docker-archive"
    assert image["names"] == (["example.org/one:two"] if named else [])
    assert image["image_id"] == built.image_id
    assert [layer["diff_id"] for layer in image["layers"]] == list(built.diff_ids)
    store = checked_out_store(repo, document["branch"], tmp_path / "out")
    theirs = unpacked(layout, "t", tmp_path / "umoci")
    assert_same(merged(store, built.image_id, tmp_path / "merged"), theirs, ("ours", "umoci"))
    again = imported(repo, names[transport])
    assert (again["unchanged"], again["fetched_bytes"]) == (True, 0)


def test_a_name_for_an_image_whose_transport_has_none(tmp_path: Path, layout: Path) -> None:
    built = build_oci(layout, "t", [BASE])
    document = imported(tmp_path / "repo", f"registry.example.org/some/name:1=oci:{layout}:t")
    assert document["images"][0]["names"] == ["registry.example.org/some/name:1"]
    assert document["images"][0]["image_id"] == built.image_id


@pytest.mark.parametrize(("arch", "chosen"), [("amd64", 0), ("arm64", 1)])
def test_an_oci_layout_with_an_index(tmp_path: Path, layout: Path, arch: str, chosen: int) -> None:
    images = [
        build_oci(layout, "one", [BASE]),
        build_oci(layout, "two", [OTHER], architecture="arm64"),
    ]
    index = build_index(layout, "index", images)
    document = imported(tmp_path / "repo", f"--arch={arch}", f"oci:{layout}:index")
    (image,) = document["images"]
    assert (image["digest"], image["image_id"]) == (index.digest, images[chosen].image_id)


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_directory_with_an_index(
    registry: Registry, tmp_path: Path, index: BuiltIndex, arch: str
) -> None:
    reference = registry.push(index, f"to-dir:{arch}")
    flags = ["--quiet", "--all", "--src-tls-verify=false"]
    run(["skopeo", "copy", *flags, f"docker://{reference}", f"dir:{tmp_path / 'copy'}"])
    (image,) = imported(tmp_path / "repo", f"--arch={arch}", f"dir:{tmp_path / 'copy'}")["images"]
    (chosen,) = [one for one in index.images if one.platform["architecture"] == arch]
    assert (image["digest"], image["image_id"]) == (index.digest, chosen.image_id)


@pytest.mark.root
def test_containers_storage_of_a_pulled_image(
    registry: Registry, podman: Podman, tmp_path: Path, layout: Path
) -> None:
    """podman keeps the manifest that it pulled, and the layers unpacked."""
    repo = tmp_path / "repo"
    built = build_oci(layout, "t", [BASE, UPPER])
    reference = registry.push(built, "stored:t")
    podman("pull", "--quiet", "--tls-verify=false", reference)
    document = imported(repo, f"containers-storage:{reference}", env=podman.environment)
    (image,) = document["images"]
    assert (image["names"], image["digest"]) == ([reference], built.digest)
    assert [layer["digest"] for layer in image["layers"]] == list(built.layer_digests)
    # The very layers of the registry's image: nothing of them is fetched any more.
    registry.blob_requests()
    assert imported(repo, reference)["fetched_bytes"] == built.config.size
    assert registry.blob_requests() == [built.config_digest]
    by_id = f"containers-storage:@{built.image_id}"
    other = imported(repo, f"example.org/x:1={by_id}", env=podman.environment)
    assert other["images"][0]["names"] == ["example.org/x:1"]
    store = checked_out_store(repo, document["branch"], tmp_path / "out")
    theirs = unpacked(layout, "t", tmp_path / "umoci")
    assert_same(merged(store, built.image_id, tmp_path / "merged"), theirs, ("ours", "umoci"))
