"""`image-store verify`: a sound store has no finding, and every planted fault is found.

The faults are planted by checking a store out, changing its files, and committing them with
`ostree`, so that the objects themselves are sound; and by damaging objects in the repo.
"""

import base64
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.images import definition
from importer.progress import Silence
from importer.repo.writer import Repo
from importer.store.find import find_stores
from importer.verify.findings import Finding
from importer.verify.store import verify
from layers.storage.layer_id import link_name
from tests.tools import ostreerepo
from tests.tools.expected import layer_ids, private_ids
from tests.tools.image import BuiltImage, Compression, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.ostreerepo import ls, ostree, refs
from tests.tools.registry import Registry
from tests.tools.storecommand import image_store
from tests.tools.tamper import LooseStore, Record, commit, copy, loose
from tests.tools.told import Told

LAYERS = definition.parse("""
layer
dir      etc
file     etc/keep mode=0640 text="keep\\n"
file     etc/gone text="gone\\n"
file     etc/empty
symlink  etc/link -> keep
dir      app
file     app/old text="old\\n"
file     app/tool mode=0755 uid=5 text="tool\\n" xattr:user.a=b
hardlink app/alias -> app/tool

layer
dir      etc
whiteout etc/gone
dir      app mode=0711
opaque   app
file     app/new text="new\\n"
hardlink etc/copy -> etc/keep
""")
OTHER = definition.parse('layer\nfile other text="other"\n')[0]


@dataclass(frozen=True)
class Sound:
    """Two images with a common base in one store, in the repo and checked out."""

    repo: Path
    loose: LooseStore
    one: BuiltImage
    two: BuiltImage
    names: tuple[str, str]

    @property
    def layers(self) -> list[str]:
        """The first image's layers in the store, base first; then the second one's own."""
        return [*private_ids(self.one.diff_ids), private_ids(self.two.diff_ids)[1]]

    @property
    def standard(self) -> list[str]:
        """The same by their standard ids."""
        return [*layer_ids(self.one.diff_ids), layer_ids(self.two.diff_ids)[1]]

    @property
    def links(self) -> list[str]:
        """The same by their links."""
        return [link_name(one) for one in self.standard]


@pytest.fixture(scope="module")
def sound(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    where = tmp_path_factory.mktemp("sound")
    one = build_oci(where / "layout", "one", LAYERS)
    two = build_oci(where / "layout", "two", [LAYERS[0], OTHER], compression="zstd")
    names = registry.push(one, "verify/one:t"), registry.push(two, "verify/two:t")
    imported(where / "repo", "--branch=all", *names)
    return Sound(where / "repo", loose(where / "repo", "all", where / "loose"), one, two, names)


def findings(repo: Path, *branches: str) -> list[Finding]:
    """Those in these branches."""
    opened = Repo.open(repo)
    stores = find_stores(opened, branches, None, broken=True)
    assert stores.found
    return [f for one in verify(opened, stores, Silence(), 2).branches for f in one.findings]


Plant = Callable[[LooseStore, Sound], None]
Expect = Callable[[Sound], set[tuple[str, str, str]]]
CASES: dict[str, tuple[Plant, Expect]] = {}


def plants(expect: Expect) -> Callable[[Plant], Plant]:
    """Registers a way to break a store; `expect` gives the (layer, path, part of the problem)
    of all findings: all of them, and none besides."""

    def register(plant: Plant) -> Plant:
        CASES[plant.__name__] = (plant, expect)
        return plant

    return register


def on(layer: int, path: str, problem: str) -> Expect:
    """One finding in a layer: 0 and 1 are the first image's, 2 the second one's own."""
    return lambda sound: {(sound.layers[layer], path, problem)}


def beside(path: str, problem: str) -> Expect:
    """One finding at a path of the store; {0} to {2} are the layers' ids, {i} and {j} the
    images', {l0} to {l2} the links."""

    def expect(sound: Sound) -> set[tuple[str, str, str]]:
        ids = sound.layers
        links = {f"l{n}": link for n, link in enumerate(sound.links)}
        names = {"i": sound.one.image_id, "j": sound.two.image_id}
        return {("", path.format(*ids, **links, **names), problem)}

    return expect


def both(*expected: Expect) -> Expect:
    """Several findings."""
    return lambda sound: set().union(*(one(sound) for one in expected))


# What follows from another layer's fault is said as well: the layer is no longer what it was.
COPY = on(1, "etc/copy", "its content is not that of the file that it is a link to")


# --- a layer's tree ---


@plants(on(0, "etc/keep", "its content is not what the layer's tar has"))
def file_altered(store: LooseStore, sound: Sound) -> None:
    for layer, path in ((0, "etc/keep"), (1, "etc/copy")):
        (store.diff(sound.layers[layer]) / path).write_text("KEEP\n")


@plants(both(on(0, "etc/keep", "its content is not what the layer's tar has"), COPY))
def file_cut_short(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[0]) / "etc/keep").write_text("kee")


