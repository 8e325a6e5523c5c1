"""`image-store verify` and what only the commit tells: which images it has, by which names, and
which operating system it is made from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from importer.repo.writer import Repo
from tests.tools.entry import Entry
from tests.tools.expected import STORE, layer_ids
from tests.tools.image import BuiltImage, ImagePair, build_index, build_oci
from tests.tools.importimage import imported, imported_storage
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import ostree, rev_parse
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.releaseworld import AMD64
from tests.tools.store import store_images
from tests.tools.storecommand import answered
from tests.tools.tamper import LooseStore, loose
from tests.verify.test_verify import findings

BASE = [Entry(b"a", content=b"a\n")]
OTHER = [Entry(b"o", content=b"other\n")]


@pytest.fixture
def two(registry: Registry, layout: Path) -> ImagePair:
    one, other = build_oci(layout, "one", [BASE]), build_oci(layout, "two", [BASE, OTHER])
    names = (registry.push(one, "said/one:1"), registry.push(other, "said/two:1"))
    return ImagePair(one, other, names)


def altered(repo: Path, branch: str, where: Path, alter: Callable[[LooseStore], None]) -> list[str]:
    """What verify finds if the store is altered in a commit that says what this one says."""
    where.mkdir(exist_ok=True)
    store = loose(repo, branch, where / "altered")
    alter(store)
    commit = Repo.open(repo).commit(rev_parse(repo, branch))
    values = {key: value for key, value in commit.metadata.items() if isinstance(value, str)}
    texts = [f"--add-metadata-string={key}={value}" for key, value in values.items()]
    said = (f"--body={commit.message.body}", *texts)
    ostree(repo, "commit", "--branch=altered", *said, f"--tree=dir={store.root}")
    return [str(finding) for finding in findings(repo, "altered")]


def renaming(image: BuiltImage, *names: str) -> Callable[[LooseStore], None]:
    """Gives the image these names."""
    return lambda store: store.edit_image(image.image_id, names=list(names))


def lacks(image: str, name: str) -> list[str]:
    return [f"{image}: lacks the name {name}, which the commit says that it has"]


# --- names ---


@pytest.mark.root
def test_a_name_that_was_changed_or_taken_away_is_found(
    repo: Path, tmp_path: Path, two: ImagePair
) -> None:
    imported(repo, "--branch=all", *two.names)
    assert findings(repo, "all") == []
    other = two.names[0].replace(":1", ":2")
    changed = altered(repo, "all", tmp_path / "1", renaming(two.one, other))
    assert changed == lacks(other, two.names[0])
    gone = altered(repo, "all", tmp_path / "2", renaming(two.one))
    assert gone == lacks(two.one.image_id[:12], two.names[0])


@pytest.mark.root
def test_a_name_that_another_image_has_now_is_found(
    repo: Path, tmp_path: Path, two: ImagePair
) -> None:
    imported(repo, "--branch=all", *two.names)

    def swap(store: LooseStore) -> None:
        store.edit_image(two.one.image_id, names=[two.names[1]])
        store.edit_image(two.two.image_id, names=[two.names[0]])

    found = altered(repo, "all", tmp_path, swap)
    assert found == lacks(two.names[0], two.names[1]) + lacks(two.names[1], two.names[0])


@pytest.mark.root
def test_an_image_that_was_taken_out_is_found(repo: Path, tmp_path: Path, two: ImagePair) -> None:
    imported(repo, "--branch=all", *two.names)
    imported(repo, "--branch=alone", two.names[0])
    commit = Repo.open(repo).commit(rev_parse(repo, "all"))
    said = (f"--body={commit.message.body}", "--add-metadata-string=import-image.form=store")
    ostree(repo, "commit", "--branch=less", *said, "--tree=ref=alone")
    (found,) = map(str, findings(repo, "less"))
    digest = two.two.digest
    says = "the commit says that it is there, and no image has digest"
    assert found == f"{two.names[1]}: {says} {digest}"


@pytest.mark.root
def test_a_name_with_a_digest_is_compared_too(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path, two: ImagePair
) -> None:
    index = build_index(layout, "index", [two.one])
    tagged = registry.push(index, "said/index:1")
    by_index = f"{tagged.rpartition(':')[0]}@{index.digest}"
    both = f"{tagged}@{index.digest}"
    for number, reference in enumerate((by_index, both)):
        imported(repo, f"--branch=said{number}", reference)
        assert findings(repo, f"said{number}") == []
        found = altered(repo, f"said{number}", tmp_path / f"{number}", renaming(two.one, tagged))
        assert found == lacks(tagged, both if number else by_index)


@pytest.mark.root
def test_the_name_that_the_user_gave_counts(
    repo: Path, tmp_path: Path, layout: Path, two: ImagePair
) -> None:
    given = "example.org/mine:7"
    for branch, reference in (("registry", two.names[0]), ("transport", f"oci:{layout}:one")):
        imported(repo, f"--branch={branch}", f"{given}={reference}")
        assert findings(repo, branch) == []
        found = altered(repo, branch, tmp_path / branch, renaming(two.one, two.names[0]))
        assert found == lacks(two.names[0], given)


@pytest.mark.root
def test_each_name_that_the_user_gave_counts_for_its_image(
    repo: Path, tmp_path: Path, layout: Path, two: ImagePair
) -> None:
    """Where only some have one, too; and a removal leaves what an import of the rest writes."""
    references = [f"{layout}:one", f"{layout}:two"]
    named = [f"example.org/{one.rpartition(':')[2]}:1=oci:{one}" for one in references]
    imported(repo, "--branch=both", *named)
    imported(repo, "--branch=first", named[0], f"oci:{references[1]}")
    for branch in ("both", "first"):
        assert findings(repo, branch) == []
        found = altered(repo, branch, tmp_path / branch, renaming(two.one, two.names[0]))
        assert found == lacks(two.names[0], "example.org/one:1")
    names = Repo.open(repo).commit(rev_parse(repo, "first")).metadata["import-image.names"]
    assert names == json.dumps(
        {f"oci:{references[0]}": ["example.org/one:1"]}, separators=(",", ":")
    )
    imported(repo, "--branch=alone", named[1])
    answered(repo, "remove", "--branch=both", two.one.image_id)
    assert rev_parse(repo, "both") == rev_parse(repo, "alone")
    assert findings(repo, "both") == []


@pytest.mark.root
def test_a_record_of_names_that_is_malformed_is_found(
    repo: Path, tmp_path: Path, layout: Path, two: ImagePair
) -> None:
    imported(repo, "--branch=all", f"oci:{layout}:one", f"oci:{layout}:two")
    said = (
        f"--body={Repo.open(repo).commit(rev_parse(repo, 'all')).message.body}",
        "--add-metadata-string=import-image.form=store",
        '--add-metadata-string=import-image.names={"oci:x": 1}',
    )
    ostree(repo, "commit", "--branch=odd", *said, "--tree=ref=all")
    (found,) = findings(repo, "odd")
    assert str(found) == "the commit's import-image.names: oci:x is not of type list"


@pytest.mark.root
def test_where_nothing_says_the_name_any_will_do(repo: Path, tmp_path: Path, layout: Path) -> None:
    built = build_oci(layout, "t", [BASE])
    imported(repo, "--branch=all", f"oci:{layout}:t")
    assert findings(repo, "all") == []
    assert altered(repo, "all", tmp_path, renaming(built, "example.org/x:1")) == []


@pytest.mark.root
def test_an_image_of_another_store_may_have_more_names(
    repo: Path, tmp_path: Path, two: ImagePair
) -> None:
    owner = new_podman(tmp_path / "owner")
    owner("pull", "--quiet", "--tls-verify=false", two.names[0])
    owner("tag", two.names[0], "example.org/b:1", "example.org/a:1")
    imported_storage(repo, "--branch=all", owner.home / "root")
    assert findings(repo, "all") == []
    rest = ["example.org/b:1", "example.org/a:1"]
    assert altered(repo, "all", tmp_path, renaming(two.one, *rest)) == lacks(rest[0], two.names[0])


@pytest.mark.root
def test_a_releases_images_are_compared_by_its_metadata(copied: Path, tmp_path: Path) -> None:
    assert findings(copied, AMD64) == []

    def rename(store: LooseStore) -> None:
        first = store_images(store.path)[0]
        store.edit_image(first["id"], names=["example.org/x:1", *first["names"][1:]])
        names.extend(first["names"])

    names: list[str] = []
    found = altered(copied, AMD64, tmp_path, rename)
    assert found == lacks("example.org/x:1", names[0])


@pytest.mark.root
def test_after_a_merge_and_a_removal_the_commit_says_what_is_so(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    """An index for two platforms: the tag goes to the one that was imported last, and a removal
    takes the line that meant it, though the other has a document of that digest, too."""
    built = [
        build_oci(layout, "amd64", [BASE]),
        build_oci(layout, "arm64", [OTHER], architecture="arm64"),
    ]
    tag = registry.push(build_index(layout, "index", built), "said/platforms:1")
    commit_os(repo, "plain", os_tree(tmp_path / "plain"))
    imported(repo, "--onto=plain", "--branch=os", "--arch=amd64", tag)
    merge = ("--onto=os", "--branch=apps", "--existing-store=merge")
    imported(repo, *merge, "--arch=arm64", tag)
    assert findings(repo, "apps") == []
    answered(repo, "remove", "--branch=apps", built[1].image_id)
    assert findings(repo, "apps") == []
    imported(repo, *merge, "--arch=arm64", f"example.org/given:1={tag}")
    answered(repo, "remove", "--branch=apps", built[1].image_id)
    assert findings(repo, "apps") == []
    assert "import-image.name" not in Repo.open(repo).commit(rev_parse(repo, "apps")).metadata


# --- owners and modes ---


def os_of_podman(repo: Path, tmp_path: Path, name: str) -> Path:
    """`os` becomes an OS with podman's own store, which is closed for others; that store."""
    owner = new_podman(tmp_path / "owner")
    owner("pull", "--quiet", "--tls-verify=false", name)
    root = os_tree(tmp_path / "root")
    (root / STORE).mkdir(parents=True)
    for part in ("overlay", "overlay-layers", "overlay-images"):
        (owner.home / "root" / part).rename(root / STORE / part)
    (root / STORE / "overlay").chmod(0o700)  # as podman makes it up to 5.4; 5.8 opens it
    commit_os(repo, "os", root)
    return root / STORE


