"""What names a release: each kind of source, told by its content, and what is none."""

import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import ImporterError
from importer.release.origin import OPENSHIFT, stream_url
from importer.release.source_name import SourceName
from layers.errors import LayerError
from layers.lists.detect import ListRules, read_list
from layers.lists.microshift_json import ReleaseFile
from layers.oci.reference import REGISTRIES, TRANSPORTS
from layers.release.commit_metadata import images_release, layer_sizes, stored_release
from layers.release.lock import parse_lock
from layers.release.release import Component, Release, merged
from layers.release.source import ControllerAnswer, parse_source
from layers.tree.watched import file_in_layer
from tests.layers.lists.test_lists import (
    BLUEPRINT,
    COMPOSE,
    CONTAINER,
    IMAGE_LIST,
    IMAGE_UNIT,
    KUBERNETES,
    UNITS,
)
from tests.layers.lists.test_lists import JSON as LIST_JSON
from tests.tools.fuzz import examples
from tests.tools.tarbuild import Entry, opaque, tar_bytes, whiteout

LISTS = [BLUEPRINT, COMPOSE, KUBERNETES, LIST_JSON, CONTAINER, IMAGE_UNIT, IMAGE_LIST, *UNITS]
LISTS += [BLUEPRINT[BLUEPRINT.index("[") :]]
DIGEST = "sha256:" + "ab" * 32
CLI = f"quay.io/ocp/art-dev@{DIGEST}"
POD = "quay.io/ocp/pod:v1"
IMAGE_STREAM = {
    "kind": "ImageStream",
    "metadata": {"name": "4.20.1"},
    "spec": {
        "tags": [
            {
                "name": "cli",
                "annotations": {
                    "io.openshift.build.commit.id": "0123456789",
                    "io.openshift.build.source-location": "https://github.com/openshift/oc",
                },
                "from": {"kind": "DockerImage", "name": CLI},
            },
            {"name": "pod", "annotations": None, "from": {"kind": "DockerImage", "name": POD}},
        ]
    },
}
MICROSHIFT = {"release": {"base": "4.20.1"}, "images": {"cli": CLI, "pod": POD}}
INFO = {
    "config": {"architecture": "amd64"},
    "metadata": {"version": "4.20.1"},
    "references": IMAGE_STREAM,
}


def parsed(document: object) -> Any:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_source(raw, "FILE", ListRules())


def pullspecs(release: Release) -> dict[str, str]:
    return {name: one.pullspec for name, one in release.components.items()}


@pytest.mark.parametrize("document", [MICROSHIFT, INFO, IMAGE_STREAM], ids=["ms", "info", "is"])
def test_json_sources_name_release_and_components(document: object) -> None:
    release = parsed(document)
    assert pullspecs(release) == {"cli": CLI, "pod": POD}
    assert (release.name, release.version) == ("4.20.1", "4.20.1")


def test_a_payload_tells_where_the_sources_are() -> None:
    cli = parsed(IMAGE_STREAM).components["cli"]
    assert (cli.commit, cli.source) == ("0123456789", "https://github.com/openshift/oc")


def test_release_info_tells_the_architecture_of_its_payload() -> None:
    assert parsed(INFO).arch == "amd64"
    assert parsed(MICROSHIFT).arch == ""


def test_a_controller_names_payloads() -> None:
    answer = {"name": "n", "phase": "Accepted", "pullSpec": CLI, "downloadURL": "x"}
    assert parsed(answer) == (ControllerAnswer("n", "Accepted", CLI),)
    assert parsed({"name": "stream", "tags": [answer]}) == (ControllerAnswer("n", "Accepted", CLI),)


def test_a_list_has_a_reference_a_line_with_a_name_or_without() -> None:
    raw = f"# ours\n{POD}  # the pause image\n\ncli {CLI}\noci:/dir:tag\n".encode()
    release = parse_source(raw, "FILE", ListRules(TRANSPORTS))
    assert isinstance(release, Release)
    assert pullspecs(release) == {
        "quay.io/ocp/pod": POD,
        "cli": CLI,
        "oci:/dir:tag": "oci:/dir:tag",
    }


