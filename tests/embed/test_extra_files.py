"""Files beside the store: SELinux, bootc's logically bound images, the branch's configuration."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from layers.entry import Entry as TarEntry
from layers.entry import Kind, Owner
from tests.embed.conftest import BASE, CONTEXTS, POLICY, Site, encapsulated
from tests.tools import umoci
from tests.tools.bootc import derived_layers
from tests.tools.entry import Entry
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.podman import Podman
from tests.tools.process import run
from tests.tools.storecommand import Outcome, answered, image_store
from tests.tools.tarread import read_tar

LINE = "/usr/lib/containers/storage /var/lib/containers/storage\n"
BOUND = b"usr/lib/bootc/bound-images.d/"


@dataclass(frozen=True)
class Files:
    """The files of a layer with their contents, and what the command said."""

    entries: dict[str, tuple[TarEntry, str]]
    outcome: Outcome

    @property
    def texts(self) -> dict[str, str]:
        """The contents by path."""
        return {path: text for path, (_, text) in self.entries.items()}


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


CONF = "etc/containers/storage.conf"
DROP_IN = "etc/containers/storage.conf.d"


def embedded_files(site: Site, tmp_path: Path, files: dict[str, str], *flags: str) -> Files:
    """The last layer of `two` in a base with these files, each in a directory of mode 0711."""
    folders = dict.fromkeys(str(above) for one in files for above in [*Path(one).parents][-2::-1])
    entries = [Entry(one.encode(), "dir", mode=0o711) for one in folders]
    entries += [Entry(one.encode(), content=text.encode(), uid=3) for one, text in files.items()]
    base = build_oci(tmp_path / "base", "os", [entries])
    made = Site(tmp_path, base, {})
    outcome = image_store(site.repo, "embed", "two", *made.flags("out"), *flags)
    assert outcome.status == 0, outcome.stderr
    last = read_tar(derived_layers(tmp_path / "out", "t", base)[-1])
    return Files(
        {e.path.decode(): (e, c.decode()) for e, c in last if e.kind is Kind.FILE}, outcome
    )


def test_the_store_is_named_in_the_base_s_own_configuration(site: Site, tmp_path: Path) -> None:
    """A drop-in of another vendor hides the main file from podman 6, which the first store's
    drop-in corrects; both stay."""
    first = '[storage.options]\nadditionalimagestores = ["/usr/first", {append = true}]\n'
    files = {
        CONF: '# kept\n[storage]\ndriver = "overlay"\n'
        '[storage.options]\nadditionalimagestores = ["/usr/first"]\n',
        f"{DROP_IN}/50-vendor.conf": '[storage.options]\nadditionalimagestores = ["/v"]\n',
        f"{DROP_IN}/99-import-image.conf": first,
        "usr/lib/ostree/prepare-root.conf": "[composefs]\nenabled = yes\n",
    }
    found = embedded_files(site, tmp_path, files, "--storage-conf").texts
    assert found[CONF].startswith("# kept\n")
    main = tomllib.loads(found[CONF])["storage"]["options"]["additionalimagestores"]
    assert main == ["/usr/first", "/usr/lib/containers/storage"]
    more = tomllib.loads(found[f"{DROP_IN}/99-import-image.conf"])["storage"]["options"]
    stores = ["/usr/first", "/usr/lib/containers/storage", {"append": True}]
    assert more["additionalimagestores"] == stores
    assert (
        "_CONTAINERS_OVERLAY_DISABLE_IDMAP"
        in (found["etc/containers/containers.conf.d/50-import-image.conf"])
    )


def test_images_are_pinned_beside_those_of_the_base(site: Site, tmp_path: Path) -> None:
    pins = '[crio.image]\npinned_images = ["q.io/pause:1"]\n'
    files = {"etc/crio/crio.conf.d/10-microshift.conf": pins}
    flags = ("--crio-conf", "--crio-internal-repair=false")
    found = embedded_files(site, tmp_path, files, *flags)
    conf = tomllib.loads(found.texts["etc/crio/crio.conf.d/50-import-image.conf"])["crio"]
    assert conf["image"]["pinned_images"] == ["q.io/a/one:1", "q.io/a/two:1", "q.io/pause:1"]
    assert conf["internal_repair"] is False
    assert "with internal_repair = false, CRI-O keeps" in found.outcome.stderr


def test_configuration_that_cannot_be_read_is_refused(site: Site, tmp_path: Path) -> None:
    base = build_oci(tmp_path / "base", "os", [[*BASE, Entry(CONF.encode(), content=b"[")]])
    flags = (*Site(tmp_path, base, {}).flags("out"), "--storage-conf")
    outcome = image_store(site.repo, "embed", "two", *flags)
    assert outcome.status == 1
    assert f"/{CONF} of the base image: storage.conf: not TOML" in outcome.stderr


def test_an_import_s_configuration_is_merged_with_the_base_s(site: Site, tmp_path: Path) -> None:
    """The import without --onto cannot know the base's."""
    repo = tmp_path / "repo"
    image = f"q.io/a/one:1=oci:{site.home}/images:one"
    imported(repo, "--branch=conf", "--storage-conf", image)
    conf = CONF.encode()
    folder = Entry(b"etc/containers", "dir", mode=0o700)
    own = b'[storage.options]\nadditionalimagestores = ["/usr/first"]\n'
    base = build_oci(tmp_path / "base", "os", [[*BASE, folder, Entry(conf, content=own, uid=3)]])
    outcome = image_store(repo, "embed", "conf", *Site(tmp_path, base, {}).flags("out"))
    assert "of the base image is replaced" not in outcome.stderr
    last = {e.path: (e, c) for e, c in read_tar(derived_layers(tmp_path / "out", "t", base)[-1])}
    options = tomllib.loads(last[conf][1].decode())["storage"]["options"]
    assert options["additionalimagestores"] == ["/usr/first", "/usr/lib/containers/storage"]
    assert last[conf][0].owner == Owner(0o644, 3, 0)
    assert last[b"etc/containers/"][0].owner.mode == 0o700


