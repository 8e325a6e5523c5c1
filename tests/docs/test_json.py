"""docs/reference/json.md: its tables have the keys that the commands print, and no others."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from importer.device.configured import configured_stores
from importer.device.doctor import diagnosis
from tests.tools.entry import Entry, whiteout
from tests.tools.image import build_oci
from tests.tools.importimage import SCRIPT, imported, run_import
from tests.tools.importrelease import released
from tests.tools.ownstorage import OwnStorage, digits, healed, link
from tests.tools.process import run
from tests.tools.storecommand import answered, image_store

TEXT = (Path(__file__).parent.parent.parent / "docs/reference/json.md").read_text()
IMPORT = "## import-image and import-storage"
#: The list names images of a layout.
_LISTED = "--allow-transports=oci"
Keys = Mapping[str, bool]


def table(heading: str) -> dict[str, bool]:
    """The key paths of a section's table, and whether each is always there."""
    section = TEXT.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(.*?)` \| (.*) \|$", section, re.MULTILINE)
    assert all(text for _, text in rows)
    return {key: not text.startswith("*sometimes*") for key, text in rows}


def paths(value: Any, at: str = "") -> Iterator[str]:
    """The key paths of a document, and `PATH[]` for a list that has elements."""
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{at}.{key}".lstrip(".")
            yield path
            yield from paths(inner, path)
    elif isinstance(value, list) and value:
        yield f"{at}[]"
        for one in value:
            yield from paths(one, f"{at}[]")


def hold(documents: Iterable[dict[str, Any]], known: Keys) -> None:
    """Compare: no key that is not told, and none missing that is there whenever its object is."""
    found = [set(paths(document)) for document in documents]
    seen = set().union(*found)
    assert {path for path in seen if not path.endswith("[]")} - known.keys() == set()
    for one in found:
        there = {path for path, always in known.items() if always and is_object(one, path)}
        assert there - one == set()


def is_object(found: set[str], path: str) -> bool:
    """Whether the document has what the key is in, and it is an object with keys."""
    parent = path.rpartition(".")[0]
    return not parent or any(one.startswith(f"{parent}.") for one in found)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with branches `one`, `two` and `night`; `images` is a layout, `list` a release."""
    where = tmp_path_factory.mktemp("json")
    base = [Entry(b"etc", "dir"), Entry(b"etc/motd", content=b"hello")]
    build_oci(where / "images", "one", [base, [whiteout(b"etc/motd")]])
    build_oci(where / "images", "two", [base, [Entry(b"new", content=b"two")]])
    for tag in ("one", "two"):
        call = (f"--branch={tag}", f"q.io/a/b:{tag}=oci:{where}/images:{tag}")
        imported(where / "repo", *call)
    (where / "list").write_text(f"pod oci:{where}/images:one\n")
    released(where / "repo", "--branch=night", "--release=first", _LISTED, where / "list")
    (where / "list").write_text(f"pod oci:{where}/images:two\netcd oci:{where}/images:one\n")
    return where


def test_import(home: Path) -> None:
    layout = f"oci:{home}/images:one"
    documents = [
        imported(home / "fresh", "--branch=one", f"q.io/a/b:1={layout}"),
        imported(home / "fresh", "--form=layers", layout),
        imported(home / "fresh", "--branch=flat", "--flatten", layout),
    ]
    hold(documents, table(IMPORT))


def test_dry_run(home: Path) -> None:
    layout = f"oci:{home}/images:two"
    documents = [
        imported(home / "planned", "--dry-run", "--branch=one", layout),
        imported(home / "repo", "--dry-run", "--branch=two", f"q.io/a/b:two={layout}"),
    ]
    hold(documents, table("## import-image and import-storage, --dry-run"))


def test_release_diff(home: Path) -> None:
    compared = released(home / "repo", "--diff", "one", "two")
    hold([compared], table("## import-release --diff"))


def test_release(home: Path) -> None:
    call = ("--branch=night", "--release=next", _LISTED, home / "list")
    hold([released(home / "repo", "--dry-run", *call)], table("## import-release --dry-run"))
    hold([released(home / "repo", *call)], table("## import-release"))


def test_list_and_show(home: Path) -> None:
    hold([answered(home / "repo", "list")], table("## image-store list"))
    shown = answered(home / "repo", "show", "q.io/a/b:one")
    hold([shown], table("## image-store show"))


def test_diff_and_history(home: Path) -> None:
    repo = home / "repo"
    found = [answered(repo, "diff", "one", "two"), answered(repo, "diff", "one", "two", "--files")]
    hold(found, table("## image-store diff"))
    hold([answered(repo, "history", "night")], table("## image-store history"))


def test_diff_layers_and_check_upgrade(home: Path) -> None:
    for branch in ("one", "two"):
        to = f"--to=oci:{home}/night:{branch}"
        image_store(home / "repo", "embed", "two", f"--base=oci:{home}/images:{branch}", to)
    images = [f"oci:{home}/night:one", f"oci:{home}/night:two", f"oci:{home}/images:one"]
    pairs = [images[:2], images[1:]]
    found = [answered(home / "repo", "diff", "--layers", "--quiet", *pair) for pair in pairs]
    hold(found, table("## image-store diff --layers"))
    checked = [image_store(home / "repo", "check-upgrade", "--json", *images[:2])]
    checked.append(image_store(home / "repo", "check-upgrade", "--json", "one", "two"))
    hold([one.document for one in checked], table("## image-store check-upgrade"))


def test_heal_and_doctor(tmp_path: Path) -> None:
    usual = "usr/share/containers/storage"
    storage, store = (OwnStorage.made(tmp_path / name) for name in ("own", usual))
    storage.add_layer(digits("b"), digits("gone"), link("b"))
    storage.add_image(digits("image"), digits("b"), "r.io/x:1")
    (tmp_path / "etc/containers").mkdir(parents=True)
    stores = f'[storage.options]\nadditionalimagestores = ["/{usual}"]\n'
    (tmp_path / "etc/containers/storage.conf").write_text(stores)
    found = diagnosis(storage.root, configured_stores(tmp_path), tmp_path)
    hold([found.document()], table("## image-store doctor"))
    done = [healed(storage.root, store.root).document()]
    store.add_layer(digits("gone"), link=link("gone"))
    done.append(healed(storage.root, store.root).document())
    hold(done, table("## image-store heal"))
    assert done[0]["images"]
    assert done[1]["returned"]


def test_verify(home: Path) -> None:
    hold([answered(home / "repo", "verify")], table("## image-store verify"))


def test_embed_dry_run(home: Path) -> None:
    flags = ("two", f"--base=oci:{home}/images:one", f"--to=oci:{home}/planned", "--dry-run")
    known = table("## image-store embed --dry-run")
    hold([answered(home / "repo", "embed", *flags)], known)


def test_export_embed_report_remove_prune(home: Path) -> None:
    repo = home / "repo"
    calls = {
        "export": ("q.io/a/b:one", f"oci:{home}/exported"),
        "embed": ("two", f"--base=oci:{home}/images:one", f"--to=oci:{home}/embedded"),
        "report": ("one", f"--output={home}/page.html"),
        "remove": ("q.io/a/b:two", "--branch=two"),
        "prune": ("--dry-run",),
    }
    for command, arguments in calls.items():
        hold([answered(repo, command, *arguments)], table(f"## image-store {command}"))


def test_import_tree(home: Path) -> None:
    (home / "tree/dev").mkdir(parents=True)
    call = ("--json", "--branch=tree", home / "tree")
    hold(
        [run_import(home / "repo", *call, command="import-tree").document], table("## import-tree")
    )
    for flags in ([], ["--dry-run"]):
        script = SCRIPT.with_name("import-tree")
        said = run([script, "translate", "--json", *flags, home / "tree"])
        known = table("## import-tree translate")
        hold([json.loads(said)], known | {"changes": bool(flags)} if flags else known)


def rows(page: str, heading: str) -> dict[str, str]:
    """The first table below a heading of a page in docs/reference, its first two columns."""
    text = (Path(__file__).parent.parent.parent / "docs/reference" / page).read_text()
    section = text.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([^|]*?)` \| ([^|]*?) \|", section, re.MULTILINE))


def test_progress_events(home: Path, tmp_path: Path) -> None:
    told = {
        event: {"event", *re.findall(r"`([^`]+)`", keys)}
        for event, keys in rows("progress.md", "## --progress-fd").items()
    }
    events = tmp_path / "events"
    wrapper = ("sh", "-c", f'exec "$@" 3> {events}', "sh")
    how = (tmp_path / "repo", "--progress-fd=3", "--branch=new", f"oci:{home}/images:one")
    assert run_import(*how, wrapper=wrapper).status == 0
    found = [json.loads(line) for line in events.read_text().splitlines()]
    assert all(set(event) == told[event["event"]] for event in found)
    assert {event["event"] for event in found} >= {"begin", "end"}


def test_log_lines(home: Path, tmp_path: Path) -> None:
    told = set(rows("progress.md", "## --log-json"))
    good = (tmp_path / "repo", "--log-json", "--verbose", "--branch=new", f"oci:{home}/images:one")
    bad = (tmp_path / "repo", "--log-json", "--branch=new", f"oci:{home}/images:none")
    for arguments in (good, bad):
        lines = [json.loads(line) for line in run_import(*arguments).stderr.splitlines()]
        assert lines
        assert all(told - {"hint"} <= set(line) <= told for line in lines)
