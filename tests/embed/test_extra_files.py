"""Files beside the store: SELinux, bootc's logically bound images, the branch's configuration."""

from pathlib import Path

import pytest

from layers.entry import Entry as TarEntry
from layers.entry import Owner
from tests.embed.conftest import BASE, CONTEXTS, POLICY, Site, encapsulated
from tests.tools import umoci
from tests.tools.bootc import derived_layers
from tests.tools.entry import Entry
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.podman import Podman
from tests.tools.storecommand import answered, image_store
from tests.tools.tarread import read_tar

LINE = "/usr/lib/containers/storage /var/lib/containers/storage\n"
BOUND = b"usr/lib/bootc/bound-images.d/"


def last_layer(site: Site) -> list[tuple[TarEntry, bytes]]:
    site.embedded("two")
    return read_tar(derived_layers(site.out, "two", site.base)[-1])


def test_selinux_equivalence(site: Site, tmp_path: Path) -> None:
    last = {entry.path.decode(): content for entry, content in last_layer(site)}
    assert last[f"{POLICY}.subs"].decode() == f"/srv/www /var/www\n{LINE}"
    assert POLICY not in last
    none = build_oci(tmp_path / "none", "os", [BASE[:3]])
    flags = (f"--base=oci:{none.directory}:os", f"--to=oci:{tmp_path}/o", "--selinux-equivalence")
    outcome = image_store(site.repo, "embed", "two", *flags)
    assert (outcome.status, "has no SELinux policy" in outcome.stderr) == (1, True)


@pytest.mark.parametrize("layers", [[BASE], [BASE[:-2], BASE[-2:-1], BASE[-1:]]])
def test_selinux_equivalence_on_an_encapsulated_base(
    site: Site, tmp_path: Path, layers: list[list[Entry]]
) -> None:
    """In one layer and in chunks; the root is listed in each."""
    base = build_oci(tmp_path / "base", "os", [encapsulated(one) for one in layers])
    made = Site(site.home, base, {})
    made.embed("two", f"oci:{tmp_path}/out:t", "--selinux-equivalence")
    last = {e.path: (e, c) for e, c in read_tar(derived_layers(tmp_path / "out", "t", base)[-1])}
    assert last[f"{POLICY}.subs".encode()][1].decode() == f"/srv/www /var/www\n{LINE}"
    assert last[b"usr/lib/"][0].owner == Owner(0o555, 0, 7)


@pytest.mark.root
def test_selinux_equivalence_on_a_built_base(site: Site, tmp_path: Path, podman: Podman) -> None:
    """`podman build` writes the layer that has the policy."""
    context, out = tmp_path / "context", tmp_path / "out"
    files = context / "files"
    files.mkdir(parents=True)
    (context / "Containerfile").write_text(
        f"FROM oci:{site.home}/images:three\nCOPY files /{POLICY.rpartition('/')[0]}\n"
    )
    (files / "file_contexts").write_text(CONTEXTS)
    podman.build(context, "localhost/os")
    podman("push", "--quiet", "localhost/os", f"oci:{tmp_path}/base:os")
    flags = (f"--base=oci:{tmp_path}/base:os", f"--to=oci:{out}:t", "--selinux-equivalence")
    answered(site.repo, "embed", "--quiet", "two", *flags)
    root = umoci.unpack(out, "t", tmp_path / "root")
    assert (root / f"{POLICY}.subs").read_text() == LINE
    assert (root / POLICY).read_text() == CONTEXTS


def test_bound_images(site: Site) -> None:
    found = last_layer(site)
    links = {one.path.rpartition(b"/")[2]: one.link for one, _ in found if BOUND in one.path}
    del links[b""]  # the directory
    units = {b"/" + one.path: content for one, content in found}
    assert sorted(units[target] for target in links.values()) == [
        b"[Image]\nImage=q.io/a/one:1\n",
        b"[Image]\nImage=q.io/a/two:1\n",
    ]
    assert all(target.endswith(b"/" + name) for name, target in links.items())


def test_capabilities_are_told(site: Site) -> None:
    said = "one:1, two:1: files have capabilities, which bootc before 1.1.3"
    assert said in site.embedded("two").messages


def test_configuration_goes_with_the_store(site: Site, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    image = f"q.io/a/one:1=oci:{site.home}/images:one"
    imported(repo, "--branch=conf", "--storage-conf", image)
    conf = b"etc/containers/storage.conf"
    base = build_oci(
        tmp_path / "base", "os", [[*BASE, Entry(b"etc/containers", "dir", mode=0o700), Entry(conf)]]
    )
    flags = (f"--base=oci:{base.directory}:os", f"--to=oci:{tmp_path}/out:t")
    outcome = image_store(repo, "embed", "conf", *flags)
    assert "/etc/containers/storage.conf of the base image is replaced" in outcome.stderr
    last = {e.path: (e, c) for e, c in read_tar(derived_layers(tmp_path / "out", "t", base)[-1])}
    assert b"/usr/lib/containers/storage" in last[conf][1]
    assert last[b"etc/containers/"][0].owner.mode == 0o700
