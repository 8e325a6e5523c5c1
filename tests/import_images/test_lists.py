"""Images out of the files that people have, named as these say, and the files with digests."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.importrelease import failed, released, run_release
from tests.tools.ostreerepo import refs, rev_parse
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.storecommand import answered
from tests.tools.tarbuild import Entry


@dataclass(frozen=True)
class Two:
    """Two images in a registry, by tag and by digest."""

    built: tuple[BuiltImage, BuiltImage]
    tags: tuple[str, str]
    digests: tuple[str, str]

    def pinned(self, text: str) -> str:
        for tag, digest in zip(self.tags, self.digests, strict=True):
            text = text.replace(tag, digest)
        return text


@pytest.fixture(scope="module")
def two(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Two:
    where = tmp_path_factory.mktemp("lists")
    one = build_oci(where / "layout", "one", [[Entry(b"one", content=b"1")]])
    other = build_oci(where / "layout", "two", [[Entry(b"two", content=b"2")]])
    names = ("lists/one:v1", "lists/two:v2")
    tags = (registry.push(one, names[0]), registry.push(other, names[1]))
    digests = (registry.by_digest(one, names[0]), registry.by_digest(other, names[1]))
    return Two((one, other), tags, digests)


def names(document: dict[str, object]) -> dict[str, list[str]]:
    """The images' names in the store, by id."""
    found = document["images"]
    assert isinstance(found, list)
    return {one["image_id"]: one["names"] for one in found}


def test_a_blueprint_names_its_images(two: Two, tmp_path: Path) -> None:
    blueprint, pinned = tmp_path / "blueprint.toml", tmp_path / "pinned.toml"
    blueprint.write_text(
        f'name = "edge"  # the device\n\n[[containers]]\nsource = "{two.tags[0]}"\n'
        f'name = "localhost/web:latest"\n\n[[containers]]\nsource = "{two.tags[1]}"\n'
    )
    options = ["--tls-verify=false", "--branch=all", f"--from={blueprint}", f"--pin={pinned}"]
    document = imported(tmp_path / "repo", *options)
    assert names(document) == {
        two.built[0].image_id: ["localhost/web:latest"],
        two.built[1].image_id: [two.tags[1]],
    }
    assert pinned.read_text() == two.pinned(blueprint.read_text())
    again = imported(tmp_path / "repo", "--tls-verify=false", "--branch=all", f"--from={pinned}")
    assert again["fetched_bytes"] == 0


def test_a_directory_of_units_and_a_reference_beside_it(two: Two, tmp_path: Path) -> None:
    units, pinned = tmp_path / "bound-images.d", tmp_path / "pinned"
    units.mkdir()
    pinned.mkdir()
    unit = tmp_path / "db.container"
    unit.write_text(f"[Container]\nImage={two.tags[1]}\n")
    (units / "db.container").symlink_to(unit)  # as bootc's bound images are
    (units / "web.container").write_text("[Container]\nImage=web.image\n")
    (units / "README").write_text("not a unit\n")
    options = ["--tls-verify=false", "--branch=all", f"--from={units}", f"--pin={pinned}"]
    document = imported(tmp_path / "repo", two.tags[0], *options)
    assert set(names(document)) == {one.image_id for one in two.built}
    assert (pinned / "db.container").read_text() == two.pinned(unit.read_text())
    assert sorted(one.name for one in pinned.iterdir()) == ["db.container", "web.container"]


def test_several_images_with_a_name_each(two: Two, tmp_path: Path) -> None:
    layout = two.built[0].directory
    document = imported(
        tmp_path / "repo", "--branch=all", "--insecure-policy",
        f"localhost/a:1=oci:{layout}:one", f"localhost/b:2=oci:{layout}:two",
    )  # fmt: skip
    assert names(document) == {
        two.built[0].image_id: ["localhost/a:1"],
        two.built[1].image_id: ["localhost/b:2"],
    }


