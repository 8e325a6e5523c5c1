"""`--onto`: the store in a new commit of an operating system, and nothing else changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.busybox import busybox_layer
from tests.tools.entry import Entry, whiteout
from tests.tools.expected import STORE, merged, private_ids, unpacked
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.osbase import commit_os, metadata, os_tree
from tests.tools.ostreerepo import checkout, fsck, init, ls, ostree, rev_parse
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot
from tests.tools.store import store_images, store_layers
from tests.tools.storecommand import answered

BASE = [Entry(b"a", content=b"a\n"), Entry(b"b", content=b"b\n")]
TOP = [whiteout(b"a"), Entry(b"c", content=b"c\n")]
OTHER = [Entry(b"o", content=b"other\n")]
CONF = "usr/etc/containers/storage.conf"
COMPOSEFS = {"usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = yes\n"}
# Nobody listens there: what is asked for an image of it ends with another error.
NOWHERE = "127.0.0.1:1/no/image:t"
STORAGE_CONF = """\
# Ours.
[storage]
driver = "overlay"  # the only one
graphroot = "/data"

[storage.options]
additionalimagestores = [
  "/first",  # kept
]
"""


@pytest.fixture
def image(registry: Registry, layout: Path) -> tuple[str, BuiltImage]:
    """An image whose second layer deletes a file, in the registry."""
    built = build_oci(layout, "t", [BASE, TOP], created="2024-05-06T07:08:09Z")
    return registry.push(built, "onto/t"), built


def put(repo: Path, *arguments: str, branch: str = "apps") -> dict[str, Any]:
    """An import onto `os`."""
    return imported(repo, "--onto=os", f"--branch={branch}", *arguments)


def refusal(repo: Path, *arguments: str, status: int = 1) -> str:
    """What is said where an import onto `os` has to fail, with no branch moved."""
    outcome = run_import(repo, "--onto=os", "--branch=apps", *arguments)
    assert outcome.status == status, outcome.stderr
    assert "apps" not in ostree(repo, "refs").split()
    return outcome.stderr


@pytest.mark.root
def test_everything_but_the_store_stays_as_it_is(
    repo: Path, tmp_path: Path, layout: Path, image: tuple[str, BuiltImage]
) -> None:
    root = os_tree(tmp_path / "root")
    (root / "usr/lib").chmod(0o711)
    commit_os(repo, "os", root)
    put(repo, image[0])
    out = checkout(repo, "apps", tmp_path / "out")
    ours, theirs = snapshot(out), snapshot(checkout(repo, "os", tmp_path / "theirs"))
    added = {path for path in ours if path.startswith(b"usr/lib/containers")}
    assert_same({p: n for p, n in ours.items() if p not in added}, theirs, ("onto", "base"))
    assert_same(
        merged(out / STORE, image[1].image_id, tmp_path / "merged"),
        unpacked(layout, "t", tmp_path / "umoci"),
        ("store", "umoci"),
    )
    fsck(repo)


def test_the_metadata_of_the_base_is_kept_but_what_would_be_wrong_of_the_result(
    tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    """The ref binding has to name the new branch, or `ostree pull` refuses it; the list of
    sizes, which only archive repos have, is one of the base's objects."""
    repo = init(tmp_path / "archive", "archive")
    more = ("--add-metadata=some.number=uint64 7", "--add-metadata=a.list=['x', 'y']")
    base = commit_os(repo, "os", os_tree(tmp_path / "root"), "--generate-sizes", *more)
    made = put(repo, image[0])
    before, after = metadata(repo, base), metadata(repo, made["commit"])
    assert "ostree.sizes" in before
    assert before["ostree.ref-binding"] == "['os']\n"
    assert after == {
        **{key: before[key] for key in ("version", "ostree.bootable", "ostree.linux")},
        **{key: before[key] for key in ("some.number", "a.list")},
        "ostree.ref-binding": "['apps']\n",
        "import-image.base": f"'{base}'\n",
        "import-image.form": "'store'\n",
        "import-image.layer-ids": "'private'\n",
        "import-image.prefix": f"'/{STORE}'\n",
    }
    assert "2024-05-06 07:08:09" in ostree(repo, "show", "apps")  # the image is newer