FORMS = {
    "plain": "{}\n",
    "named": "web {}\n",
    "blueprint": "[[containers]]\nsource = '{}'\n",
    "compose": "services:\n  web:\n    image: '{}'\n",
    "kube": "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: '{}'\n",
    "container": "[Container]\nImage={}\n",
    "image": "[Image]\nImage={}\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_list_names_registries_alone(form: str) -> None:
    """Whoever wrote the list could otherwise have files and stores of this machine imported."""
    for place in ("containers-storage:[overlay@/s]localhost/a", "oci:/etc", "dir:/etc",
                  "docker-archive:/dev/zero"):  # fmt: skip
        raw = FORMS[form].format(place).encode()
        with pytest.raises(LayerError, match="is in no registry") as caught:
            parse_source(raw, "FILE", ListRules())
        transport = place.partition(":")[0]
        assert f"--allow-transports={transport} " in caught.value.hint
        found = parse_source(raw, "FILE", ListRules(REGISTRIES | {transport}))
        assert isinstance(found, Release)
        assert list(pullspecs(found).values()) == [place]


@pytest.mark.parametrize("text", LISTS, ids=range(len(LISTS)))
def test_a_list_of_any_kind_is_a_source(text: str) -> None:
    """A unit and a blueprint may begin with a bracket, as JSON does."""
    listed = {one.source for one in read_list(text.encode(), "FILE").images}
    assert set(pullspecs(parsed(text.encode())).values()) == listed


def test_a_byte_order_mark_means_nothing() -> None:
    document = json.dumps({"images": {"cli": CLI}}).encode()
    assert pullspecs(parsed(BOM_UTF8 + document)) == {"cli": CLI}
    assert pullspecs(parsed(BOM_UTF8 + f"cli {CLI}\r\n".encode())) == {"cli": CLI}


def test_a_list_with_one_repository_twice_keeps_both_apart() -> None:
    other = f"quay.io/ocp/art-dev@sha256:{'cd' * 32}"
    assert pullspecs(parsed(f"{CLI}\n{other}\n".encode())) == {CLI: CLI, other: other}


def test_half_of_a_surrogate_pair_in_a_name_is_read_as_go_reads_it() -> None:
    document = {"images": {"cli": CLI}, "release": {"base": "\ud800"}}
    assert parsed(document).name == "\ufffd"


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "FILE lists no image"),
        (b"# nothing\n", "FILE lists no image"),
        (b"{", "FILE is not JSON"),
        (b"\xff\xfe", "FILE is not UTF-8"),
        (b"<!DOCTYPE html>\n<p>log in", "FILE is HTML or XML"),
        (b"quay.io/a/b:1 c d", "FILE:1: not an image reference"),
        (b"busybox", "FILE:1: 'busybox' names no registry"),
        (b"[]", "FILE is JSON, but no object"),
        (b' "text"', "FILE is JSON, but no object"),
        (b"null\n", "FILE is JSON, but no object"),
        ({"hello": 1}, "FILE is YAML or JSON of no kind that we know"),
        ({"images": {"cli": 7}}, "FILE: cli is not of type str"),
        ({"images": {"cli": None}}, "FILE: cli is null"),
        ({"images": {"cli": CLI}, "release": {"base": "4\n"}}, "'4\\n' is no name of a release"),
        ({"images": {"cli": CLI}, "release": {"base": "\x1b[1m"}}, "'\\x1b[1m' is no name of a"),
        ({"images": {"cli": "dir:/etc"}}, "FILE: cli: not an image reference: 'dir:/etc'"),
        ({"images": {"a b": CLI}}, "FILE: 'a b' is no name of a component"),
        ({"images": {"a\n": CLI}}, "FILE: 'a\\n' is no name of a component"),
        ({"images": [CLI]}, "FILE: images is not of type dict"),
        ({"kind": "ImageStream", "spec": {"tags": [7]}}, "FILE: tags has an entry that is no obj"),
        (
            {"kind": "ImageStream", "spec": {"tags": [{"name": "x", "from": {"kind": "Tag"}}]}},
            "FILE: x is no DockerImage, but Tag",
        ),
        (
            {
                "kind": "ImageStream",
                "spec": {
                    "tags": [
                        {
                            "name": "x",
                            "from": {"kind": "DockerImage", "name": CLI},
                            "annotations": {"io.openshift.build.commit.id": "\x1b[1m"},
                        }
                    ]
                },
            },
            "FILE: x: '\\x1b[1m' is no source, and no commit",
        ),
        ({"references": {"kind": "List"}}, "FILE: kind is not ImageStream"),
        ({"pullSpec": "nowhere", "name": "n", "phase": "Accepted"}, "FILE: pullSpec: 'nowhere'"),
        (b'{"images": {"a": 1, "a": 2}}', "FILE: duplicate JSON key 'a'"),
        (b" " * (4 << 20) + b"{}", "FILE has 4194306 bytes"),
    ],
)
def test_what_is_no_source_is_refused_by_name(raw: object, error: str) -> None:
    with pytest.raises(LayerError) as caught:
        parsed(raw)
    assert str(caught.value).startswith(error)


