"""`image-store` as its users run it: list, show, history, diff, and what it says when it cannot."""

import gzip
import json
import os
import pty
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.images import definition
from tests.tools import ostreerepo
from tests.tools.expected import layer_ids
from tests.tools.image import BuiltImage, build_index, build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import ostree, rev_parse
from tests.tools.process import run
from tests.tools.registry import Registry
from tests.tools.storecommand import SCRIPT, answered, image_store

# Sizes that tell the files apart: each is a power of two.
LAYERS = definition.parse("""
layer
file     keep size=1 fill=k
file     gone size=2 fill=g
file     replaced size=4 fill=r
file     dir/inside size=8 fill=i
file     dir/deep/inside size=16 fill=d
symlink  link -> keep
file     becomes/a/dir size=32 fill=b

layer
whiteout gone
file     replaced size=64 fill=R
whiteout dir
file     dir/new size=128 fill=n
file     becomes text="a file"

layer
file     late size=256 fill=l
whiteout dir/new
""")
OTHER = definition.parse("layer\nfile other size=512 fill=o\n")[0]
NEWER = definition.parse("layer\nfile late size=1024 fill=L\nwhiteout keep\nfile more size=1\n")[0]
HISTORY: list[dict[str, Any]] = [
    {"created_by": "/bin/sh -c #(nop) ADD file:abc in / "},
    {"created_by": 'CMD ["sh"]', "empty_layer": True},
    {"created_by": "RUN make\tit # buildkit"},
    {"created_by": "/bin/sh -c rm new"},
]


@dataclass(frozen=True)
class Stores:
    """A repo with a branch `all` (one, two), `next` (newer one, two), and `index` (by list)."""

    repo: Path
    one: BuiltImage
    two: BuiltImage
    newer: BuiltImage
    index_digest: str
    names: Mapping[str, str]


