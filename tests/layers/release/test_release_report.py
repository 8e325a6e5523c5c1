"""What changed: the comparison, and how it is told; the release file; the metadata."""

import json
import re
import subprocess
from dataclasses import replace

import pytest

from importer.render.rich_table import release_tables
from layers.errors import LayerError
from layers.lists.microshift_json import ReleaseFile
from layers.release.commit_metadata import images_release, layer_sizes, metadata, stored_release
from layers.release.diff import Amount, LayerDiff, LayerSize, compare, compare_layers
from layers.release.release import Component, Release
from layers.release.report import Report, markdown, plain

SOURCE = "https://github.com/openshift/etcd"


def spec(letter: str, name: str = "art-dev") -> str:
    return f"quay.io/ocp/{name}@sha256:{letter * 64}"


def component(name: str, letter: str, source: str = "", commit: str = "") -> Component:
    return Component(name, spec(letter), source, commit)


def release(name: str, *found: Component) -> Release:
    return Release({one.name: one for one in found}, name, name, "amd64")


OLD = release(
    "4.20.1",
    component("etcd", "a", SOURCE, "1" * 40),
    component("gone", "b"),
    component("same", "c"),
)
NEW = release(
    "4.20.2",
    component("etcd", "d", SOURCE, "2" * 40),
    component("fresh", "e", SOURCE, "3" * 40),
    component("same", "c"),
)


def test_components_are_added_removed_changed_and_unchanged() -> None:
    diff = compare(OLD, NEW)
    assert [one.name for one in diff.added] == ["fresh"]
    assert [one.name for one in diff.removed] == ["gone"]
    assert [(one.old.pullspec, one.new.pullspec) for one in diff.changed] == [
        (spec("a"), spec("d"))
    ]
    assert [one.name for one in diff.unchanged] == ["same"]
    assert diff.changed[0].document() == {
        "name": "etcd",
        "from": spec("a"),
        "to": spec("d"),
        "source": SOURCE,
        "from_commit": "1" * 40,
        "to_commit": "2" * 40,
        "compare": f"{SOURCE}/compare/{'1' * 40}...{'2' * 40}",
    }


def test_a_tag_that_moved_is_a_change_and_a_commit_alone_is_none() -> None:
    tag = Component("pod", "quay.io/ocp/pod:v1", digest="sha256:" + "a" * 64)
    moved, built = replace(tag, digest="sha256:" + "b" * 64), replace(tag, commit="1" * 40)
    assert not compare(release("1", tag), release("2", moved)).is_empty
    assert compare(release("1", tag), release("2", built)).is_empty
    assert compare(release("1", tag), release("2", replace(tag, digest=""))).is_empty


def test_everything_is_new_in_the_first_release() -> None:
    diff = compare(None, NEW)
    assert [one.name for one in diff.added] == ["etcd", "fresh", "same"]
    assert (diff.old, diff.removed, diff.unchanged) == ("", (), ())


def test_layers_are_new_kept_and_obsolete() -> None:
    old = {"a": LayerSize(1, 10), "b": LayerSize(2, 20)}
    new = {"b": LayerSize(2, 20), "c": LayerSize(3, 30), "d": LayerSize(4, 40)}
    assert compare_layers(old, new) == LayerDiff(Amount(2, 70), Amount(1, 20), Amount(1, 10))


# --- telling it ---------------------------------------------------------------------------

REPORT = Report(compare(OLD, NEW), "amd64", {"fetched": Amount(2, 1234567)}, {"bad": "no blob"})


def test_plain_lines_say_all() -> None:
    assert plain([REPORT]) == [
        "4.20.1 → 4.20.2 (amd64): 1 changed, 1 added, 1 removed, 1 unchanged, 1 failed",
        "  failed   bad    no blob",
        f"  changed  etcd  {spec('a')} → {spec('d')}  1111111111 → 2222222222",
        f"  added    fresh  {spec('e')}  3333333333",
        f"  removed  gone  {spec('b')}",
        "  fetched: 2 layers, 1,234,567 bytes",
    ]