WORDS = st.sampled_from(
    ["images", "release", "base", "references", "spec", "tags", "from", "name", "kind", "metadata",
     "ImageStream", "id", "names", "compressed-size",
     "DockerImage", "pullSpec", "phase", "annotations", "import-release-lock",
     "releases", "documents", "manifest", "pullspec", "amd64", "\ud800", CLI, POD]
) | st.text(max_size=5)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)


@examples(100)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_read_or_refused(raw: bytes) -> None:
    for parse in (
        lambda: parse_source(raw, "FILE", ListRules(TRANSPORTS)),
        lambda: parse_lock(raw, "FILE"),
        lambda: images_release(raw, "FILE"),
        lambda: layer_sizes(raw, "FILE"),
        lambda: stored_release({"import-release.images": raw.decode("latin-1")}, "FILE"),
        lambda: ReleaseFile.parse(raw, "FILE").updated({"cli": CLI}, "v"),
    ):
        with suppress(LayerError):
            parse()


def release_of(origin: str, **images: str) -> Release:
    return Release({name: Component(name, one, origin=origin) for name, one in images.items()})


def test_sources_are_merged_and_the_first_names_the_release() -> None:
    first = Release(release_of("A", cli=CLI).components, "4.20.1", "4.20.1")
    second = Release(release_of("B", cli=CLI, pod=POD).components, "olm", "olm", "amd64")
    both = merged([first, second])
    assert list(both.components) == ["cli", "pod"]
    assert (both.name, both.version, both.arch) == ("4.20.1", "4.20.1", "amd64")


def test_a_component_in_two_versions_is_an_error_that_names_both_sources() -> None:
    with pytest.raises(LayerError) as caught:
        merged([release_of("A", pod=POD), release_of("B", pod=CLI)])
    assert str(caught.value) == f"component pod is {POD} in A, and {CLI} in B"


@pytest.mark.parametrize(
    ("only", "exclude", "left"),
    [
        ([], [], ["cli", "etcd", "pod"]),
        (["etcd"], [], ["etcd"]),
        (["c*", "p?d"], [], ["cli", "pod"]),
        ([], ["*d"], ["cli"]),
        (["*"], ["[ce]*", "never"], ["pod"]),
    ],
)
def test_patterns_choose_components(
    only: Sequence[str], exclude: Sequence[str], left: Sequence[str]
) -> None:
    release = release_of("A", cli=CLI, etcd=CLI, pod=POD)
    assert list(release.chosen(only, exclude).components) == left


@pytest.mark.parametrize(
    ("only", "exclude", "error"),
    [
        (["cli", "etd"], [], "no component matches 'etd'"),
        ([], ["*"], "no component is left to import"),
    ],
)
def test_a_pattern_that_leaves_nothing_is_an_error(
    only: Sequence[str], exclude: Sequence[str], error: str
) -> None:
    with pytest.raises(LayerError, match=error.replace("*", ".")) as caught:
        release_of("A", cli=CLI, pod=POD).chosen(only, exclude)
    assert caught.value.hint == "the components are cli, pod"


