"""A kustomization's images are those of `kustomize build`."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from importer.errors import ImporterError
from importer.files.image_lists import read_image_lists
from layers.errors import LayerError
from layers.lists.detect import ListRules, read_list
from tests.tools.lacking import need
from tests.tools.process import run

DIGEST = f"sha256:{'7' * 64}"
DEPLOYMENT = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  template:
    spec:
      initContainers: [{{name: init, image: quay.io/x/init}}]
      containers:
      - {{name: web, image: "quay.io/x/web:1"}}
      - {{name: side, image: "localhost:5000/side:1@{DIGEST}"}}
      - {{name: kept, image: quay.io/x/kept:1}}
      volumes: [{{name: v, image: {{reference: quay.io/x/data:1}}}}]
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: more}
spec: {containers: [{name: web, image: quay.io/x/web:9}]}
"""
TREE = {
    "base/kustomization.yaml": (
        "resources: [./web.yaml]\nimages: [{name: quay.io/x/init, newTag: '2'}]\n"
    ),
    "base/web.yaml": DEPLOYMENT,
    "more/kustomization.yml": (
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [pod.yaml]\n"
        "images: [{name: quay.io/x/web, newName: quay.io/y/web}]\n"
    ),
    "more/pod.yaml": POD,
    "overlays/prod/Kustomization": f"""\
resources: [../../base]
components: [../../more]
namePrefix: prod-
configMapGenerator: [{{name: c, literals: [image=none]}}]
patches:
- target: {{kind: Deployment}}
  patch: |
    - {{op: add, path: /metadata/labels, value: {{a: b}}}}
- path: replicas.yaml
images:
- {{name: quay.io/x/init, newName: quay.io/z/init, digest: "{DIGEST}"}}
- {{name: localhost:5000/side, newTag: dev}}
- {{name: quay.io/y/web, newTag: v2, digest: "{DIGEST}"}}
- {{name: web, newTag: none}}
""",
    "overlays/prod/replicas.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n"
    ),
}


def laid(directory: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def sources(path: Path) -> list[str]:
    (found,) = read_image_lists(path, ListRules())
    return sorted(image.source for image in found.images)


def test_the_images_of_a_tree_are_those_of_kustomize(tmp_path: Path) -> None:
    need("kustomize")
    overlay = laid(tmp_path, TREE) / "overlays/prod"
    built = run(["kustomize", "build", overlay])
    expected = sorted(image.source for image in read_list(built.encode(), "built").images)
    assert sources(overlay) == expected
    assert sources(overlay / "Kustomization") == expected
    assert f"quay.io/y/web:v2@{DIGEST}" in expected
    assert len(expected) == 6
    (found,) = read_image_lists(overlay, ListRules())
    assert [image.warning for image in found.images if "latest" in image.warning] == []
    with pytest.raises(LayerError, match="is a kustomization, which names other files"):
        read_list(TREE["more/kustomization.yml"].encode(), "standard input")


def test_the_part_of_a_kustomization_that_microshift_has_for_each_architecture(
    tmp_path: Path,
) -> None:
    part = f"images:\n- {{name: multus, newName: quay.io/x/multus, digest: '{DIGEST}'}}\n"
    laid(tmp_path, {"kustomization.x86_64.yaml": part})
    assert sources(tmp_path / "kustomization.x86_64.yaml") == [f"quay.io/x/multus@{DIGEST}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "resources: [https://x.example/y.yaml]",
            "^https://x.example/y.yaml cannot be read: No",
        ),
        ("resources: [link.yaml]", "link.yaml cannot be read: Too many levels of symbolic"),
        ("resources: [way/pod.yaml]", "way/pod.yaml cannot be read: Too many levels of symbolic"),
        ("resources: [/etc/passwd]", "/etc/passwd cannot be read: Invalid cross-device link"),
        ("resources: [../outside.yaml]", "outside.yaml cannot be read: Not a directory"),
        ("resources: [../none]", "none has no kustomization"),
        ("resources: [.]", "cannot be read: Invalid cross-device link"),
        ("resources: [../tree]", "too many files or levels"),
        ("resources: [pipe]", "it is no regular file"),
        (r'resources: ["a\0b"]', "resources has an entry that is no path"),
        ("resources: [{a: b}]", "resources has an entry that is no path"),
        ("components: [pod.yaml]", "pod.yaml is no directory"),
        ("helmCharts: [{name: x}]", "has helmCharts, which may change images"),
        ("patches: [{patch: '{spec: {image: x}}'}]", "a patch may change an image"),
        ("patchesStrategicMerge: [pod.yaml]", "pod.yaml: a patch may change an image"),
        ("images: [{name: x, newTag: 1.5}]", "a newTag in images is no text"),
        ("images: [{name: 'x.*', newTag: '1'}]", "'x.[*]' in images is no plain name"),
        ("images: [{name: x, tagSuffix: -dev}]", "'x' in images is no plain name"),
        (f"images: [{', '.join(['{name: x}'] * 201)}]", "changes more than 200 images"),
        ("{}\n---\n{}", "has 2 documents"),
    ],
)
def test_a_kustomization_that_is_refused(tmp_path: Path, text: str, said: str) -> None:
    laid(tmp_path, {"outside.yaml": POD, "none/pod.yaml": POD, "tree/pod.yaml": POD})
    tree = laid(tmp_path / "tree", {"kustomization.yaml": text})
    (tree / "link.yaml").symlink_to("pod.yaml")
    (tree / "way").symlink_to(".")
    os.mkfifo(tree / "pipe")
    with pytest.raises(ImporterError, match=said):
        read_image_lists(tree, ListRules())


def test_all_files_of_a_kustomization_have_a_bound(tmp_path: Path) -> None:
    """In number, and in bytes."""
    names = [f"p{number}.yaml" for number in range(1000)]
    listed = f"resources: [{', '.join(names)}]"
    laid(tmp_path, {"kustomization.yaml": listed, **dict.fromkeys(names, POD)})
    with pytest.raises(ImporterError, match=r"p999\.yaml: too many files"):
        read_image_lists(tmp_path, ListRules())
    large = POD + "#" * (1 << 20)
    laid(tmp_path, dict.fromkeys(names[:20], large))
    with pytest.raises(ImporterError, match=r"p0\.yaml has more than 1048576 bytes"):
        read_image_lists(tmp_path, ListRules())
    with pytest.raises(ImporterError, match=r"p15\.yaml has more than"):
        read_image_lists(tmp_path, ListRules(size=2 << 20))