@plants(on(0, "etc/empty", "its content is not what the layer's tar has"))
def empty_file_filled(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[0]) / "etc/empty").write_text("x")


@plants(both(on(0, "app/old", "is missing"), on(1, "app/old", "a whiteout that hides nothing")))
def file_removed(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[0]) / "app/old").unlink()


@plants(on(1, "app/added", "is not in the layer's tar"))
def file_added(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[1]) / "app/added").write_text("x")


@plants(on(1, "app/new", "its mode is 0755; the layer's tar says 0644"))
def mode_changed(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[1]) / "app/new").chmod(0o755)


@plants(on(1, "app/new", "its owner is not"))
def owner_changed(store: LooseStore, sound: Sound) -> None:
    os.chown(store.diff(sound.layers[1]) / "app/new", 7, 8)


@plants(both(on(0, "app/tool", "its xattrs are not"), on(0, "app/alias", "its xattrs are not")))
def xattr_changed(store: LooseStore, sound: Sound) -> None:
    for name in ("tool", "alias"):
        os.setxattr(store.diff(sound.layers[0]) / "app" / name, "user.a", b"changed")


@plants(on(0, "app/alias", "its content is not"))
def hard_link_leads_elsewhere(store: LooseStore, sound: Sound) -> None:
    path = store.diff(sound.layers[0]) / "app/alias"
    path.write_text("look\n")


@plants(on(1, "etc/copy", "its content is not that of the file that it is a link to"))
def copy_of_a_lower_file_altered(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[1]) / "etc/copy").write_text("peek\n")


@plants(on(0, "etc/link", "its target is not"))
def symlink_changed(store: LooseStore, sound: Sound) -> None:
    path = store.diff(sound.layers[0]) / "etc/link"
    path.unlink()
    path.symlink_to("gone")


@plants(on(0, "etc/link", "is a file; the layer's tar has a symlink"))
def symlink_became_a_file(store: LooseStore, sound: Sound) -> None:
    path = store.diff(sound.layers[0]) / "etc/link"
    path.unlink()
    path.write_text("keep")


@plants(on(1, "app", "its mode is 0755; the layer's tar says 0711"))
def directory_mode_changed(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[1]) / "app").chmod(0o755)


@plants(on(1, "", "its mode is 0755; the layer's tar says 0555"))
def root_mode_changed(store: LooseStore, sound: Sound) -> None:
    store.diff(sound.layers[1]).chmod(0o755)


@plants(on(2, "dir", "the directory is not in the layer's tar"))
def directory_added(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[2]) / "dir").mkdir()


@plants(both(on(1, "app", "the directory is missing"), on(1, "app/new", "is missing")))
def directory_removed(store: LooseStore, sound: Sound) -> None:
    shutil.rmtree(store.diff(sound.layers[1]) / "app")


# --- whiteouts ---


@plants(on(1, "etc/gone", "its whiteout is missing: what was deleted is back"))
def whiteout_removed(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[1]) / "etc/.ostree-wh.gone").unlink()


