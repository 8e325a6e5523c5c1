"""What each format lists, and the file again with digests in place of tags."""

from hashlib import sha256

import pytest

from layers.errors import LayerError
from layers.lists.detect import read_list

A, B, C = "quay.io/a/one:1", "localhost:5000/b/two:2.0", "registry.example.com/c/three"
DIGEST = f"sha256:{'7' * 64}"
PINNED = {one: f"{one.rpartition(':')[0] if one != C else one}@{DIGEST}" for one in (A, B, C)}

BLUEPRINT = f"""\
# the device's image
name = "edge"
version = "0.0.1"

[[containers]]
source = "{A}"   # the web server
name = "localhost/web:latest"
tls-verify = false

[[containers]]
source = '{B}'
"""
COMPOSE = f"""\
# a stack
x-base: &base
  image: "{A}"  # shared
  restart: always
services:
  web:
    <<: *base
  db:
    image: {B}
  built:
    build: .
  again:
    <<: *base
    image: '{C}'
"""
KUBERNETES = f"""\
---
apiVersion: v1
kind: Pod
metadata: {{name: p, annotations: {{image: "no image"}}}}
spec:
  initContainers:
  - name: first
    image: {A}
  containers:
  - image: "{B}"
    name: second
  volumes:
  - name: data
    image:
      reference: {C}
      pullPolicy: Never
---
# empty
---
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  spec:
    template:
      spec:
        containers: [{{name: x, image: {A}}}]
- apiVersion: batch/v1
  kind: CronJob
  spec:
    jobTemplate:
      spec:
        template:
          spec:
            containers:
            - {{name: y, image: '{C}'}}
"""
JSON = f'{{"apiVersion": "v1", "kind": "Pod", "spec": {{"containers": [{{"image": "{A}"}}]}}}}\n'
# YAML that begins as JSON does.
JSON_STREAM = f"{JSON}---\n{JSON}"
FLOW = f"{{services: {{web: {{image: '{B}'}}}}}}\n"
RELEASE = f"""\
{{
  "release": {{
    "base": "4.20"
  }},
  "images": {{
    "one": "{A}",
    "two": "{B}"
  }}
}}
"""
SERVICE_VERSION = f"""\
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata:
  annotations: {{containerImage: quay.io/none/none:1}}
spec:
  install:
    spec:
      deployments:
      - spec: {{template: {{spec: {{containers: [{{image: "{A}"}}]}}}}}}
  relatedImages:
  - name: operand
    image: {B}
  - {{image: {C}, name: other}}
"""
CATALOG = f"""\
---
schema: olm.package
name: operator
---
schema: olm.bundle
image: quay.io/none/bundle:1
relatedImages:
- image: {A}
  name: ""
- image: {C}
  name: operand
"""
CONTAINER = f"""\
[Unit]
Description=Image=nothing

[Container]
# Image={B}
Image=replaced.example.com/x
Image = {A}
Exec=run Image=other
"""
IMAGE_UNIT = f"[Image]\nImage={C}\nTLSVerify=false\n"
# Each has one image, A.
UNITS = {
    f'[Container]\nImage="{A}"\n': A,
    f"[Container]\n  Image = {A}  \n": A,
    f"[Container]\r\nImage={A}\r\n": A,
    f"[Container]\nExec=sh \\\nImage={B}\nImage={A}\n": A,
    f"[Container]\n# none \\\nImage={A}\n": A,
}
LINES = f"# images\n{A}\nweb  {B}   # with a name\n\n{C}\n"


def _sum(reference: str) -> str:
    return sha256(f"{reference}\n".encode()).hexdigest()


IMAGE_LIST = "".join(f"{one},{_sum(one)}\n" for one in (A, B, C))