def test_heal_comes_along(site: Site, tmp_path: Path) -> None:
    """The program runs without the libraries of import-image, and systemd starts it."""
    base = build_oci(tmp_path / "base", "os", [[*BASE, Entry(b"usr/bin/python3", mode=0o755)]])
    flags = (*Site(tmp_path, base, {}).flags("out"), "--device-units")
    outcome = image_store(site.repo, "embed", "two", *flags)
    assert outcome.status == 0, outcome.stderr
    last = {e.path: (e, c) for e, c in read_tar(derived_layers(tmp_path / "out", "t", base)[-1])}
    heal = b"usr/lib/systemd/system/import-image-heal.service"
    wanted = last[b"usr/lib/systemd/system/multi-user.target.wants/import-image-heal.service"][0]
    assert wanted.link == b"../import-image-heal.service"
    start = b"ExecStart=/usr/bin/python3 /usr/libexec/import-image/device heal\n"
    assert start in last[heal][1]
    entry, content = last[b"usr/libexec/import-image/device"]
    assert entry.owner.mode == 0o755
    (tmp_path / "device").write_bytes(content)
    (tmp_path / "storage").mkdir()
    roots = (f"--root={tmp_path}/storage", f"--store={tmp_path}/storage")
    said = run(["python3", "-I", tmp_path / "device", "heal", *roots])
    assert said == "nothing is broken\n"
    refused = image_store(site.repo, "embed", "two", *site.flags("out"), "--device-units")
    assert refused.status == 1
    assert "the base image has no /usr/bin/python3" in refused.stderr


def test_directories_of_units_keep_the_base_s_owners(site: Site, tmp_path: Path) -> None:
    folders = [Entry(b"usr/share/containers", "dir", mode=0o710, gid=3)]
    base = build_oci(tmp_path / "base", "os", [[*BASE, *folders]])
    flags = (*Site(tmp_path, base, {}).flags("o"), "--bound")
    outcome = image_store(site.repo, "embed", "two", *flags)
    assert outcome.status == 0, outcome.stderr
    last = {e.path: e for e, _ in read_tar(derived_layers(tmp_path / "o", "t", base)[-1])}
    assert last[b"usr/share/containers/"].owner == Owner(0o710, 0, 3)