@plants(on(1, "app/tool", "its whiteout is missing: what was deleted is back"))
def whiteout_of_an_opaque_directory_removed(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[1]) / "app/.ostree-wh.tool").unlink()


@plants(on(1, "etc/keep", "a whiteout that the layer's tar does not have"))
def whiteout_added(store: LooseStore, sound: Sound) -> None:
    path = store.diff(sound.layers[1]) / "etc/.ostree-wh.keep"
    path.touch()
    path.chmod(0)


@plants(on(1, "etc/nothing", "a whiteout that hides nothing"))
def whiteout_of_nothing_added(store: LooseStore, sound: Sound) -> None:
    path = store.diff(sound.layers[1]) / "etc/.ostree-wh.nothing"
    path.touch()
    path.chmod(0)


@plants(on(0, "etc/empty", "a whiteout that hides nothing"))
def whiteout_in_the_base(store: LooseStore, sound: Sound) -> None:
    path = store.diff(sound.layers[0]) / "etc/.ostree-wh.empty"
    path.touch()
    path.chmod(0)


@plants(on(1, "etc/gone", "its whiteout is not an empty file"))
def whiteout_with_a_mode(store: LooseStore, sound: Sound) -> None:
    (store.diff(sound.layers[1]) / "etc/.ostree-wh.gone").chmod(0o644)


# --- tar-split ---


@plants(beside("overlay-layers/{1}.tar-split.gz", "is missing"))
def tar_split_missing(store: LooseStore, sound: Sound) -> None:
    store.split(sound.layers[1]).unlink()


@plants(on(1, "", "gzip"))
def tar_split_cut_short(store: LooseStore, sound: Sound) -> None:
    path = store.split(sound.layers[1])
    path.write_bytes(path.read_bytes()[:-20])


@plants(on(1, "", "record and files make a tar of sha256:"))
def tar_split_header_altered(store: LooseStore, sound: Sound) -> None:
    def edit(lines: list[Record]) -> None:
        raw = bytearray(base64.b64decode(lines[-1]["payload"]))
        lines[-1]["payload"] = base64.b64encode(raw + bytes(512)).decode()

    store.edit_split(sound.layers[1], edit)


@plants(both(on(0, "etc/other", "is missing"), on(0, "etc/keep", "its content is not")))
def tar_split_names_another_file(store: LooseStore, sound: Sound) -> None:
    def edit(lines: list[Record]) -> None:
        next(line for line in lines if line.get("name") == "etc/keep")["name"] = "etc/other"

    store.edit_split(sound.layers[0], edit)


@plants(on(0, "etc/keep", "its content is not"))
def tar_split_checksum_altered(store: LooseStore, sound: Sound) -> None:
    def edit(lines: list[Record]) -> None:
        line = next(line for line in lines if line.get("name") == "etc/keep")
        line["payload"] = base64.b64encode(bytes(8)).decode()

    store.edit_split(sound.layers[0], edit)


@plants(beside("overlay-layers/{x}.tar-split.gz".replace("{x}", "f" * 64), "belongs to no record"))
def tar_split_of_no_layer(store: LooseStore, sound: Sound) -> None:
    shutil.copy(store.split(sound.layers[0]), store.split("f" * 64))


# --- links, lowers, ids ---