def of_owners(found: list[str]) -> list[str]:
    return [one for one in found if "an import writes" in one]


@pytest.mark.root
def test_what_a_merge_keeps_of_another_tools_store_is_as_it_was(
    repo: Path, tmp_path: Path, two: ImagePair
) -> None:
    os_of_podman(repo, tmp_path, two.names[0])
    imported(repo, "--onto=os", "--branch=apps", "--existing-store=merge", two.names[1])
    assert of_owners([str(one) for one in findings(repo, "apps")]) == []
    upon = ("--onto=apps", "--branch=more", "--existing-store=merge", "--flatten")
    imported(repo, *upon, two.names[1])
    assert of_owners([str(one) for one in findings(repo, "more")]) == []


@pytest.mark.root
def test_what_a_merge_did_not_keep_so_is_found(repo: Path, tmp_path: Path, two: ImagePair) -> None:
    os_of_podman(repo, tmp_path, two.names[0])
    imported(repo, "--onto=os", "--branch=apps", "--existing-store=merge", two.names[1])
    _, top = layer_ids(two.two.diff_ids)

    def change(store: LooseStore) -> None:
        (store.path / "overlay-images").chmod(0o711)
        (store.path / "overlay" / top / "link").chmod(0o600)

    assert of_owners(altered(repo, "apps", tmp_path, change)) == [
        "overlay-images: its mode is 0711; an import writes 0755",
        f"overlay/{top}/link: its mode is 0600; an import writes 0644",
    ]
    ostree(repo, "refs", "--delete", "os")
    ostree(repo, "prune", "--refs-only")
    assert of_owners([str(one) for one in findings(repo, "altered")]) == []


@pytest.mark.root
def test_a_store_that_is_read_from_another_one_is_written_as_all_are(
    repo: Path, tmp_path: Path, two: ImagePair
) -> None:
    store = os_of_podman(repo, tmp_path, two.names[0])
    imported_storage(repo, "--branch=all", store)
    assert findings(repo, "all") == []