def test_an_image_has_all_names_that_are_asked_for(two: Two, tmp_path: Path) -> None:
    """A list's own name for it, another list's, and the reference's; the commit says them all."""
    compose, listed = tmp_path / "compose.yaml", tmp_path / "list"
    compose.write_text(f"services:\n  db: {{image: '{two.tags[0]}'}}\n")
    listed.write_text(f"localhost/db:1 {two.tags[0]}\n")
    repo, given = tmp_path / "repo", ["localhost/a:1", "localhost/db:1", two.tags[0]]
    lists = [f"--from={listed}", f"--from={compose}"]
    document = imported(repo, "--branch=all", *lists, f"localhost/a:1={two.tags[0]}", two.tags[1])
    assert [one["names"] for one in document["images"]] == [
        *([one] for one in given),
        [two.tags[1]],
    ]
    (branch,) = answered(repo, "verify", "all")["branches"]
    assert branch["findings"] == []
    (shown,) = [one for one in answered(repo, "list", "all")["images"] if len(one["names"]) > 1]
    assert sorted(shown["names"]) == sorted(given)
    answered(repo, "remove", "--branch=all", two.tags[1])
    imported(repo, "--branch=alone", *(f"{one}={two.tags[0]}" for one in given))
    assert rev_parse(repo, "all") == rev_parse(repo, "alone")


def test_a_local_list_names_other_transports_where_the_user_says_so(
    two: Two, tmp_path: Path
) -> None:
    listed, repo = tmp_path / "list", tmp_path / "repo"
    listed.write_text(f"localhost/a:1 oci:{two.built[0].directory}:one\n")
    options = (f"--from={listed}", "--allow-transports=dir,oci", "--insecure-policy")
    document = imported(repo, "--branch=all", *options)
    assert names(document) == {two.built[0].image_id: ["localhost/a:1"]}
    document = released(repo, "--branch=release", *options)
    assert len(document["releases"][0]["images"]) == 1


def test_two_images_cannot_have_one_name(two: Two, tmp_path: Path) -> None:
    """On one branch; the layers' branches are not made either. A second reference to the same
    image is fine."""
    layout = two.built[0].directory
    named = [f"localhost/a:1=oci:{layout}:one", f"localhost/a:1=oci:{layout}:two"]
    outcome = run_import(tmp_path / "repo", "--insecure-policy", "--branch=all", *named)
    assert outcome.status == 1
    (said,) = outcome.said("error")
    assert said.startswith(f"two images would have the name localhost/a:1: oci:{layout}:one (")
    assert refs(tmp_path / "repo") == []
    released = tmp_path / "list"
    released.write_text("".join(f"{n} docker-archive:{tmp_path}/{n}.tar:x.y/z:1\n" for n in "ab"))
    for number, archive in enumerate("ab"):
        source = f"oci:{layout}:{('one', 'two')[number]}"
        run(["skopeo", "copy", "-q", source, f"docker-archive:{tmp_path}/{archive}.tar:x.y/z:1"])
    options = ("--branch=all", "--insecure-policy", "--allow-transports=docker-archive")
    (said,) = failed(tmp_path / "repo", released, *options).said("error")
    assert said.startswith("two images would have the name x.y/z:1: docker-archive:")
    imported(tmp_path / "repo", "--insecure-policy", "--branch=all", named[0], two.tags[0])