@plants(beside("overlay/l/{l1}", "is missing"))
def link_missing(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay/l" / sound.links[1]).unlink()


@plants(beside("overlay/l/{l1}", "leads to"))
def link_to_another_layer(store: LooseStore, sound: Sound) -> None:
    path = store.path / "overlay/l" / sound.links[1]
    path.unlink()
    path.symlink_to(f"../{sound.layers[0]}/diff")


@plants(beside("overlay/{1}/link", "says"))
def link_file_altered(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay" / sound.layers[1] / "link").write_text("A" * 26)


@plants(beside("overlay/{1}/lower", "says"))
def wrong_lower(store: LooseStore, sound: Sound) -> None:
    path = store.path / "overlay" / sound.layers[1] / "lower"
    path.write_text(f"l/{sound.links[2]}")


@plants(beside("overlay/{1}/lower-layers", "says"))
def wrong_lower_layers(store: LooseStore, sound: Sound) -> None:
    path = store.path / "overlay" / sound.layers[1] / "lower-layers"
    path.write_text(sound.layers[2])


@plants(beside("overlay/{1}/lower", "is missing"))
def lower_missing(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay" / sound.layers[1] / "lower").unlink()


@plants(beside("overlay/{0}/lower", "belongs to no record"))
def lower_on_the_base(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay" / sound.layers[0] / "lower").write_text("l/X")


@plants(beside("overlay/{1}/diff", "is missing"))
def diff_missing(store: LooseStore, sound: Sound) -> None:
    shutil.rmtree(store.diff(sound.layers[1]))


@plants(beside("overlay/" + "e" * 64, "belongs to no record"))
def directory_of_no_layer(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay" / ("e" * 64)).mkdir()


# --- records ---


@plants(on(0, "", "its record's diff-size is"))
def wrong_size(store: LooseStore, sound: Sound) -> None:
    store.edit_layer(sound.layers[0], diff_size=1)


@plants(on(2, "", "its record's compression is 2, not 4"))
def wrong_compression(store: LooseStore, sound: Sound) -> None:
    store.edit_layer(sound.layers[2], compression=2)


@plants(on(2, "", "its record's compressed-diff-digest is"))
def wrong_blob(store: LooseStore, sound: Sound) -> None:
    store.edit_layer(sound.layers[2], compressed_diff_digest="sha256:" + "0" * 64)


@plants(on(0, "", "its record's uidset is"))
def wrong_owners(store: LooseStore, sound: Sound) -> None:
    store.edit_layer(sound.layers[0], uidset=[0])


@plants(on(0, "", "its record's flavour is vanilla, not absent"))
def unknown_field(store: LooseStore, sound: Sound) -> None:
    store.edit_layer(sound.layers[0], flavour="vanilla")


@plants(
    both(
        on(1, "", "record and files make a tar of"),
        on(1, "", "its id does not follow"),
    )
)
def wrong_diff_id(store: LooseStore, sound: Sound) -> None:
    store.edit_layer(sound.layers[1], diff_digest="sha256:" + "1" * 64)


@plants(
    both(
        on(1, "", "its id does not follow"),
        on(1, "*", "*"),
        *(beside(f"overlay/{{1}}/{name}", "says") for name in ("lower", "lower-layers")),
    )
)
def wrong_parent(store: LooseStore, sound: Sound) -> None:
    store.edit_layer(sound.layers[1], parent=sound.layers[2])


@plants(beside("overlay-layers/layers.json", "is not JSON"))
def layers_json_cut_short(store: LooseStore, sound: Sound) -> None:
    path = store.path / "overlay-layers/layers.json"
    path.write_bytes(path.read_bytes()[:-5])


@plants(beside("overlay-layers/layers.json", "is missing"))
def layers_json_missing(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay-layers/layers.json").unlink()


@plants(beside("overlay-layers/layers.lock", "is missing"))
def layers_lock_missing(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay-layers/layers.lock").unlink()


@plants(beside("overlay-images/images.lock", "is missing"))
def images_lock_missing(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay-images/images.lock").unlink()


@plants(beside("overlay-images/images.json", "digest"))
def image_without_a_digest(store: LooseStore, sound: Sound) -> None:
    store.edit_image(sound.one.image_id, digest=None)


@plants(lambda _: {("", "", "several images have the name")})
def names_clash(store: LooseStore, sound: Sound) -> None:
    store.edit_image(sound.one.image_id, names=[sound.names[1]])


@plants(lambda _: {("", "", "has a digest of none of its manifests")})
def name_with_another_images_digest(store: LooseStore, sound: Sound) -> None:
    repository = sound.names[0].rpartition(":")[0]
    store.edit_image(sound.one.image_id, names=[f"{repository}@{sound.two.digest}"])


@plants(lambda _: {("", "", "its record's created is")})
def wrong_time(store: LooseStore, sound: Sound) -> None:
    store.edit_image(sound.one.image_id, created="2001-01-01T00:00:00Z")


@plants(lambda _: {("", "", "its top layer is not the one")})
def wrong_top_layer(store: LooseStore, sound: Sound) -> None:
    store.edit_image(sound.one.image_id, layer=sound.layers[2])


@plants(lambda _: {("", "", "layers.json has no layer")})
def top_layer_of_no_record(store: LooseStore, sound: Sound) -> None:
    store.edit_image(sound.one.image_id, layer="a" * 64)


@plants(lambda _: {("", "*", "has digest"), ("", "", "*")})
def manifest_altered(store: LooseStore, sound: Sound) -> None:
    for key in ("manifest", f"manifest-{sound.one.digest}"):
        path = store.document(sound.one.image_id, key)
        path.write_bytes(path.read_bytes() + b" ")


@plants(lambda _: {("", "*", "has digest"), ("", "", "*")})
def config_altered(store: LooseStore, sound: Sound) -> None:
    path = store.document(sound.one.image_id, sound.one.config_digest)
    path.write_bytes(path.read_bytes().replace(b'"amd64"', b'"arm64"'))


@plants(lambda _: {("", "*", "is missing"), ("", "", "*")})
def config_missing(store: LooseStore, sound: Sound) -> None:
    store.document(sound.one.image_id, sound.one.config_digest).unlink()


@plants(beside("overlay-images/{i}/stray", "belongs to no record"))
def stray_document(store: LooseStore, sound: Sound) -> None:
    store.document(sound.one.image_id, "stray").write_text("x")


# --- owners, modes and kinds beside the layers' trees ---


@plants(beside("overlay", "its mode is 0700; an import writes 0755"))
def store_directory_closed(store: LooseStore, sound: Sound) -> None:
    (store.path / "overlay").chmod(0o700)


@plants(
    both(
        beside("overlay-images", "its owner is 5:6; an import writes 0:0"),
        beside("overlay-images/{i}", "its mode is 0750"),
        beside("overlay/{1}", "its mode is 0711"),
        beside("overlay/l", "its owner is 7:0"),
    )
)
def directories_of_other_owners_and_modes(store: LooseStore, sound: Sound) -> None:
    os.chown(store.path / "overlay-images", 5, 6)
    (store.path / "overlay-images" / sound.one.image_id).chmod(0o750)
    (store.path / "overlay" / sound.layers[1]).chmod(0o711)
    os.chown(store.path / "overlay/l", 7, 0)


@plants(
    both(
        beside("overlay/{1}/link", "its mode is 0600; an import writes 0644"),
        beside("overlay/{1}/lower", "it has xattrs"),
        beside("overlay/l/{l1}", "its owner is 7:8"),
        beside("overlay-layers/layers.json", "its mode is 0600"),
        beside("overlay-layers/layers.lock", "its mode is 0000"),
        beside("overlay-layers/{0}.tar-split.gz", "its mode is 4755"),
        beside("overlay-images/images.json", "its owner is 0:9"),
        beside("overlay-images/{i}/manifest", "its mode is 0666"),
    )
)
def files_of_other_owners_and_modes(store: LooseStore, sound: Sound) -> None:
    layer = store.path / "overlay" / sound.layers[1]
    (layer / "link").chmod(0o600)
    os.setxattr(layer / "lower", "user.a", b"b")
    os.lchown(store.path / "overlay/l" / sound.links[1], 7, 8)
    (store.path / "overlay-layers/layers.json").chmod(0o600)
    (store.path / "overlay-layers/layers.lock").chmod(0)
    store.split(sound.layers[0]).chmod(0o4755)
    os.chown(store.path / "overlay-images/images.json", 0, 9)
    store.document(sound.one.image_id, "manifest").chmod(0o666)


@plants(beside("overlay/{2}/diff", "is not a directory"))
def diff_is_a_file(store: LooseStore, sound: Sound) -> None:
    shutil.rmtree(store.diff(sound.layers[2]))
    store.diff(sound.layers[2]).touch()


@plants(beside("overlay-layers/{2}.tar-split.gz", "is a directory, not a file"))
def tar_split_is_a_directory(store: LooseStore, sound: Sound) -> None:
    store.split(sound.layers[2]).unlink()
    store.split(sound.layers[2]).mkdir()


@plants(
    both(
        beside("overlay/{2}/link", "is a symlink, not a file"),
        beside("overlay/l/{l0}", "leads to None"),
    )
)
def links_are_of_the_other_kind(store: LooseStore, sound: Sound) -> None:
    link = store.path / "overlay" / sound.layers[2] / "link"
    link.unlink()
    link.symlink_to("elsewhere")
    link = store.path / "overlay/l" / sound.links[0]
    link.unlink()
    link.write_text("x")


@plants(beside("overlay-images/images.json", "is a symlink, not a file"))
def images_json_is_a_symlink(store: LooseStore, sound: Sound) -> None:
    path = store.path / "overlay-images/images.json"
    path.unlink()
    path.symlink_to("../images.json")


@plants(lambda _: {("", "*", "is a symlink, not a file")})
def config_is_a_symlink(store: LooseStore, sound: Sound) -> None:
    path = store.document(sound.one.image_id, sound.one.config_digest)
    path.unlink()
    path.symlink_to("manifest")


# --- the tests ---


@pytest.mark.root
def test_a_sound_store_has_no_finding(sound: Sound) -> None:
    assert findings(sound.repo) == []


@pytest.mark.root
def test_a_store_committed_by_ostree_itself_is_as_sound(sound: Sound, tmp_path: Path) -> None:
    planted = ostreerepo.init(tmp_path / "planted")
    commit(copy(sound.loose, tmp_path / "copy"), planted, "same")
    assert findings(planted, "same") == []


@pytest.mark.root
def test_a_store_without_lower_layers_is_as_sound(sound: Sound, tmp_path: Path) -> None:
    """Earlier versions wrote none, nor does podman before 6."""
    planted = ostreerepo.init(tmp_path / "planted")
    older = copy(sound.loose, tmp_path / "copy")
    found = [*(older.path / "overlay").glob("*/lower-layers")]
    assert found
    for path in found:
        path.unlink()
    commit(older, planted, "older")
    assert findings(planted, "older") == []


def test_an_image_that_is_packed_in_two_ways_is_sound(registry: Registry, tmp_path: Path) -> None:
    """One config, and so one record, with two manifests and the names of both."""
    packings: tuple[Compression, ...] = ("gzip", "zstd")
    built = [build_oci(tmp_path / "l", kind, LAYERS, compression=kind) for kind in packings]
    names = [registry.push(one, "verify/packed") for one in built]
    imported(tmp_path / "repo", "--branch=all", *names)
    assert findings(tmp_path / "repo") == []
    (image,) = find_stores(Repo.open(tmp_path / "repo"), ("all",), None).found[0].images
    assert {str(digest) for digest in image.digests} == {one.digest for one in built}


@pytest.mark.root
@pytest.mark.parametrize("name", CASES)
def test_a_planted_fault_is_found(sound: Sound, tmp_path: Path, name: str) -> None:
    plant, expect = CASES[name]
    planted = ostreerepo.init(tmp_path / "planted")
    altered = copy(sound.loose, tmp_path / "copy")
    plant(altered, sound)
    commit(altered, planted, "altered")
    found = findings(planted, "altered")
    wanted = expect(sound)
    for layer, path, problem in wanted:
        assert any(_is(f, layer, path, problem) for f in found), (path, problem, found)
    strays = [str(f) for f in found if not any(_is(f, *one) for one in wanted)]
    assert strays == []


def _is(found: Finding, layer: str, path: str, problem: str) -> bool:
    return (
        found.layer == layer
        and path in (found.path, "*")
        and (problem == "*" or problem in found.problem)
    )


@pytest.mark.root
def test_a_finding_names_the_images_that_have_the_layer(sound: Sound, tmp_path: Path) -> None:
    planted = ostreerepo.init(tmp_path / "planted")
    altered = copy(sound.loose, tmp_path / "copy")
    file_altered(altered, sound)
    whiteout_removed(altered, sound)
    commit(altered, planted, "altered")
    images = {f.path: f.images for f in findings(planted)}
    one, two = sound.names
    assert images == {"etc/keep": (one, two), "etc/gone": (one,)}


@pytest.mark.root
def test_more_processes_find_and_tell_the_same(
    sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults in two layers, and a damaged object that two stores have."""
    repo = tmp_path / "repo"
    shutil.copytree(sound.repo, repo)
    altered = copy(sound.loose, tmp_path / "copy")
    file_altered(altered, sound)
    whiteout_removed(altered, sound)
    commit(altered, repo, "altered")
    object_file(repo, "altered", ostree_path(sound, 2, "other")).write_text("damaged")
    opened, results = Repo.open(repo), []
    monkeypatch.setattr("importer.workers.tasks._WORTH", 1)
    for jobs in (1, 2, 3):
        told = Told()
        stores = find_stores(opened, ("altered", "all"), None, broken=True)
        results.append((verify(opened, stores, told, jobs), told.messages))
    assert results[0] == results[1] == results[2]
    assert len(results[0][1]) == 6
    assert [len(one.findings) for one in results[0][0].branches] == [5, 1]


def ostree_path(sound: Sound, layer: int, path: str) -> str:
    """The path in the commit of a layer's file."""
    return f"/usr/lib/containers/storage/overlay/{sound.layers[layer]}/diff/{path}"


def object_file(repo: Path, branch: str, path: str) -> Path:
    """The loose object of a file in a bare-user repo."""
    listed = ostree(repo, "ls", "--checksum", branch, path).split()
    checksum = next(word for word in listed if len(word) == 64)
    return repo / "objects" / checksum[:2] / f"{checksum[2:]}.file"


@pytest.mark.root
@pytest.mark.parametrize("damage", ["content", "mode", "gone", "target"])
def test_a_damaged_object_is_found(sound: Sound, tmp_path: Path, damage: str) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(sound.repo, repo, symlinks=True)
    layer, name = (0, "etc/link") if damage == "target" else (1, "app/new")
    place = f"/usr/lib/containers/storage/overlay/{sound.layers[layer]}/diff/{name}"
    path = object_file(repo, "all", place)
    if damage == "content":
        path.write_text("NEW\n")
    elif damage == "target":
        path.write_bytes(b"k\xe4ep\0")  # as libostree keeps a symlink in a bare-user repo
    elif damage == "mode":
        other = object_file(repo, "all", place.replace("app/new", "etc/copy"))
        os.setxattr(path, "user.ostreemeta", os.getxattr(other, "user.ostreemeta"))
    else:
        path.unlink()
    found = [f for f in findings(repo, "all") if f.path == name]
    assert [f.layer for f in found] == [sound.layers[layer]]


@pytest.mark.root
@pytest.mark.parametrize("way", ["--flatten", "--selinux-label=u:r:t:s0", "--to=", "embed"])
def test_a_damaged_file_gets_no_new_checksum(sound: Sound, tmp_path: Path, way: str) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(sound.repo, repo, symlinks=True)
    imported(repo, "--branch=none", "--whiteouts=none", *sound.names)
    place = f"/usr/lib/containers/storage/overlay/{sound.layers[0]}/diff/app/tool"
    object_file(repo, "all", place).write_text("TOOL\n")
    if way == "embed":
        base = build_oci(tmp_path / "base", "os", [OTHER])
        images = (f"--base=oci:{base.directory}:os", f"--to=oci:{tmp_path}/out:x")
        embedded = image_store(repo, "embed", "none", *images)
        status, said = embedded.status, embedded.stderr
    else:
        flags = (f"--to={tmp_path}/out", "--whiteouts=none") if way == "--to=" else (way,)
        outcome = run_import(repo, "--branch=other", *flags, *sound.names)
        status, said = outcome.status, outcome.stderr
    assert status == 1
    assert " is damaged\n" in said


@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "below"),
    [
        ("commit", ""),
        ("dirtree", ""),
        ("dirtree", "/storage/overlay"),
        ("dirtree", "/storage/*"),
        ("dirmeta", "/storage/*"),
    ],
)
def test_a_flipped_bit_outside_of_files_is_found(
    sound: Sound, tmp_path: Path, kind: str, below: str
) -> None:
    repo = ostreerepo.init(tmp_path / "repo")
    ostree(repo, "pull-local", sound.repo, "all")
    imported(repo, "--branch=other", sound.names[1])
    place = "/usr/lib/containers" + below.replace("*", f"overlay/{sound.layers[1]}/diff/app")
    listed = ostree(repo, "ls", "-d", "--checksum", "all", place).split()
    contents, meta = (word for word in listed if len(word) == 64)
    head = ostreerepo.rev_parse(repo, "all")
    checksum = {"commit": head, "dirtree": contents, "dirmeta": meta}[kind]
    path = repo / "objects" / checksum[:2] / f"{checksum[2:]}.{kind}"
    data = bytearray(path.read_bytes())
    data[8 if kind == "dirmeta" else len(data) // 2] ^= 128
    path.unlink()  # a hard link to the other repo's object
    path.write_bytes(data)
    outcome = image_store(repo, "verify", "--quiet")
    assert outcome.status == 1
    assert f"{kind} {checksum} is damaged\n" in outcome.stdout
    assert re.search("^all: .*: [1-9][0-9]* faults?$", outcome.stdout, re.MULTILINE)
    assert re.search("^other: .*: ok$", outcome.stdout, re.MULTILINE)


@pytest.mark.root
def test_a_layer_branch_that_differs_is_found(sound: Sound, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(sound.repo, repo, symlinks=True)
    other = ostreerepo.rev_parse(repo, f"oci/layer/{sound.standard[2]}")
    ostree(repo, "refs", "--delete", f"oci/layer/{sound.standard[1]}")
    ostree(repo, "refs", f"--create=oci/layer/{sound.standard[1]}", other)
    (found,) = findings(repo, "all")
    assert (found.layer, found.problem[:10]) == (sound.layers[1], "branch oci")


@pytest.mark.root
def test_the_command_says_what_is_wrong_and_exits_with_1(sound: Sound, tmp_path: Path) -> None:
    planted = ostreerepo.init(tmp_path / "planted")
    altered = copy(sound.loose, tmp_path / "copy")
    mode_changed(altered, sound)
    commit(altered, planted, "altered")
    commit(copy(sound.loose, tmp_path / "copy"), planted, "sound")
    outcome = image_store(planted, "verify", "--quiet")
    assert outcome.status == 1
    bad, summary, good = outcome.stdout.splitlines()
    layer = f"layer {sound.layers[1][:12]}"
    problem = "app/new: its mode is 0755; the layer's tar says 0644"
    assert bad == f"altered: {sound.names[0]}: {layer}: {problem}"
    assert summary.startswith("altered: 2 images, 3 layers, ")
    assert summary.endswith(": 1 fault")
    assert good.startswith("sound: 2 images, 3 layers, ")
    assert good.endswith(": ok")
    document = json.loads(image_store(planted, "verify", "--quiet", "--json").stdout)
    assert document["ok"] is False
    assert document["branches"][0]["findings"] == [
        {
            "images": [sound.names[0]],
            "layer": sound.layers[1],
            "path": "app/new",
            "problem": problem.partition(": ")[2],
        }
    ]
    assert image_store(planted, "verify", "sound").status == 0
    assert refs(planted) == ["altered", "sound"]
    assert ls(planted, "sound") == ls(planted, "altered")
