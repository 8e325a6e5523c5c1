"""SELinux labels of a store, judged by `ostree` and by the xattrs of a checkout.

The policy is a small one of our own; libostree reads its file contexts by libselinux, for
which the machine need not use SELinux.
"""

import os
from pathlib import Path

import pytest

from tests.tools.entry import Entry, whiteout
from tests.tools.expected import STORE
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ostreerepo import checkout, fsck, heads, init, refs, rev_parse
from tests.tools.podman import new_podman
from tests.tools.registry import Registry
from tests.tools.snapshot import assert_same, snapshot

LABEL = "system_u:object_r:my_ro_file_t:s0"
DEFAULT = "system_u:object_r:container_ro_file_t:s0"
CONTEXTS = """\
/.* system_u:object_r:default_t:s0
/usr(/.*)? system_u:object_r:usr_t:s0
/usr/lib(/.*)? system_u:object_r:lib_t:s0
/etc(/.*)? system_u:object_r:etc_t:s0
/etc/containers(/.*)? system_u:object_r:container_config_t:s0
/var/lib/containers(/.*)? system_u:object_r:container_var_lib_t:s0
/var/lib/containers/storage/overlay(/.*)? system_u:object_r:policy_ro_file_t:s0
"""
POLICY = {
    "usr/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=small\n",
    "usr/etc/selinux/small/contexts/files/file_contexts": CONTEXTS,
    # As Fedora's policy has it; ostree asks for the path in the commit.
    "usr/etc/selinux/small/contexts/files/file_contexts.subs_dist": "/usr/etc /etc\n",
    "usr/etc/selinux/small/policy/policy.33": "not read\n",
}
LAYERS = [
    [
        Entry(b"d", "dir", mode=0o750, uid=7),
        Entry(b"d/f", mode=0o4755, content=b"f\n", xattrs={b"user.a": b"\x00\xff"}),
        Entry(b"d/big", content=os.urandom(5 << 20)),
        Entry(b"gone", content=b"gone\n"),
        Entry(b"link", "symlink", link=b"d/f"),
    ],
    [whiteout(b"gone"), Entry(b"g", content=b"g\n")],
]


@pytest.fixture
def image(registry: Registry, layout: Path) -> tuple[str, BuiltImage]:
    """An image with all that can have a label."""
    built = build_oci(layout, "t", LAYERS)
    return registry.push(built, "selinux/t"), built


def labels(root: Path) -> dict[str, str | None]:
    """The label of every file below a directory; the kernel's has a NUL at its end."""
    found: dict[str, str | None] = {}
    for path in sorted(root.rglob("*")):
        names = os.listxattr(path, follow_symlinks=False)
        value = (
            os.getxattr(path, "security.selinux", follow_symlinks=False)
            if "security.selinux" in names
            else None
        )
        assert value is None or value.endswith(b"\0")
        found[str(path.relative_to(root))] = value.rstrip(b"\0").decode() if value else None
    return found


def in_store(path: str) -> bool:
    """Whether the path is one of the store's own, and not just on the way to it."""
    return path.startswith(f"{STORE}/")


@pytest.mark.root
@pytest.mark.parametrize("mode", ["bare-user", "archive"])
def test_every_file_of_the_store_has_the_label(
    tmp_path: Path, image: tuple[str, BuiltImage], mode: str
) -> None:
    repo = init(tmp_path / "repo", "archive" if mode == "archive" else "bare-user")
    imported(repo, f"--selinux-label={LABEL}", "--branch=labelled", image[0])
    imported(repo, "--branch=plain", image[0])
    fsck(repo)
    out = checkout(repo, "labelled", tmp_path / "labelled")
    found = labels(out)
    assert {label for path, label in found.items() if in_store(path)} == {LABEL}
    assert {label for path, label in found.items() if not in_store(path)} == {None}
    assert any(path.endswith("/diff/link") for path in found)
    plain = checkout(repo, "plain", tmp_path / "plain")
    assert set(labels(plain).values()) == {None}
    # All else is the same: the xattrs, modes and owners, and the records.
    assert_same(snapshot(out), snapshot(plain), ("labelled", "plain"))