@pytest.mark.parametrize(
    ("text", "images"),
    [
        (BLUEPRINT, [(A, "localhost/web:latest"), (B, "")]),
        (COMPOSE, [(A, ""), (B, ""), (C, "")]),
        (KUBERNETES, [(A, ""), (B, ""), (C, ""), (A, ""), (C, "")]),
        (JSON, [(A, "")]),
        (JSON_STREAM, [(A, ""), (A, "")]),
        (FLOW, [(B, "")]),
        (RELEASE, [(A, ""), (B, "")]),
        (SERVICE_VERSION, [(A, ""), (B, ""), (C, "")]),
        (CATALOG, [(A, ""), (C, "")]),
        (CONTAINER, [(A, "")]),
        (IMAGE_UNIT, [(C, "")]),
        (LINES, [(A, ""), (B, "web"), (C, "")]),
        (IMAGE_LIST, [(A, ""), (B, ""), (C, "")]),
    ],
    ids=[
        "blueprint",
        "compose",
        "kubernetes",
        "json",
        "json stream",
        "flow",
        "release",
        "service version",
        "catalog",
        "container",
        "image",
        "lines",
        "image-list",
    ],
)
def test_images_and_pins(text: str, images: list[tuple[str, str]]) -> None:
    """Pinned, the file is the same but for the references; with no digest it is the same."""
    found = read_list(text.encode(), "file")
    assert [(one.source, one.name) for one in found.images] == images
    assert found.pinned({}) == text.encode()
    expected = text
    for one, pinned in PINNED.items():
        if one in {source for source, _ in images}:
            expected = expected.replace(_sum(one), _sum(pinned))
            expected = "".join(
                line if line.startswith("# Image=") else line.replace(one, pinned)
                for line in expected.splitlines(keepends=True)
            )
    assert found.pinned(PINNED) == expected.replace(f"'{PINNED[B]}'", _toml(text)).encode()


def _toml(text: str) -> str:
    """tomlkit writes a changed literal string as a basic one."""
    return f'"{PINNED[B]}"' if text == BLUEPRINT else f"'{PINNED[B]}'"


def test_a_unit_is_read_as_podman_reads_it() -> None:
    """tests/device/test_quadlet.py asks podman's Quadlet about the same units."""
    for unit, image in UNITS.items():
        found = read_list(unit.encode(), "file")
        assert [one.source for one in found.images] == [image]
        assert found.pinned({image: "x.y/z@1"}).decode() == unit.replace(image, "x.y/z@1")


def test_a_unit_of_a_unit_has_no_image_of_its_own() -> None:
    with pytest.raises(LayerError, match="lists no image"):
        read_list(b"[Container]\nImage=web.image\n", "web.container")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lists no image"),
        ("a b c\n", "file:1: not an image reference"),
        ("[[containers]]\nname = 'x'\n", "has no source"),
        ("[[containers]\n", "not TOML"),
        ("services: {web: {image: 'a/b:${TAG}'}}\n", "file:1: .*has a variable without"),
        ("services: {web: {image: 'a/b:${TAG:-${X:-1}}'}}\n", "has a variable without a default"),
        ("services: {web: {image: 'a/b:${TAG:?none}'}}\n", "has a variable without a default"),
        ("[Container]\nImage=a.b/c:${TAG}\n", "file:2: 'a.b/c:.{TAG}' has a variable without"),
        ("services: {web: {image: [a]}}\n", "file:1: the image is not text"),
        ("services: [\n", "not YAML"),
        ("services: {web: {image: |\n  a\n  b\n}}\n", "not YAML"),
        ("services:\n  web:\n    image: |\n      a\n", "not a value on one line"),
        ("[Container]\nImage=a.b/c:1 # no comment\n", "file:2: Image= is 'a.b/c:1 # no comment'"),
        ("[Container]\nImage=\\\na.b/c:1\n", "file:2: Image= is "),
        ("[Container]\nImage=a.b/c:1\nImage=\n", "lists no image"),
        ("a: 1\n", "of no kind that we know"),
        ('{"a": 1}', "of no kind that we know"),
        ('{"images": {"a": 1}}', "file: a is not of type str"),
        ('{"images": {"a": "x"}, "images": {}}', "duplicate JSON key 'images'"),
        ("[]", "is JSON, but no object"),
        ("<html>", "is HTML or XML"),
        ("services: " + "[" * 5000 + "]" * 5000, "has more than 100 levels"),
    ],
)
def test_what_is_no_list(text: str, said: str) -> None:
    with pytest.raises(LayerError, match=said):
        read_list(text.encode(), "file")


@pytest.mark.parametrize(
    "text",
    ["services: {{web: {{image: '{}'}}}}\n", "[Container]\nImage={}\n", '[Image]\nImage="{}"\n'],
)
def test_a_variable_has_its_default(text: str) -> None:
    """The pinned file names the very image that was imported, and no variable."""
    for written in (f"${{IMAGE:-{A}}}", f"${{IMAGE-{A}}}", "quay.io/${ORG:-a}/one:${TAG:-1}"):
        found = read_list(text.format(written).encode(), "file")
        assert [one.source for one in found.images] == [A]
        assert found.pinned({}).decode() == text.format(written)
        assert found.pinned({A: PINNED[A]}).decode() == text.format(PINNED[A])