def test_a_list_from_standard_input_without_some_images(two: Two, tmp_path: Path) -> None:
    """As from `kubectl kustomize`. Both commands take it, --pin writes it, --exclude leaves out."""
    repo, pinned, listed = tmp_path / "repo", tmp_path / "pinned", tmp_path / "list"
    wrapper = ["sh", "-c", 'exec "$@" <"$0"', str(listed)]
    text = (
        "{apiVersion: v1, kind: Pod, spec: {containers: [{image: busybox},"
        f" {{image: '{two.digests[0].replace('@', ':v1@')}', imagePullPolicy: Always}},"
        f" {{image: '{two.tags[1]}', imagePullPolicy: Always}}]}}}}\n"
    )
    listed.write_text(text)
    options = ["--branch=all", "--from=-", f"--pin={pinned}"]
    outcome = run_import(repo, *options, "--exclude=busy*", wrapper=wrapper)
    assert outcome.status == 0, outcome.stderr
    assert f"standard input:1: {two.tags[1]} cannot start offline" in outcome.stderr
    assert pinned.read_text() == text.replace(two.tags[1], two.digests[1])
    listed.write_text(text.replace("{image: busybox},", ""))
    excluded = f"--exclude=*/*@{two.digests[0].partition('@')[2]}"
    outcome = run_release(repo, "--json", *options, excluded, wrapper=wrapper)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stderr.count("cannot start offline") == 1
    assert [one["image_id"] for one in outcome.document["releases"][0]["images"]] == [
        two.built[1].image_id
    ]
    assert two.digests[1] in pinned.read_text()
    listed.write_text(f"oci:{two.built[0].directory}:one\n")
    outcome = run_import(repo, *options, "--allow-transports=oci", wrapper=wrapper)
    assert outcome.said("error")[0].startswith("standard input:1: 'oci:")
    outcome = run_import(repo, *options, "--exclude=oci:*", wrapper=wrapper)
    assert outcome.said("error") == ["no image is left to import"]


def test_a_release_of_units(two: Two, tmp_path: Path) -> None:
    units, pinned = tmp_path / "units", tmp_path / "pinned"
    for directory in (units, pinned):
        directory.mkdir()
    (units / "web.container").write_text(f"[Container]\nImage={two.tags[0]}\n")
    (units / "db.image").write_text(f"[Image]\nImage={two.tags[1]}\n")
    document = released(tmp_path / "repo", "--branch=units", f"--from={units}", f"--pin={pinned}")
    found = {one["image_id"] for one in document["releases"][0]["images"]}
    assert found == {one.image_id for one in two.built}
    for unit in units.iterdir():
        assert (pinned / unit.name).read_text() == two.pinned(unit.read_text())


def test_a_microshift_file_is_the_same_by_from_or_alone(two: Two, tmp_path: Path) -> None:
    """The name of the file tells its architecture. Both commands and --pin read it alike."""
    file, pinned, repo = tmp_path / "release-x86_64.json", tmp_path / "pinned", tmp_path / "repo"
    images = ",\n".join(f'    "{name}": "{tag}"' for name, tag in zip("ab", two.tags, strict=True))
    base = '  "release": {\n    "base": "1"\n  }'
    file.write_text(f'{{\n{base},\n  "images": {{\n{images}\n  }}\n}}\n')
    (one,) = released(repo, "--branch=from", f"--from={file}", f"--pin={pinned}")["releases"]
    released(repo, str(file), "--branch=alone")
    assert (one["arch"], one["version"]) == ("amd64", "1")
    assert [image["component"] for image in one["images"]] == ["a", "b"]
    assert rev_parse(repo, "from") == rev_parse(repo, "alone")
    assert pinned.read_text() == two.pinned(file.read_text())
    listed = imported(repo, "--branch=images", f"--from={file}")
    assert names(listed) == {
        image.image_id: [tag] for image, tag in zip(two.built, two.tags, strict=True)
    }
    other = file.rename(tmp_path / "release-aarch64.json")
    said = failed(repo, "--branch=from", f"--from={other}").said("error")
    assert said[0].endswith("the image is for arch 'amd64', not 'arm64'")