def test_markdown_has_a_row_a_component_and_links_to_what_changed() -> None:
    lines = markdown([REPORT]).splitlines()
    assert lines[0] == "### 4.20.1 → 4.20.2 (amd64)"
    assert "| fetched | 2 | 1,234,567 |" in lines
    link = f"[1111111111 → 2222222222]({SOURCE}/compare/{'1' * 40}...{'2' * 40})"
    assert f"| `etcd` | changed | `{spec('a')}` | `{spec('d')}` | {link} |" in lines
    link = f"[3333333333]({SOURCE}/commit/{'3' * 40})"
    assert f"| `fresh` | added |  | `{spec('e')}` | {link} |" in lines
    assert "| `bad` | failed |  |  | `no blob` |" in lines


def test_markdown_is_cut_at_a_whole_row_and_says_how_many_are_missing() -> None:
    many = release("2", *(component(f"component-{n}", "a") for n in range(100)))
    report = Report(compare(None, many))
    whole = markdown([report])
    for limit in (*range(200, 1200, 37), len(whole) - 1):
        text = markdown([report], limit)
        assert len(text) <= limit
        rows = [line for line in text.splitlines() if line.startswith("| `component")]
        assert all(line in whole.splitlines() for line in rows)
        assert text.endswith(f"\n{100 - len(rows)} more rows were left out.")
    assert markdown([report], len(whole)) == whole
    assert "left out" not in whole


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", "`a\\|b`"),
        ("a`b", "`` a`b ``"),
        ("<img>", "`<img>`"),
        ("@user", "`@user`"),
    ],
)
def test_names_mean_nothing_in_markdown(name: str, shown: str) -> None:
    text = markdown([Report(compare(None, release("1", component(name, "a"))))])
    assert f"| {shown} | added |" in text


@pytest.mark.parametrize(
    ("source", "commit"),
    [
        ("javascript:alert(1)", "1" * 40),
        ("https://github.com/a/b) [x](http://evil", "1" * 40),
        (SOURCE, "1) [x](http://evil"),
        (SOURCE, "main"),
    ],
)
def test_only_a_repository_and_a_commit_become_a_link(source: str, commit: str) -> None:
    found = component("etcd", "a", source, commit)
    assert "](" not in markdown([Report(compare(None, release("1", found)))])


def test_a_release_name_means_nothing_in_markdown() -> None:
    text = markdown([Report(compare(None, release("[x](y) <b> @me new", component("a", "a"))))])
    title = text.splitlines()[0]
    assert title == "### \\[x\\](y) \\<b\\> \\@me new, first import"


def test_a_terminal_shows_a_table_with_short_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    text = "\n".join(release_tables([REPORT]))
    assert "etcd" in text
    assert f"sha256:{'d' * 12}" in text
    assert "d" * 13 not in text
    assert "1,234,567" in text


def test_a_narrow_terminal_has_a_line_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns without a text are left out, and a repository that is called as its component."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    names = ("etcd", "microshift-service-ca-op")
    parts = (Component(name, f"quay.io/x/{name}@sha256:{'a' * 64}") for name in names)
    title, *table = release_tables([Report(compare(None, release("1", *parts)))])
    assert "1, first import" in title
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in table if "sha256" in line]
    assert [line.split() for line in lines] == [
        [name, "added", f"sha256:{'a' * 12}"] for name in names
    ]


def test_a_terminal_of_usual_width_tells_images_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    old = release("1", component("etcd", "a"), component("pod", "b"))
    moved = Component("pod", old.components["pod"].pullspec.replace("quay.io", "quay.local"))
    new = release("2", component("etcd", "c"), moved)
    text = "\n".join(release_tables([Report(compare(old, new))]))
    for shown in (f"@sha256:{'a' * 12}", f"@sha256:{'c' * 12}", "quay.io", "quay.local"):
        assert shown in text
    assert "…" not in text


# --- MicroShift's release file ------------------------------------------------------------


def updated(raw: bytes, release: Release, origin: str) -> bytes:
    return ReleaseFile.parse(raw, origin).updated(release.pullspecs, release.version)


FILE = {
    "release": {"base": "4.20.1", "extra": 1},
    "images": {"etcd": spec("a"), "lvms_operator": "quay.io/lvms/op@sha256:" + "9" * 64},
    "other": ["é", {}, [], '\x7f<&>\u2028"\\', 1.5, None, {"": [{"true": True}, []]}, -0.0],
}