@pytest.mark.root
def test_podman_takes_a_labelled_store(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    imported(repo, f"--selinux-label={LABEL}", "--branch=labelled", image[0])
    store = checkout(repo, "labelled", tmp_path / "labelled") / STORE
    podman = new_podman(tmp_path / "podman", store)
    with podman.mounted(image[0]) as mounted:
        assert not (mounted / "gone").exists()
        assert (mounted / "g").read_text() == "g\n"
    podman("system", "check")


def test_the_layers_branches_stay_as_they_are_and_are_relabelled_once(
    repo: Path, image: tuple[str, BuiltImage]
) -> None:
    imported(repo, "--branch=plain", image[0])
    before = heads(repo)
    first = imported(repo, f"--selinux-label={LABEL}", "--branch=one", image[0])
    added = [name for name in refs(repo) if name.startswith("oci/labelled/")]
    assert len(added) == 2
    assert before.items() <= heads(repo).items()
    again = imported(repo, f"--selinux-label={LABEL}", "--branch=one", image[0])
    assert (again["unchanged"], again["commit"]) == (True, first["commit"])
    imported(repo, f"--selinux-label={DEFAULT}", "--branch=two", image[0])
    assert len([name for name in refs(repo) if name.startswith("oci/labelled/")]) == 4
    assert rev_parse(repo, "one") != rev_parse(repo, "two")


def test_other_repos_get_the_same_commit(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    flags = (f"--selinux-label={LABEL}", "--branch=x", image[0])
    other = init(tmp_path / "other", "archive")
    assert imported(repo, *flags)["commit"] == imported(other, *flags)["commit"]


@pytest.mark.root
def test_a_flattened_store_can_be_labelled(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    imported(repo, "--flatten", f"--selinux-label={LABEL}", "--branch=x", image[0])
    found = labels(checkout(repo, "x", tmp_path / "out"))
    assert {label for path, label in found.items() if in_store(path)} == {LABEL}


def labelled_os(repo: Path, tmp_path: Path) -> None:
    """The branch `os`, labelled by the policy that it has."""
    root = os_tree(tmp_path / "root", POLICY)
    commit_os(repo, "os", root, f"--selinux-policy={root}")


@pytest.mark.root
@pytest.mark.parametrize(
    ("flags", "store"),
    [
        ([], DEFAULT),
        ([f"--selinux-label={LABEL}"], LABEL),
        (["--selinux-policy=base"], "system_u:object_r:policy_ro_file_t:s0"),
        (["--selinux-policy=base", f"--selinux-label={LABEL}"], LABEL),
    ],
)
def test_what_goes_onto_a_labelled_system_is_labelled(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage], flags: list[str], store: str
) -> None:
    """The store by the option, what lies around it by the system's own policy."""
    labelled_os(repo, tmp_path)
    imported(repo, "--onto=os", "--branch=apps", "--storage-conf", *flags, image[0])
    found = labels(checkout(repo, "apps", tmp_path / "out"))
    base = labels(checkout(repo, "os", tmp_path / "base"))
    assert {path: found[path] for path in base} == base
    assert None not in base.values()
    assert {label for path, label in found.items() if in_store(path)} == {store}
    assert found["usr/lib/containers"] == found[STORE] == "system_u:object_r:lib_t:s0"
    assert found["usr/etc/containers/storage.conf"] == "system_u:object_r:container_config_t:s0"


@pytest.mark.root
def test_a_policy_from_a_directory(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    root = os_tree(tmp_path / "root", POLICY)
    commit_os(repo, "os", root)
    flags = ("--onto=os", "--branch=apps", f"--selinux-policy={root}")
    imported(repo, *flags, image[0])
    found = labels(checkout(repo, "apps", tmp_path / "out"))
    stored = {label for path, label in found.items() if in_store(path)}
    assert stored == {"system_u:object_r:policy_ro_file_t:s0"}
    assert found["usr/lib/containers"] == "system_u:object_r:lib_t:s0"
    alone = ("--branch=alone", f"--selinux-policy={root}")
    imported(repo, *alone, image[0])
    everything = labels(checkout(repo, "alone", tmp_path / "alone"))
    assert everything["usr"] == "system_u:object_r:usr_t:s0"
    assert {label for path, label in everything.items() if in_store(path)} == stored
    assert None not in everything.values()


def test_where_there_is_no_policy_it_is_an_error(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "os", os_tree(tmp_path / "root"))
    (tmp_path / "empty").mkdir()
    for where in ("base", tmp_path / "empty"):
        outcome = run_import(
            repo, "--onto=os", "--branch=apps", f"--selinux-policy={where}", image[0]
        )
        assert outcome.status == 1
        assert "has no SELinux policy" in outcome.stderr
    assert "apps" not in refs(repo)


def test_an_existing_store_with_another_label_is_not_mixed_with_ours(
    repo: Path, tmp_path: Path, image: tuple[str, BuiltImage]
) -> None:
    commit_os(repo, "plain", os_tree(tmp_path / "root"))
    imported(repo, "--onto=plain", "--branch=os", image[0])
    flags = ("--existing-store=merge", f"--selinux-label={LABEL}")
    outcome = run_import(repo, "--onto=os", "--branch=apps", *flags, image[0])
    assert outcome.status == 1
    assert "with other files" in outcome.stderr
