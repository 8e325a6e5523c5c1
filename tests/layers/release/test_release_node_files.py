"""Kustomizations, CRI-O's configuration and new release files, with a newer release's images."""

import pytest

from layers.errors import LayerError
from layers.lists.microshift_json import new_release_file
from layers.release.node_files import Names, image_names, updated_kustomization, with_pause_image
from layers.release.release import Component, Release

REPO = "quay.io/openshift-release-dev/ocp-v5.0-art-dev"


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def release(**digests: str) -> Release:
    found = {name: f"{REPO}@{digest(one)}" for name, one in digests.items()}
    components = {
        name.replace("_", "-"): Component(name.replace("_", "-"), one)
        for name, one in found.items()
    }
    return Release(components, "5.0.0-0.nightly", "5.0.0-0.nightly")


NEW = release(multus_cni="a", operator_lifecycle_manager="b", operator_registry="c", pod="d")
OLD = release(multus_cni="1", operator_lifecycle_manager="2", operator_registry="3", pod="4")

FORMER = tuple((one.pullspec, one.name) for one in OLD.components.values())

MULTUS = f"""
images:
  - name: multus-cni
    newName: {REPO}
    digest: {digest("1")}
"""
OLM = f"""
images:
  - name: quay.io/operator-framework/olm   # the operator
    newName: "{REPO}"
    digest: '{digest("2")}'
  - digest: {digest("3")}
    name: quay.io/operator-framework/configmap-operator-registry
    newName: {REPO}
  - {{name: elsewhere, newName: registry.redhat.io/x, digest: {digest("9")}}}

patches:
  - patch: |-
     - op: add
       value:
         name: OLM_IMAGE
         value: {REPO}@{digest("2")}
    target:
      kind: Deployment
"""
REFERENCES = b"""\
kind: ImageStream
apiVersion: image.openshift.io/v1
spec:
  tags:
  - name: operator-lifecycle-manager
    from: {kind: DockerImage, name: "quay.io/operator-framework/olm:latest"}
  - name: operator-registry
    from:
      kind: DockerImage
      name: quay.io/operator-framework/configmap-operator-registry@sha256:12
"""


def test_entries_with_a_components_name() -> None:
    made = updated_kustomization(MULTUS.encode(), NEW, Names({}), "k").decode()
    assert made == MULTUS.replace(digest("1"), digest("a"))


@pytest.mark.parametrize(
    "names",
    [
        Names(image_names(REFERENCES, "image-references")),
        Names({}, tuple((one.pullspec, one.name) for one in OLD.components.values())),
    ],
    ids=["image-references", "the last release"],
)
def test_entries_with_an_images_name_and_what_a_patch_repeats(names: Names) -> None:
    expected = OLM.replace(digest("2"), digest("b")).replace(digest("3"), digest("c"))
    assert updated_kustomization(OLM.encode(), NEW, names, "k").decode() == expected


def test_a_component_with_a_tag_is_put_in_by_its_digest() -> None:
    components = {"multus-cni": Component("multus-cni", f"{REPO}:new", digest=digest("e"))}
    made = updated_kustomization(MULTUS.encode(), Release(components), Names({}), "k").decode()
    assert made == MULTUS.replace(digest("1"), digest("e"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images: []\n", "names no component"),
        ("- 1\n", "names no component"),
        ("images: [{name: multus-cni, newName: a.b/c, newTag: '1'}]\n", "multus-cni has no digest"),
        ("images: [\n", "not YAML"),
    ],
)
def test_what_no_release_goes_into(text: str, said: str) -> None:
    with pytest.raises(LayerError, match=said):
        updated_kustomization(text.encode(), NEW, Names({}), "k")


def test_two_components_of_one_old_image_that_a_patch_repeats() -> None:
    entry = "{name: %s, newName: a.b/c, digest: d}"
    text = f"images: [{entry % 'multus-cni'}, {entry % 'pod'}]\npatch: a.b/c@d\n"
    with pytest.raises(LayerError, match="stands for two components"):
        updated_kustomization(text.encode(), NEW, Names({}), "k")


def test_image_references_that_are_none() -> None:
    with pytest.raises(LayerError, match="is no ImageStream"):
        image_names(b"kind: Pod\n", "r")


CRIO = f"""\
# the pull secret is mandatory
[crio.image]
global_auth_file="/etc/crio/openshift-pull-secret"
pause_image = "{REPO}@{digest("4")}"
pause_command = "/usr/bin/pod"  # as ever
"""


def test_the_pause_image() -> None:
    made = with_pause_image(CRIO.encode(), NEW.pullspecs, "10-microshift.conf").decode()
    assert made == CRIO.replace(digest("4"), digest("d"))
    assert with_pause_image(made.encode(), NEW.pullspecs, "c").decode() == made


@pytest.mark.parametrize("text", ["", "[crio.image]\nother = 1\n", "crio = 1\n", "[crio.image\n"])
def test_a_file_without_a_pause_image(text: str) -> None:
    with pytest.raises(LayerError, match=r"sets no crio\.image\.pause_image|not TOML"):
        with_pause_image(text.encode(), {"pod": "a.b/c"}, "c")


def test_a_new_release_file_is_what_jq_and_yq_write() -> None:
    names, base = ["operator-registry", "multus-cni"], "5.0.0-0.nightly"
    made = new_release_file(names, NEW.pullspecs, base, "r").decode()
    assert made == (
        '{\n  "release": {\n    "base": "5.0.0-0.nightly"\n  },\n  "images": {\n'
        f'    "operator-registry": "{REPO}@{digest("c")}",\n'
        f'    "multus-cni": "{REPO}@{digest("a")}"\n  }}\n}}\n'
    )
    with pytest.raises(LayerError, match="has no component cli"):
        new_release_file(["cli"], NEW.pullspecs, base, "r")
    with pytest.raises(LayerError, match="which release this is"):
        new_release_file(["pod"], NEW.pullspecs, "", "r")