@pytest.fixture(scope="module")
def stores(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    where = tmp_path_factory.mktemp("stores")
    one = build_oci(where / "l", "one", LAYERS, history=HISTORY)
    two = build_oci(where / "l", "two", [LAYERS[0], OTHER], variant="v2", created=None)
    newer = build_oci(where / "l", "newer", [*LAYERS[:2], NEWER], created="2024-06-01T00:00:00Z")
    index = build_index(where / "l", "index", [one])
    names = {
        "one": registry.push(one, "stores/one:t"),
        "two": registry.push(two, "stores/two:t"),
        "newer": registry.by_digest(newer, "stores/one"),
        "index": registry.push(index, "stores/index:t"),
    }
    registry.push(newer, "stores/one:newer")
    repo = ostreerepo.init(where / "repo", "archive")
    imported(repo, "--branch=all", names["one"], names["two"])
    imported(repo, "--branch=next", names["newer"], names["two"])
    imported(repo, "--branch=index", "--arch=amd64", names["index"])
    return Stores(repo, one, two, newer, index.digest, names)


# --- list ---


def test_list_has_every_image_of_every_branch(stores: Stores) -> None:
    document = answered(stores.repo, "list")
    assert document["skipped"] == []
    found = {(one["branch"], one["image_id"]) for one in document["images"]}
    one, two, newer = stores.one.image_id, stores.two.image_id, stores.newer.image_id
    assert found == {("all", one), ("all", two), ("next", newer), ("next", two), ("index", one)}
    (entry,) = [i for i in document["images"] if (i["branch"], i["image_id"]) == ("all", two)]
    age = entry.pop("age_seconds")
    assert age is None
    assert entry == {
        "image_id": two,
        "names": [stores.names["two"]],
        "components": [],
        "digest": stores.two.digest,
        "index_digests": [],
        "platform": "linux/amd64/v2",
        "layers": 2,
        "size": sum(_tar_sizes(stores.two)),
        "flattened": False,
        "whiteouts": "quoted",
        "kept_from": None,
        "branch": "all",
        "commit": rev_parse(stores.repo, "all"),
        "created": None,
    }


def _tar_sizes(image: BuiltImage) -> list[int]:
    return [len(gzip.decompress(image.read(layer))) for layer in image.layers]


def test_list_names_an_index_and_its_digest(stores: Stores) -> None:
    (image,) = answered(stores.repo, "list", "index")["images"]
    repository = stores.names["index"].rpartition(":")[0]
    assert image["names"] == sorted([stores.names["index"], f"{repository}@{stores.index_digest}"])
    assert image["index_digests"] == [stores.index_digest]


def test_list_as_plain_text_is_aligned_and_without_control_characters(stores: Stores) -> None:
    text = image_store(stores.repo, "list", "all").stdout
    title, *rows = text.splitlines()
    assert re.split(" {2,}", title) == [
        "NAME", "DIGEST", "IMAGE ID", "PLATFORM", "LAYERS", "SIZE", "AGE", "BRANCH"
    ]  # fmt: skip
    shown = {stores.names["one"]: stores.one.digest, stores.names["two"]: stores.two.digest}
    assert [row.split()[:2] for row in rows] == [
        [name, digest.partition(":")[2][:12]] for name, digest in sorted(shown.items())
    ]
    assert {row[title.index("BRANCH") :] for row in rows} == {"all"}
    assert "\x1b" not in text


def test_list_shortens_digests(stores: Stores) -> None:
    """The short ones name an image, too."""
    name = stores.names["newer"]
    short = name[: name.index(":", len("127.0.0.1:65535")) + 13]
    row = image_store(stores.repo, "list", "next").stdout.splitlines()[1].split()
    assert row[:2] == [short, stores.newer.image_id[:12]]
    assert answered(stores.repo, "show", short)["image_id"] == stores.newer.image_id
    whole = image_store(stores.repo, "list", "--no-trunc", "next").stdout
    for text in (name, stores.newer.image_id, stores.two.digest):
        assert text in whole.split()


def test_list_prints_ids_alone(stores: Stores) -> None:
    ids = {stores.one.image_id, stores.two.image_id, stores.newer.image_id}
    shown = image_store(stores.repo, "list", "-q").stdout.splitlines()
    assert sorted(shown) == sorted(one[:12] for one in ids)
    shown = image_store(stores.repo, "list", "-q", "--no-trunc").stdout.splitlines()
    assert sorted(shown) == sorted(ids)


def test_list_takes_podmans_templates(stores: Stores) -> None:
    def listed(template: str) -> str:
        return image_store(stores.repo, "list", "all", "--format", template).stdout

    one, two = stores.names["one"], stores.names["two"]
    assert listed("{{.Repository}} {{ .Tag }}").splitlines() == [
        one.removesuffix(":t") + " t",
        two.removesuffix(":t") + " t",
    ]
    rows = [json.loads(line) for line in listed("{{json .}}").splitlines()]
    assert [row["Names"] for row in rows] == [[one], [two]]
    assert [row["Digest"] for row in rows] == [stores.one.digest, stores.two.digest]
    assert listed("{{json .Names}}").splitlines() == [f'["{one}"]', f'["{two}"]']
    title, *lines = listed(r"table {{.ID}}\t{{.Names | length}} names").splitlines()
    assert title == "ID            NAMES"
    assert lines == [f"{image.image_id[:12]}  1 names" for image in (stores.one, stores.two)]
    assert len(json.loads(listed("json"))["images"]) == 2


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{.Nothing}}", "'Nothing' is undefined"), ("{{.ID", "unexpected end of template")],
)
def test_a_wrong_template_names_the_fields(stores: Stores, template: str, said: str) -> None:
    outcome = image_store(stores.repo, "list", "--format", template)
    assert outcome.status == 1
    error, hint = outcome.stderr.splitlines()
    assert error.startswith(f"error: --format: {said}")
    assert hint.startswith("hint: the fields are .ID, .Name, ")


def test_commands_have_podmans_names(stores: Stores) -> None:
    one = stores.one.image_id
    assert len(answered(stores.repo, "ls", "all")["images"]) == 2
    assert answered(stores.repo, "inspect", one) == answered(stores.repo, "show", one)
    assert "no image or artifact 'nothing'" in image_store(stores.repo, "rm", "nothing").stderr


@pytest.mark.parametrize("words", [["--repo={}"], ["--repo", "{}"], ["--json", "--repo", "{}"]])
def test_options_may_stand_before_the_command(stores: Stores, words: list[str]) -> None:
    repo = str(stores.repo)
    found = run([SCRIPT, *(word.format(repo) for word in words), "ls", "--json", "all"])
    assert len(json.loads(found)["images"]) == 2
    missing = subprocess.run(
        [SCRIPT, *(word.format(repo) for word in words)], capture_output=True, check=False
    )
    assert (missing.returncode, b"missing command" in missing.stderr.lower()) == (2, True)


def test_a_branch_without_a_store_is_named(stores: Stores, tmp_path: Path) -> None:
    repo = ostreerepo.init(tmp_path / "repo")
    (tmp_path / "tree").mkdir()
    ostreerepo.commit(repo, "os/x86_64", tmp_path / "tree")
    document = answered(repo, "list")
    assert document["images"] == []
    assert [one["branch"] for one in document["skipped"]] == ["os/x86_64"]
    assert "skipped os/x86_64: " in image_store(repo, "list").stdout
    outcome = image_store(repo, "list", "os/x86_64")
    assert outcome.status == 1
    assert outcome.stderr.splitlines() == [
        "error: branch os/x86_64 has no store at /usr/lib/containers/storage",
        "hint: --prefix says where the store is",
    ]


def test_each_branch_with_an_unreadable_store_is_skipped(tmp_path: Path) -> None:
    repo = ostreerepo.init(tmp_path / "repo")
    records = tmp_path / "tree/usr/lib/containers/storage/overlay-images"
    records.mkdir(parents=True)
    (records / "images.json").write_text("no JSON")
    (tmp_path / "empty").mkdir()
    for branch, tree in {"os/a": "tree", "os/b": "tree", "os/c": "empty"}.items():
        ostreerepo.commit(repo, branch, tmp_path / tree)
    document = answered(repo, "list")
    assert document["images"] == []
    assert {one["branch"]: one["broken"] for one in document["skipped"]} == {
        "os/a": True,
        "os/b": True,
        "os/c": False,
    }


def test_a_store_without_metadata_is_found_at_the_prefix(stores: Stores, tmp_path: Path) -> None:
    """As in an OS commit that a build tool composed with the store in it."""
    ostree(stores.repo, "commit", "--branch=composed", "--tree=ref=all", "--timestamp=@0")
    elsewhere = tmp_path / "repo"
    imported(elsewhere, "--prefix=/opt/store", "--branch=opt", stores.names["two"])
    assert len(answered(stores.repo, "list", "composed")["images"]) == 2
    ostree(stores.repo, "refs", "--delete", "composed")
    assert len(answered(elsewhere, "list")["images"]) == 1
    assert image_store(elsewhere, "list", "--prefix=/opt/other", "opt").status == 1


# --- show ---


def test_show_counts_what_each_layer_ships_and_hides(stores: Stores) -> None:
    document = answered(stores.repo, "show", stores.names["one"])
    layers = document.pop("layers")
    assert document == {
        "image_id": stores.one.image_id,
        "names": [stores.names["one"]],
        "components": [],
        "digest": stores.one.digest,
        "index_digests": [],
        "platform": "linux/amd64",
        "created": "2024-05-06T07:08:09Z",
        "branches": ["all", "index"],
        "flattened_branches": [],
        "flattened": False,
        "kept_from": None,
        "signatures": 0,
        "size": 63 + 64 + 128 + 6 + 256,
        "hidden_size": 2 + 4 + 8 + 16 + 32 + 128,
    }
    counts = [
        [layer[key] for key in ("size", "files", "whiteouts", "hidden_size", "hidden_files")]
        for layer in layers
    ]
    # dir is deleted and made anew: one whiteout for each name of the old one.
    assert counts == [[63, 7, 0, 62, 5], [198, 3, 3, 128, 1], [256, 1, 1, 0, 0]]
    assert [layer["layer_id"] for layer in layers] == layer_ids(stores.one.diff_ids)
    assert [layer["diff_id"] for layer in layers] == list(stores.one.diff_ids)
    assert [layer["digest"] for layer in layers] == list(stores.one.layer_digests)
    assert [layer["tar_size"] for layer in layers] == _tar_sizes(stores.one)


def test_show_tells_the_command_of_each_layer(stores: Stores) -> None:
    layers = answered(stores.repo, "show", stores.one.image_id)["layers"]
    written = [entry["created_by"] for entry in HISTORY if "empty_layer" not in entry]
    assert [layer["command"] for layer in layers] == written
    text = image_store(stores.repo, "show", stores.one.image_id).stdout.splitlines()
    assert [line.rpartition("  ")[2] for line in text[-3:]] == [
        "ADD file:abc in /",
        "RUN make it",
        "rm new",
    ]


def test_show_tells_who_shares_a_layer(stores: Stores) -> None:
    layers = answered(stores.repo, "show", stores.names["one"], "--branch=all")["layers"]
    assert [layer["shared_with"] for layer in layers] == [[stores.names["two"]], [], []]
    layers = answered(stores.repo, "show", stores.names["one"])["layers"]
    others = sorted([stores.names["two"], stores.names["newer"]])
    assert [layer["shared_with"] for layer in layers] == [others, [stores.names["newer"]], []]


@pytest.mark.parametrize(
    "how", ["name", "docker://", "digest", "id", "short id", "short digest", "short name", "index"]
)
def test_show_takes_an_image_as_podman_does(stores: Stores, how: str) -> None:
    text = {
        "name": stores.names["one"],
        "docker://": f"docker://{stores.names['one']}",
        "digest": f"{stores.names['one'].rpartition(':')[0]}@{stores.one.digest}",
        "id": stores.one.image_id,
        "short id": stores.one.image_id[:12],
        "short digest": stores.one.digest.partition(":")[2][:12],
        "short name": "stores/one:t",
        "index": f"{stores.names['index'].rpartition(':')[0]}@{stores.index_digest}",
    }[how]
    assert answered(stores.repo, "show", text)["image_id"] == stores.one.image_id


def test_show_of_an_image_that_is_not_there(stores: Stores) -> None:
    outcome = image_store(stores.repo, "show", "example.com/nothing:here")
    assert outcome.status == 1
    error, hint = outcome.stderr.splitlines()
    assert (
        error == "error: no image or artifact 'example.com/nothing:here' in the stores of this repo"
    )
    assert hint.startswith("hint: `image-store list`")


def test_show_prefers_the_original_layers(registry: Registry, stores: Stores, repo: Path) -> None:
    name = stores.names["one"]
    imported(repo, "--branch=a/flat", "--flatten", name)
    imported(repo, "--branch=original", name)
    document = answered(repo, "show", name)
    assert document["branches"] == ["a/flat", "original"]
    assert document["flattened_branches"] == ["a/flat"]
    assert [document["flattened"], document["hidden_size"] > 0] == [False, True]
    assert answered(repo, "show", "--branch=a/flat", name)["flattened"]
    assert "branch:    a/flat (flattened)\n" in image_store(repo, "show", name).stdout


def test_show_names_a_few_of_those_that_share(registry: Registry, tmp_path: Path) -> None:
    made = [build_oci(tmp_path / "l", f"t{n}", [LAYERS[0]], created=None, config={"User": f"{n}"})
            for n in range(6)]  # fmt: skip
    names = [registry.push(one, f"sharers/image:{n}") for n, one in enumerate(made)]
    imported(tmp_path / "repo", "--branch=all", *names)
    assert " image:1, image:2, image:3, 2 more " in image_store(
        tmp_path / "repo", "show", names[0]
    ).stdout  # fmt: skip
    (layer,) = answered(tmp_path / "repo", "show", names[0])["layers"]
    assert layer["shared_with"] == names[1:]


# --- diff and history ---


def test_diff_pairs_the_versions_of_an_image(stores: Stores) -> None:
    document = answered(stores.repo, "diff", "--files", "all", "next")
    assert document["from"] == rev_parse(stores.repo, "all")
    assert document["to"] == rev_parse(stores.repo, "next")
    images = document["images"]
    assert (images["added"], images["removed"], images["unchanged"]) == ([], [], 1)
    (changed,) = images["changed"]
    assert changed["from"]["image_id"] == stores.one.image_id
    assert changed["to"]["image_id"] == stores.newer.image_id
    assert changed["files"] == {
        "added": ["dir/new", "more"],
        "removed": ["keep"],
        "changed": ["late"],
    }
    one, newer = layer_ids(stores.one.diff_ids), layer_ids(stores.newer.diff_ids)
    assert document["layers"] == {"added": newer[2:], "removed": one[2:]}


def test_diff_of_a_store_and_itself_is_nothing(stores: Stores) -> None:
    document = answered(stores.repo, "diff", "all", "all")
    assert document["images"] == {"added": [], "removed": [], "changed": [], "unchanged": 2}
    assert document["fetch"] == {"objects": 0, "files": 0, "bytes": 0, "compressed": True}


@pytest.mark.parametrize("steps", [("all", "next"), ("next", "index"), ("index", "all")])
def test_diff_counts_what_a_pull_brings(
    stores: Stores, tmp_path: Path, steps: tuple[str, str]
) -> None:
    device = ostreerepo.init(tmp_path / "device", "archive")
    old, new = steps
    ostree(device, "pull-local", str(stores.repo), old)
    before = _objects(device)
    ostree(device, "pull-local", str(stores.repo), new)
    brought = {path: size for path, size in _objects(device).items() if path not in before}
    found = answered(stores.repo, "diff", old, new)["fetch"]
    assert found["objects"] == len(brought)
    assert found["bytes"] == sum(brought.values())
    assert found["files"] == sum(path.endswith(".filez") for path in brought)


def _objects(repo: Path) -> dict[str, int]:
    """Without what says only that a commit came without its parents."""
    files = (repo / "objects").glob("*/*")
    return {str(path): path.stat().st_size for path in files if path.suffix != ".commitmeta"}


def test_history_follows_the_parents(stores: Stores, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    subprocess.run(["cp", "-a", stores.repo, repo], check=True)
    first = ostree(
        repo, "commit", "--branch=line", "--tree=ref=all", "-s", "first", "--timestamp=@1"
    ).strip()
    second = ostree(
        repo, "commit", "--branch=line", "--tree=ref=next", "-s", "second", "--timestamp=@2"
    ).strip()
    document = answered(repo, "history", "line")
    assert document["missing_parent"] is None
    new, old = document["commits"]
    assert (new["commit"], new["subject"], new["timestamp"]) == (second, "second", 2)
    assert (old["commit"], old["subject"], old["timestamp"]) == (first, "first", 1)
    assert len(new["changes"]["images"]["changed"]) == 1
    assert new["changes"]["from"] == first
    assert len(old["changes"]["images"]["added"]) == 2
    text = image_store(repo, "history", "line").stdout
    assert text.count("commit ") == 2
    assert f"  ~ {stores.names['newer']}" in text.splitlines()


def test_history_ends_where_the_repo_does(stores: Stores, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    subprocess.run(["cp", "-a", stores.repo, repo], check=True)
    first = ostree(repo, "commit", "--branch=line", "--tree=ref=all", "--timestamp=@1").strip()
    ostree(repo, "commit", "--branch=line", "--tree=ref=next", "--timestamp=@2")
    device = ostreerepo.init(tmp_path / "device")
    ostree(device, "pull-local", str(repo), "line")
    document = answered(device, "history", "line")
    assert [len(document["commits"]), document["missing_parent"]] == [1, first]
    assert first in image_store(device, "history", "line").stdout.splitlines()[-1]


# --- the terminal, and errors ---


def on_a_terminal(*arguments: str, columns: int = 100, **env: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": str(columns)}
    with subprocess.Popen(
        [SCRIPT, *arguments],
        env=environment | env,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as child:
        os.close(theirs)
        pieces: list[bytes] = []
        try:
            while piece := os.read(ours, 65536):
                pieces.append(piece)
        except OSError:  # Linux's way to say that the other side is closed
            pass
        os.close(ours)
        assert child.wait() == 0
    return b"".join(pieces).decode()


def test_a_terminal_gets_colours_unless_no_color_is_set(stores: Stores) -> None:
    command = ("list", f"--repo={stores.repo}", "all")
    coloured = on_a_terminal(*command)
    assert "\x1b[36m" in coloured
    plain = on_a_terminal(*command, NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert stores.names["two"] in plain


@pytest.mark.parametrize("columns", [80, 100])
def test_a_table_fits_the_terminal(stores: Stores, columns: int) -> None:
    command = ("show", f"--repo={stores.repo}", "stores/one:t")
    lines = [_visible(line) for line in on_a_terminal(*command, columns=columns).splitlines()]
    assert max(map(len, lines[lines.index("") :])) <= columns


def test_what_an_image_says_does_not_steer_the_terminal(
    registry: Registry, tmp_path: Path, repo: Path
) -> None:
    built = build_oci(tmp_path / "l", "t", [OTHER], architecture="a\x1b[31m\nm")
    imported(repo, "--branch=odd", registry.push(built, "stores/odd:t"))
    ostree(repo, "commit", "--branch=odd", "--tree=ref=odd", "--subject=s\x1b]0;title\x07")
    lines = {
        command: on_a_terminal(command[0], f"--repo={repo}", *command[1:])
        for command in (("list",), ("show", "odd:t"), ("history", "odd"))
    }
    for text in lines.values():
        assert "\x1b[31m" not in text
        assert "\x1b]" not in text
        assert "\x07" not in text
    assert "linux/a\\x1b[31m\\nm" in lines["show", "odd:t"]
    assert "s\\x1b]0;title\\x07" in lines["history", "odd"]


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_that_is_too_narrow_gets_whole_lines(stores: Stores, columns: int) -> None:
    """Names stay in one piece, to be copied: on lines of their own."""
    text = on_a_terminal("list", f"--repo={stores.repo}", "all", columns=columns)
    title, *rows = image_store(stores.repo, "list", "all").stdout.splitlines()
    begin = title.index("IMAGE ID")
    expected = [title[begin:]]
    for row in rows:
        expected += [row[begin:], "  " + "  ".join(row[:begin].split())]
    shown = [_visible(line) for line in text.splitlines()]
    assert [shown[0], *shown[2:]] == expected


def _visible(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_repo_that_is_not_there(tmp_path: Path, command: str) -> None:
    outcome = image_store(tmp_path / "nothing", command)
    assert outcome.status == 1
    assert outcome.stderr.startswith(f"error: opening repo {tmp_path}/nothing")
    assert not (tmp_path / "nothing").exists()


def test_usage_errors_exit_with_2(stores: Stores) -> None:
    assert image_store(stores.repo, "show").status == 2
    assert image_store(stores.repo, "nothing").status == 2


def test_every_command_speaks_json(stores: Stores) -> None:
    commands: list[list[str]] = [
        ["list"],
        ["show", stores.one.image_id],
        ["history", "all"],
        ["diff", "all", "next"],
        ["verify", "--quiet"],
    ]
    for command, *arguments in commands:
        document: Any = json.loads(image_store(stores.repo, command, "--json", *arguments).stdout)
        assert isinstance(document, dict)