def test_a_release_file_in_an_image(registry: Registry, two: Two, tmp_path: Path) -> None:
    """As MicroShift's bootc images have it: in a layer of their build, or as ostree writes layers.
    What lies below is not fetched."""
    images = dict(zip("ab", two.tags, strict=True))
    text = json.dumps({"release": {"base": "4.20.1"}, "images": images}).encode()
    place = b"usr/share/microshift/release/release-x86_64.json"
    file = b"sysroot/ostree/repo/objects/aa/bb.file"
    layers = [
        [Entry(place, content=b"{}")],
        [Entry(file, content=text), Entry(place, "hardlink", link=file)],
        [Entry(b"etc/above", content=b"1")],
    ]
    built = build_oci(tmp_path / "layout", "os", layers, architecture="amd64")
    pullspec, repo = registry.push(built, "lists/os:1"), tmp_path / "repo"
    registry.requests()
    (one,) = released(repo, f"{pullspec}!/{place.decode()}", "--branch=os")["releases"]
    assert (one["arch"], one["version"]) == ("amd64", "4.20.1")
    assert [image["component"] for image in one["images"]] == ["a", "b"]
    assert built.layer_digests[0] not in registry.blob_requests()
    local = f"oci:{tmp_path}/layout:os!/"
    released(repo, local + place.decode(), "--branch=local", "--insecure-policy")
    assert rev_parse(repo, "os") == rev_parse(repo, "local")
    outcome = failed(repo, f"{local}usr/none", "--branch=none", "--insecure-policy")
    assert outcome.said("error") == [f"{local}usr/none: the image has no file usr/none"]
    manifest = (
        "apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\n"
        f"spec: {{relatedImages: [{{name: a, image: '{two.tags[0]}'}}]}}\n"
    )
    name = "manifests/op.clusterserviceversion.yaml"
    built = build_oci(
        tmp_path / "layout", "bundle", [[Entry(name.encode(), content=manifest.encode())]]
    )
    bundle = f"oci:{tmp_path}/layout:bundle!/{name}"
    (one,) = released(repo, bundle, "--branch=bundle", "--insecure-policy")["releases"]
    assert [image["image_id"] for image in one["images"]] == [two.built[0].image_id]
    images["a"] = f"oci:{tmp_path}/layout:os"
    layers = [[Entry(place, content=json.dumps({"images": images}).encode())]]
    built = build_oci(tmp_path / "layout", "bad", layers, architecture="amd64")
    bad = f"oci:{tmp_path}/layout:bad!/{place.decode()}"
    outcome = failed(repo, bad, "--branch=none", "--insecure-policy", "--allow-transports=oci")
    assert "not an image reference" in outcome.said("error")[0]


def test_a_release_of_a_compose_file(two: Two, tmp_path: Path) -> None:
    compose, pinned = tmp_path / "compose.yaml", tmp_path / "pinned.yaml"
    compose.write_text(
        f"services:\n  web: {{image: '{two.tags[0]}'}}  # kept\n  db:\n    image: {two.tags[1]}\n"
    )
    options = ["--branch=stack", f"--from={compose}"]
    checked = run_release(tmp_path / "repo", "--dry-run", *options)
    assert checked.status == 0
    assert not (tmp_path / "repo").exists()
    document = released(tmp_path / "repo", *options, f"--pin={pinned}")
    components = {one["component"] for one in document["releases"][0]["images"]}
    assert components == {tag.rpartition(":")[0] for tag in two.tags}
    assert pinned.read_text() == two.pinned(compose.read_text())


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("[[containers]]\nsource = 'busybox'\n", [], "list: busybox: 'busybox' names no registry"),
        ("web quay.io/a/b:1\n", [], "list:1: 'web' is no name for an image in the store"),
        ("a: 1\n", [], "of no kind that we know"),
        ("# none\n", [], "lists no image"),
        ("oci:/none:t\n", ["--pin=/nonexistent/pinned"], "/nonexistent/pinned cannot be written"),
        ("oci:/none:t\n", [], "list:1: 'oci:/none:t' is in no registry"),
        ("oci:/none:t\n", ["--allow-transports=dir"], "list:1: 'oci:/none:t' is in no registry"),
    ],
)
def test_a_list_that_is_wrong_is_an_error_before_anything_is_made(
    tmp_path: Path, content: str, options: list[str], said: str
) -> None:
    (tmp_path / "list").write_text(content)
    outcome = run_import(tmp_path / "repo", f"--from={tmp_path}/list", *options)
    assert outcome.status == 1
    assert said in outcome.said("error")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pin=x", "oci:a:b"], "--pin is only for --from"),
        ([], "name images"),
        (["--name=localhost/x", "oci:a:b"], "no such option '--name': write NAME=REF"),
    ],
)
def test_what_is_not_clear_is_a_usage_error(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    outcome = run_import(tmp_path / "repo", *arguments)
    assert outcome.status == 2
    assert said in outcome.stderr
