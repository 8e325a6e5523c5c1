"""`image-store verify` and what only the commit tells: which operating system it is made from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from importer.repo import Repo
from tests.test_verify import findings
from tests.tools.entry import Entry
from tests.tools.expected import STORE, layer_ids
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, imported_storage
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import ostree, rev_parse
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.tamper import LooseStore, loose

BASE = [Entry(b"a", content=b"a\n")]
OTHER = [Entry(b"o", content=b"other\n")]


@dataclass(frozen=True)
class Two:
    """Two images in the registry, by tag, that share a layer."""

    one: BuiltImage
    two: BuiltImage
    names: tuple[str, str]


@pytest.fixture
def two(registry: Registry, layout: Path) -> Two:
    one, other = build_oci(layout, "one", [BASE]), build_oci(layout, "two", [BASE, OTHER])
    return Two(one, other, (registry.push(one, "said/one:1"), registry.push(other, "said/two:1")))


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


# --- owners and modes ---


def os_of_podman(repo: Path, tmp_path: Path, name: str) -> Path:
    """`os` becomes an OS with podman's own store, which is closed for others; that store."""
    owner = new_podman(tmp_path / "owner")
    owner("pull", "--quiet", "--tls-verify=false", name)
    root = os_tree(tmp_path / "root")
    (root / STORE).mkdir(parents=True)
    for part in ("overlay", "overlay-layers", "overlay-images"):
        (owner.home / "root" / part).rename(root / STORE / part)
    assert (root / STORE / "overlay").stat().st_mode & 0o777 == 0o700
    commit_os(repo, "os", root)
    return root / STORE


def of_owners(found: list[str]) -> list[str]:
    return [one for one in found if "an import writes" in one]


@pytest.mark.root
def test_what_a_merge_keeps_of_another_tools_store_is_as_it_was(
    repo: Path, tmp_path: Path, two: Two
) -> None:
    os_of_podman(repo, tmp_path, two.names[0])
    imported(repo, "--onto=os", "--branch=apps", "--existing-store=merge", two.names[1])
    assert of_owners([str(one) for one in findings(repo, "apps")]) == []
    upon = ("--onto=apps", "--branch=more", "--existing-store=merge", "--flatten")
    imported(repo, *upon, two.names[1])
    assert of_owners([str(one) for one in findings(repo, "more")]) == []


@pytest.mark.root
def test_what_a_merge_did_not_keep_so_is_found(repo: Path, tmp_path: Path, two: Two) -> None:
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
    repo: Path, tmp_path: Path, two: Two
) -> None:
    store = os_of_podman(repo, tmp_path, two.names[0])
    imported_storage(repo, "--branch=all", store)
    assert findings(repo, "all") == []