def by_jq(document: object) -> bytes:
    """As jq formats it."""
    raw = json.dumps(document).encode()
    return subprocess.run(["jq", "."], input=raw, check=True, capture_output=True).stdout


def test_a_release_file_changes_only_where_the_payload_says_so() -> None:
    expected = json.loads(json.dumps(FILE))
    expected["release"]["base"] = "4.20.2"
    expected["images"]["etcd"] = spec("d")
    written = updated(json.dumps(FILE).encode(), NEW, "FILE")
    assert written == by_jq(expected)
    assert list(json.loads(written)) == ["release", "images", "other"]


@pytest.mark.parametrize(
    "number",
    [
        "1e5",
        "1.10",
        "1E-7",
        "1e400",
        "-0",
        "0.00",
        "100e-2",
        "9007199254740993",
        "-1.5e300",
        "9" * 99,
    ],
)
def test_numbers_stay_as_jq_keeps_them(number: str) -> None:
    raw = f'{{"images":{{"etcd":"{spec("d")}"}},"release":{{"base":"4.20.2"}},"n":{number}}}'
    written = updated(raw.encode(), NEW, "FILE")
    assert (
        written
        == subprocess.run(["jq", "."], input=raw.encode(), check=True, capture_output=True).stdout
    )


def test_half_a_character_becomes_a_whole_one() -> None:
    raw = f'{{"images":{{"etcd":"{spec("d")}"}},"x":"a\\ud800"}}'
    assert json.loads(updated(raw.encode(), NEW, "FILE"))["x"] == "a\ufffd"


def test_a_release_file_that_is_up_to_date_does_not_change() -> None:
    once = updated(json.dumps(FILE).encode(), NEW, "FILE")
    assert updated(once, NEW, "FILE") == once


def test_a_release_file_without_a_base_gets_one() -> None:
    written = json.loads(updated(json.dumps({"images": {"etcd": "x"}}).encode(), NEW, "FILE"))
    assert written == {"images": {"etcd": spec("d")}, "release": {"base": "4.20.2"}}


@pytest.mark.parametrize(
    ("document", "named", "error"),
    [
        ({"images": {"unknown": "x"}}, "4.20.2", "FILE names no component of the release"),
        ({"images": {"etcd": "x"}}, "", "FILE: no source says which release this is"),
        ({"release": {}}, "4.20.2", "FILE: images is missing"),
        (
            {"images": {"etcd": "x"}, "release": "4.20"},
            "4.20.2",
            "FILE: release is not of type dict",
        ),
    ],
)
def test_a_file_that_cannot_be_updated_is_an_error(
    document: object, named: str, error: str
) -> None:
    with pytest.raises(LayerError) as caught:
        updated(json.dumps(document).encode(), replace(NEW, name=named, version=named), "FILE")
    assert str(caught.value) == error


# --- in the commit ------------------------------------------------------------------------


def test_a_release_is_the_same_when_read_back_from_metadata() -> None:
    found = replace(NEW, components={"pod": Component("pod", "q.io/p:1", "u", "c", "sha256:x")})
    values = metadata(found)
    assert all(isinstance(value, str) for _, value in values)
    assert list(values) == sorted(values)
    assert stored_release(dict(values), "COMMIT") == found
    assert stored_release({"version": "1"}, "COMMIT") is None


def test_metadata_that_is_broken_is_an_error() -> None:
    for text in ("[]", "{", '{"a": 1}', '{"a": {}}'):
        with pytest.raises(LayerError):
            stored_release({"import-release.images": text}, "COMMIT")


def test_a_store_that_no_release_made_is_known_by_its_images() -> None:
    records = [{"names": [spec("a", "one")]}, {"names": [spec("b", "two")]}, {"names": None}]
    records.append({"names": [spec("c", "two")]})
    found = images_release(json.dumps(records).encode(), "STORE").components
    assert list(found) == ["quay.io/ocp/one", spec("b", "two"), spec("c", "two")]


def test_layer_sizes_come_from_the_stores_records() -> None:
    records = [{"id": "a", "compressed-size": 1, "diff-size": 10}, {"id": "b"}]
    found = layer_sizes(json.dumps(records).encode(), "STORE")
    assert found == {"a": LayerSize(1, 10), "b": LayerSize(0, 0)}