def test_the_result_is_a_function_of_base_and_images(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path, image: tuple[str, BuiltImage]
) -> None:
    other = registry.push(build_oci(layout, "o", [BASE, OTHER]), "onto/other")
    commit_os(repo, "os", os_tree(tmp_path / "root"))
    first = put(repo, image[0], other)
    again = put(repo, other, image[0])
    assert (again["commit"], again["unchanged"]) == (first["commit"], True)
    commit_os(repo, "os", os_tree(tmp_path / "root2", version="2"), version="2")
    assert put(repo, image[0], other)["commit"] != first["commit"]


@pytest.mark.root
def test_a_newer_base_gives_its_own_time(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    stamp = "--timestamp=2031-02-03T04:05:06Z"
    commit_os(repo, "os", os_tree(tmp_path / "root"), stamp=stamp)
    put(repo, image[0])
    assert "2031-02-03 04:05:06" in ostree(repo, "show", "apps")


def test_what_it_needs_is_said(repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]) -> None:
    assert "has no branch os" in refusal(repo, image[0])
    commit_os(repo, "os", os_tree(tmp_path / "root"))
    for arguments in (
        ["--onto=os"],
        ["--onto=os", "--branch=os"],
        ["--onto=os", "--branch=x", "--form=layers"],
        ["--existing-store=merge"],
        ["--selinux-policy=base"],
    ):
        outcome = run_import(repo, *arguments, image[0])
        assert (outcome.status, "usage:" in outcome.stderr) == (2, True)