@pytest.mark.parametrize(
    ("text", "arch", "stream"),
    [
        ("release.json", "", ""),
        ("assets/release-x86_64.json", "amd64", ""),
        ("release-olm-aarch64.json", "arm64", ""),
        ("release-notes.json", "", ""),
        ("arm64=release.json", "arm64", ""),
        ("aarch64=quay.io/a/b:c", "arm64", ""),
        ("quay.io/a/b:c", "", ""),
        ("key=value", "", ""),
        ("https://x/api/v1/releasestream/4-stable/latest", "", "4-stable"),
        ("https://x/release-x86_64.json", "amd64", ""),
        ("https://x-x86_64.json/release", "", ""),
    ],
)
def test_a_source_may_be_for_one_architecture(text: str, arch: str, stream: str) -> None:
    name = SourceName.parse(text)
    assert (name.arch, name.stream) == (arch, stream)


@pytest.mark.parametrize(
    ("stream", "arch", "url"),
    [
        ("4.20.0-0.nightly", "amd64", "https://amd64.ocp.{}/4.20.0-0.nightly/latest"),
        ("4.20.0-0.nightly", "arm64", "https://arm64.ocp.{}/4.20.0-0.nightly-arm64/latest"),
        ("4.20.0-0.nightly-arm64", "arm64", "https://arm64.ocp.{}/4.20.0-0.nightly-arm64/latest"),
    ],
)
def test_the_stream_of_an_architecture_has_a_url(stream: str, arch: str, url: str) -> None:
    expected = url.replace("{}", "releases.ci.openshift.org/api/v1/releasestream")
    assert stream_url(OPENSHIFT, stream, arch) == expected


@pytest.mark.parametrize(
    "template",
    [
        "https://x/{version}",
        "https://x/{arch.upper}",
        "https://x/{arch",
        "x/{arch}",
        "https://x/{}",
    ],
)
def test_a_template_with_unknown_fields_is_an_error(template: str) -> None:
    with pytest.raises(ImporterError, match="is no template of a URL"):
        stream_url(template, "4.20", "amd64")


# --- the payload's layers -----------------------------------------------------------------

FOLDER = Entry(b"release-manifests", "dir", 0o755)
NAME = b"release-manifests/image-references"


def look(*entries: Entry) -> tuple[bool, bytes | None]:
    path = (b"release-manifests", b"image-references")
    return file_in_layer(lambda: iter([tar_bytes(entries)]), path)


@pytest.mark.parametrize(
    ("entries", "content", "hides"),
    [
        ([], None, False),
        ([FOLDER], None, False),
        ([FOLDER, Entry(NAME, content=b"A")], b"A", False),
        ([Entry(b"./" + NAME, content=b"A")], b"A", False),
        ([Entry(NAME, content=b"A"), Entry(NAME, content=b"B")], b"B", False),
        ([whiteout(NAME)], None, True),
        ([whiteout(NAME), Entry(NAME, content=b"A")], b"A", True),
        ([Entry(NAME, content=b"A"), whiteout(b"release-manifests")], b"A", True),
        ([whiteout(b"release-manifests")], None, True),
        ([opaque(b"release-manifests")], None, True),
        ([opaque(b"")], None, True),
        ([opaque(NAME)], None, False),
        ([Entry(b"release-manifests", "symlink", link=b"other")], None, True),
        ([Entry(NAME, "char", device=(0, 0))], None, True),
        ([Entry(b"other/image-references", content=b"A")], None, False),
        ([whiteout(b"other/image-references"), opaque(b"other")], None, False),
    ],
)
def test_a_payload_layer_has_or_hides_the_list(
    entries: Sequence[Entry], content: bytes | None, hides: bool
) -> None:
    assert look(*entries) == (hides or content is not None, content)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(NAME, "symlink", link=b"/etc/shadow"),
        Entry(NAME, "dir"),
        Entry(NAME, content=b" " * ((4 << 20) + 1)),
    ],
)
def test_a_list_that_is_no_small_file_is_refused_by_its_path(entry: Entry) -> None:
    with pytest.raises(LayerError, match=r"^release-manifests/image-references/?: the file"):
        look(entry)