def test_an_anchor_stays_for_its_aliases() -> None:
    text = "services:\n  a: {{image: &a {0}}}\n  b: {{image: *a}}\n  c: {{image: &c !!str '{0}'}}\n"
    found = read_list(text.format(A).encode(), "file")
    assert [one.source for one in found.images] == [A, A]
    assert found.pinned({A: PINNED[A]}).decode() == text.format(PINNED[A])


@pytest.mark.parametrize(
    ("text", "always"),
    [
        ("{{image: {}, imagePullPolicy: Always}}", "imagePullPolicy: Always"),
        ("{{image: {}, imagePullPolicy: IfNotPresent}}", ""),
        ("{{image: {}}}", ""),
        ("{{image: quay.io/a/latest:1.0}}", ""),
        (f"{{{{image: localhost:5000/a@{DIGEST}}}}}", ""),
        ("{{image: localhost:5000/a}}", "the tag latest without imagePullPolicy means Always"),
        ("{{image: quay.io/a/b:latest}}", "the tag latest without imagePullPolicy means Always"),
        ("{{image: quay.io/a/b:latest, imagePullPolicy: Never}}", ""),
    ],
)
def test_an_image_that_kubernetes_pulls_each_time(text: str, always: str) -> None:
    manifest = f"{{kind: Pod, apiVersion: v1, spec: {{containers: [{text.format(A)}]}}}}\n"
    (image,) = read_list(manifest.encode(), "file").images
    assert always in image.warning
    assert bool(image.warning) == bool(always)
    assert image.warning.startswith(f"file:1: {image.source} cannot") or not always


def test_a_volume_a_service_and_a_unit_that_are_pulled_each_time() -> None:
    source = f"image: {{reference: {A}, pullPolicy: Always}}"
    for text, always in (
        (f"{{kind: Pod, apiVersion: v1, spec: {{volumes: [{{{source}}}]}}}}", "pullPolicy: Always"),
        (f"services: {{web: {{image: '{A}', pull_policy: always}}}}", "pull_policy: always"),
        (f"[Container]\nPull = always \nImage={A}\n", "Pull=always"),
    ):
        (image,) = read_list(text.encode(), "file").images
        assert image.always == always


def test_a_list_has_as_many_bytes_as_are_allowed() -> None:
    for text in (JSON, LINES):
        raw = text.encode() + b" " * (5 << 20) + b"\n"
        assert read_list(raw, "file", 6 << 20).images == read_list(text.encode(), "file").images
        with pytest.raises(LayerError, match=r"file has 52\d+ bytes, more than"):
            read_list(raw, "file")


def test_what_is_no_text() -> None:
    with pytest.raises(LayerError, match="file is not UTF-8"):
        read_list(b"\xff", "file")


def test_aliases_are_walked_once() -> None:
    """A billion laughs: each line doubles the one above."""
    lines = ["a0: &a0 {containers: [{image: quay.io/a/b:1}]}"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    text = "apiVersion: v1\nkind: List\n" + "\n".join(lines) + "\n"
    assert len(read_list(text.encode(), "file").images) == 1


@pytest.mark.parametrize(
    "merges",
    [
        [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)],
        [f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 90)],
        ["a1: &a1 {<<: {<<: *a1}, image: quay.io/a/b:1}"],
    ],
    ids=["doubled", "in a row", "in a circle"],
)
def test_merges_are_followed_once(merges: list[str]) -> None:
    lines = ["a0: &a0 {image: quay.io/a/b:1}", *merges, f"services: {{web: *a{len(merges)}}}"]
    found = read_list(("\n".join(lines) + "\n").encode(), "file")
    assert [one.source for one in found.images] == ["quay.io/a/b:1"]


def test_what_a_mapping_merges_is_overridden_by_itself_and_in_order() -> None:
    text = """\
x: &x {image: quay.io/x/x:1, restart: no}
y: &y {image: quay.io/y/y:1}
services:
  own: {<<: *x, image: quay.io/own/own:1}
  first: {<<: [*y, *x]}
"""
    found = read_list(text.encode(), "file")
    assert {one.source for one in found.images} == {"quay.io/own/own:1", "quay.io/y/y:1"}