def test_a_prefix_that_leads_through_a_symlink_is_refused(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root"))
    said = refusal(repo, "--prefix=/lib/store", image[0])
    assert "/lib of the base commit is not a directory" in said
    assert put(repo, "--prefix=/usr/share/store", image[0])["commit"]
    assert "/usr/share/store/overlay/l" in ls(repo, "apps", "/usr/share/store")


def test_a_base_that_was_pulled_in_part_is_refused(repo: Path, tmp_path: Path) -> None:
    """Nothing of it that stays as it is would be looked at: the result would lack objects."""
    commit_os(repo, "os", os_tree(tmp_path / "root"))
    part = init(tmp_path / "part", "archive")
    ostree(part, "remote", "add", "--no-gpg-verify", "builds", f"file://{repo}")
    ostree(part, "pull", "--subpath=/usr", "builds", "os")
    outcome = run_import(part, "--onto=builds:os", "--branch=apps", NOWHERE)
    assert outcome.status == 1
    assert "builds:os was pulled in part only" in outcome.stderr
    ostree(part, "pull", "builds", "os")
    assert (
        "pulled in part"
        not in run_import(part, "--onto=builds:os", "--branch=apps", NOWHERE).stderr
    )


@pytest.mark.parametrize(
    ("files", "flags", "said"),
    [
        ({}, ["--onto=other"], "has no branch other"),
        ({}, ["--prefix=/lib/store"], "is not a directory"),
        ({}, ["--selinux-policy=base"], "has no SELinux policy"),
        ({f"{STORE}/overlay-images/images.json": '[{"id":"a"}]'}, [], "has a store at"),
        # Nothing names such a layer, but somebody has put it there.
        ({f"{STORE}/overlay/a/diff/f": "f\n"}, [], "has a store at"),
        ({CONF: "driver = overlay\n"}, ["--storage-conf"], "not TOML"),
        ({"usr/lib/ostree/prepare-root.conf": "enabled\n"}, [], "is not a key file"),
    ],
)
def test_what_no_image_could_mend_is_found_before_one_is_asked_for(
    repo: Path, tmp_path: Path, files: dict[str, str], flags: list[str], said: str
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root", files))
    assert said in refusal(repo, *flags, NOWHERE)
    assert ostree(repo, "refs").split() == ["os"]


# -- an existing store --


def with_store(repo: Path, tmp_path: Path, reference: str) -> None:
    """`os` becomes an OS that has this image in its store already, and a file beside it."""
    commit_os(repo, "plain", os_tree(tmp_path / "plain", {f"{STORE}/note": "kept\n"}))
    imported(repo, "--onto=plain", "--branch=os", reference)


def test_an_existing_store_is_not_mixed_up_by_accident(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path, image: tuple[str, BuiltImage]
) -> None:
    with_store(repo, tmp_path, registry.push(build_oci(layout, "o", [BASE, OTHER]), "onto/o2"))
    said = refusal(repo, image[0])
    assert "has a store at /usr/lib/containers/storage already" in said
    assert "--existing-store=merge" in said


@pytest.mark.root
def test_a_replaced_store_has_the_new_images_only(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path, image: tuple[str, BuiltImage]
) -> None:
    with_store(repo, tmp_path, registry.push(build_oci(layout, "o", [BASE, OTHER]), "onto/o3"))
    put(repo, "--existing-store=replace", image[0])
    imported(repo, "--branch=alone", image[0])
    store = checkout(repo, "apps", tmp_path / "out") / STORE
    assert (store / "note").read_text() == "kept\n"
    (store / "note").unlink()
    alone = checkout(repo, "alone", tmp_path / "alone") / STORE
    assert_same(snapshot(store), snapshot(alone), ("replaced", "alone"))


@pytest.mark.root
def test_a_merged_store_has_the_images_of_both(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    config = {"Cmd": ["cat", "/o"]}
    shared = [busybox_layer(), BASE]
    old = build_oci(layout, "o", [*shared, OTHER], config=config)
    new = build_oci(layout, "t", [*shared, TOP], config={"Cmd": ["cat", "/c"]})
    references = [registry.push(one, f"onto/{one.tag}m:1") for one in (old, new)]
    with_store(repo, tmp_path, references[0])
    put(repo, "--existing-store=merge", references[1])
    store = checkout(repo, "apps", tmp_path / "out") / STORE
    before = checkout(repo, "os", tmp_path / "before") / STORE
    assert {image["id"] for image in store_images(store)} == {old.image_id, new.image_id}
    assert len(store_layers(store)) == 4
    kept, had = snapshot(store / "overlay"), snapshot(before / "overlay")
    assert_same({path: kept[path] for path in had}, had, ("merged", "before"))
    podman = new_podman(tmp_path / "podman", store)
    assert [podman.run(reference) for reference in references] == ["other\n", "c\n"]
    podman("system", "check")
    for built in (old, new):
        assert_same(
            merged(store, built.image_id, tmp_path / f"m-{built.tag}"),
            unpacked(layout, built.tag, tmp_path / f"u-{built.tag}"),
            ("merged store", "umoci"),
        )
    # The same images in one call are the same records, in whatever order they came.
    imported(repo, "--branch=both", *references)
    both = checkout(repo, "both", tmp_path / "both") / STORE
    assert store_images(store) == store_images(both)
    assert {layer["id"] for layer in store_layers(store)} == {
        layer["id"] for layer in store_layers(both)
    }


@pytest.mark.root
def test_in_a_merged_store_a_tag_belongs_to_the_image_that_came_last(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    first = build_oci(layout, "1", [BASE])
    second = build_oci(layout, "2", [BASE, OTHER])
    with_store(repo, tmp_path, registry.push(first, "onto/moving:1"))
    tag = registry.push(second, "onto/moving:1")
    put(repo, "--existing-store=merge", tag)
    store = checkout(repo, "apps", tmp_path / "out") / STORE
    names = {image["id"]: image["names"] for image in store_images(store)}
    assert names == {first.image_id: [], second.image_id: [tag]}
    podman = new_podman(tmp_path / "podman", store)
    assert podman.inspect(tag)["Id"] == second.image_id


@pytest.mark.root
def test_a_store_that_podman_wrote_keeps_its_records_and_links(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    """Its links have random names, by which its layers know each other."""
    old = build_oci(layout, "o", [BASE, OTHER])
    owner = new_podman(tmp_path / "owner")
    owner("pull", "--quiet", "--tls-verify=false", registry.push(old, "onto/podmans:1"))
    owner("manifest", "create", "localhost/list:1")
    root = os_tree(tmp_path / "root")
    (root / STORE).mkdir(parents=True)
    for name in ("overlay", "overlay-layers", "overlay-images"):
        (owner.home / "root" / name).rename(root / STORE / name)
    for folder in (root / STORE / "overlay").iterdir():
        for name in ("merged", "work", "empty"):
            if (folder / name).is_dir():
                (folder / name).rmdir()
    commit_os(repo, "os", root)
    new = build_oci(layout, "t", [BASE, OTHER, TOP])
    reference = registry.push(new, "onto/newer:1")
    put(repo, "--existing-store=merge", reference)
    store = checkout(repo, "apps", tmp_path / "out") / STORE
    podman = new_podman(tmp_path / "podman", store)
    assert len(podman.images()) == 3
    assert len(answered(repo, "list", "apps")["images"]) == 2
    for built in (old, new):
        assert_same(
            merged(store, built.image_id, tmp_path / f"m-{built.tag}"),
            unpacked(layout, built.tag, tmp_path / f"u-{built.tag}"),
            ("merged store", "umoci"),
        )
    with podman.mounted(reference) as mounted:
        assert_same(snapshot(mounted), unpacked(layout, "t", tmp_path / "u"))
    answered(repo, "remove", "--branch=apps", reference)
    less = new_podman(tmp_path / "less", checkout(repo, "apps", tmp_path / "removed") / STORE)
    assert len(less.images()) == 2
    less("manifest", "exists", "localhost/list:1")


@pytest.mark.root
def test_a_layer_with_other_files_under_the_same_id_is_refused(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "plain", os_tree(tmp_path / "plain"))
    imported(repo, "--onto=plain", "--branch=store", image[0])
    tampered = checkout(repo, "store", tmp_path / "tampered", passthrough_whiteouts=False)
    base = private_ids(image[1].diff_ids)[0]
    (tampered / STORE / "overlay" / base / "diff/a").write_text("something else\n")
    commit_os(repo, "os", tampered)
    said = refusal(repo, "--existing-store=merge", image[0])
    assert f"layer {base} with other files" in said


# -- storage.conf --


@pytest.mark.root
def test_storage_conf_names_the_store(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root"))
    put(repo, "--storage-conf", "--prefix=/usr/share/images", image[0])
    out = checkout(repo, "apps", tmp_path / "out")
    text = (out / CONF).read_text()
    assert 'additionalimagestores = ["/usr/share/images"]' in text
    assert (out / CONF).stat().st_mode & 0o7777 == 0o644
    podman = new_podman(tmp_path / "podman")
    ours = text.replace("/usr/share/images", str(out / "usr/share/images"))
    ours = ours.replace("/var/lib/containers/storage", str(podman.home / "root"))
    ours = ours.replace("/run/containers/storage", str(podman.home / "run"))
    (podman.home / "storage.conf").write_text(ours)
    (found,) = podman.images()
    assert (found["Id"], found["ReadOnly"]) == (image[1].image_id, True)


@pytest.mark.root
@pytest.mark.parametrize("where", [CONF, "etc/containers/storage.conf"])
def test_storage_conf_is_merged_into_the_one_that_is_there(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage], where: str
) -> None:
    root = os_tree(tmp_path / "root", {where: STORAGE_CONF})
    (root / where).chmod(0o600)
    if where.startswith("etc"):
        (root / "usr/etc/hosts").unlink()
        (root / "usr/etc").rmdir()
    commit_os(repo, "os", root)
    put(repo, "--storage-conf", image[0])
    out = checkout(repo, "apps", tmp_path / "out")
    expected = STORAGE_CONF.replace("kept\n", f'kept\n  "/{STORE}",\n')
    assert (out / where).read_text() == expected
    assert (out / where).stat().st_mode & 0o7777 == 0o600
    assert len(list(out.rglob("storage.conf"))) == 1


def test_storage_conf_begins_as_the_vendors_which_it_would_hide(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(
        repo, "os", os_tree(tmp_path / "r", {"usr/share/containers/storage.conf": STORAGE_CONF})
    )
    put(repo, "--storage-conf", image[0])
    text = ostree(repo, "cat", "apps", f"/{CONF}")
    assert text.startswith("# Ours.\n")
    assert f'"/{STORE}"' in text
    put(repo, "--storage-conf", "--prefix=/first", image[0], branch="named")
    assert f"/{CONF}" not in ls(repo, "named", "/usr/etc")


def test_a_storage_conf_that_cannot_be_merged_is_an_error(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    root = os_tree(tmp_path / "root", {CONF: "driver = overlay\n"})
    commit_os(repo, "os", root)
    assert f"/{CONF} of the base commit: storage.conf:1: not TOML" in refusal(
        repo, "--storage-conf", image[0]
    )
    (root / CONF).unlink()
    (root / CONF).symlink_to("elsewhere")
    commit_os(repo, "os", root)
    assert "is a symlink" in refusal(repo, "--storage-conf", image[0])


def test_storage_conf_without_an_operating_system(
    repo: Path, image: tuple[str, BuiltImage]
) -> None:
    imported(repo, "--storage-conf", "--branch=x", image[0])
    assert f'["/{STORE}"]' in ostree(repo, "cat", "x", f"/{CONF}")


# -- composefs --


@pytest.mark.parametrize("enabled", ["yes", "true", "maybe", "signed", "verity"])
def test_quoted_whiteouts_are_refused_where_composefs_would_show_them(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage], enabled: str
) -> None:
    files = {"usr/lib/ostree/prepare-root.conf": f"# c\n[composefs]\nenabled={enabled}\n"}
    commit_os(repo, "os", os_tree(tmp_path / "root", files))
    said = refusal(repo, "--whiteouts=quoted", image[0])
    assert "enables composefs, which would show quoted whiteouts as files" in said
    assert "without --whiteouts=quoted" in said


def test_no_whiteouts_are_written_where_composefs_would_not_see_them(
    repo: Path, tmp_path: Path, layout: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root", COMPOSEFS))
    outcome = run_import(repo, "--onto=os", "--branch=apps", image[0])
    assert "the base commit enables composefs, which shows no whiteouts" in outcome.stderr
    assert not [path for path in ls(repo, "apps") if ".ostree-wh." in path]
    tree = checkout(repo, "apps", tmp_path / "apps", passthrough_whiteouts=False)
    ours = merged(tree / STORE, image[1].image_id, tmp_path / "merged")
    assert_same(ours, unpacked(layout, "t", tmp_path / "umoci"), ("store", "umoci"))
    assert metadata(repo, "apps")["import-image.store-whiteouts"] == "'none'\n"
    put(repo, "--flatten", image[0])
    assert not [path for path in ls(repo, "apps") if ".ostree-wh." in path]


def test_a_store_without_whiteouts_may_go_onto_composefs(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root", COMPOSEFS))
    put(repo, registry.push(build_oci(layout, "t", [BASE, OTHER]), "onto/plain"))


def test_whiteouts_of_the_store_that_is_there_are_refused_as_well(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "plain", os_tree(tmp_path / "root", COMPOSEFS))
    imported(repo, "--branch=store", image[0])
    both = ("--tree=ref=plain", "--tree=ref=store")
    ostree(repo, "commit", "--branch=os", *both)
    said = refusal(repo, "--flatten", "--existing-store=merge", image[0])
    assert "its own store has whiteouts" in said
    assert "--existing-store=replace" in said
    put(repo, "--flatten", "--existing-store=replace", image[0])


def test_composefs_that_is_switched_off_in_etc_is_off(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    off = {"usr/etc/ostree/prepare-root.conf": "[composefs]\nenabled = no\n"}
    commit_os(repo, "os", os_tree(tmp_path / "root", {**COMPOSEFS, **off}))
    put(repo, image[0])


def test_a_composefs_digest_of_the_base_is_not_kept_as_if_it_were_ours(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    """Debian's libostree cannot compute one, so there it is an error."""
    digest = f"--add-metadata=ostree.composefs.digest.v0=[byte {', '.join(['0x01'] * 32)}]"
    commit_os(repo, "os", os_tree(tmp_path / "root"), digest)
    outcome = run_import(repo, "--onto=os", "--branch=apps", image[0])
    if outcome.status == 0:
        assert metadata(repo, "apps")["ostree.composefs.digest.v0"].count("0x01") < 32
    else:
        assert "computing the composefs digest" in outcome.stderr
        assert "built with composefs" in outcome.stderr


def test_the_json_names_commit_and_branch(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root"))
    made = put(repo, image[0])
    assert (made["commit"], made["branch"]) == (rev_parse(repo, "apps"), "apps")
    assert json.dumps(made)
