"""`image-store report`: the page in headless Chromium, as people and their tools see it.

The screenshots are kept in .work/report/, to be looked at.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.chromium import Chromium, Page, Scheme
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.ostreerepo import ostree, rev_parse
from tests.tools.registry import Registry
from tests.tools.storecommand import answered, image_store
from tests.tools.tarbuild import Entry, whiteout

SHOTS = Path(__file__).parent.parent.parent / ".work" / "report"
EVIL = '</script><script>document.title = "owned"</script><img src=x onerror="owned=1">'
# `</script>` cannot be a file's name, whatever a page makes of the rest.
EVIL_NAME = b'<img src=x onerror="owned=1">&amp;'


def files(folder: bytes, sizes: list[int]) -> list[Entry]:
    return [Entry(folder + b"/%d" % n, content=b"x" * size) for n, size in enumerate(sizes)]


BASE = [*files(b"usr/lib", [400_000, 300_000, 200_000]), *files(b"usr/share/doc", [100_000])]
APP = [*files(b"opt/app", [500_000, 50_000]), *files(b"var/cache", [250_000, 20_000])]
CLEAN = [whiteout(b"var/cache"), Entry(b"etc/" + EVIL_NAME, content=b"e" * 70_000)]
OTHER = files(b"srv", [123_000, 45_000])


@pytest.fixture(scope="module")
def store(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with a branch `images` of two commits, the second with one image more."""
    where = tmp_path_factory.mktemp("report")
    history = [{"created_by": "ADD base /"}, {"created_by": EVIL}, {"created_by": "RUN clean"}]
    one = build_oci(where / "l", "one", [BASE, APP, CLEAN], history=history)
    two = build_oci(where / "l", "two", [BASE, OTHER])
    names = [registry.push(one, "report/app:1"), registry.push(two, "report/other:1")]
    repo = where / "repo"
    for branch, images in (("first", names[:1]), ("second", names)):
        imported(repo, f"--branch={branch}", *images)
        ostree(repo, "commit", "--branch=images", f"--tree=ref={branch}", "--timestamp=@1700000000")
    return repo


@pytest.fixture(scope="module")
def report(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    outcome = image_store(store, "report", "images", "-o", path)
    assert (outcome.status, outcome.stdout) == (0, f"{path}\n")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def page(browser: Chromium, report: Path) -> Iterator[Page]:
    opened = browser.page()
    opened.resize(1200, 900)
    opened.open(report)
    yield opened
    assert opened.errors == []


def tiles(page: Page) -> list[dict[str, Any]]:
    """The areas of the picture: their names, sizes in pixels, and kinds."""
    found: list[dict[str, Any]] = page.evaluate(
        "[...document.querySelectorAll('#map > .tile')].map(tile => ({"
        "label: tile.getAttribute('aria-label'), kind: tile.className, tag: tile.tagName,"
        "area: tile.offsetWidth * tile.offsetHeight}))"
    )
    return found


def crumbs(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#crumbs li')].map(item => item.textContent)"
    )
    return found


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.getAttribute('aria-label')"))


# --- what it says ---


def test_the_page_is_one_file_that_asks_for_nothing(page: Page, report: Path) -> None:
    page.evaluate("new Promise(done => setTimeout(done, 200))")
    assert page.requests == [report.as_uri()]
    html = report.read_text()
    assert "default-src 'none'" in html
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"", html.partition("<script")[0]) == []


def test_what_images_contain_is_text_and_nothing_else(page: Page) -> None:
    assert page.evaluate("typeof owned") == "undefined"
    assert page.evaluate("document.title") == "images \u2013 image store"
    assert page.evaluate("document.images.length") == 0
    assert EVIL in page.evaluate("document.body.innerText")


def test_the_numbers_are_those_of_show(store: Path, report: Path, page: Page) -> None:
    document = answered(store, "report", "images", "-o", report)
    assert document["commit"] == rev_parse(store, "images")
    by_name = {one["names"][0].rpartition("/")[2]: one for one in document["images"]}
    for name, one in by_name.items():
        shown = answered(store, "show", one["image_id"], "--branch=images")
        assert one["size"] == shown["size"], name
        assert one["hidden_size"] == shown["hidden_size"], name
    app, other = by_name["app:1"], by_name["other:1"]
    assert (app["size"], app["shared_size"]) == (1_890_000, 1_000_000)
    assert (app["hidden_size"], app["flattening_saves"]) == (270_000, 270_000)
    assert (other["size"], other["flattening_saves"]) == (1_168_000, 0)
    assert document["size"] == 2_058_000
    assert document["unshared_size"] == 3_058_000
    figures = page.evaluate("[...document.querySelectorAll('.figures dd')].map(e => e.innerText)")
    assert figures == ["2", "4", "2.06 MB", "1 MB", "270 kB"]


def test_flattening_saves_nothing_that_another_image_has(
    registry: Registry, tmp_path: Path
) -> None:
    """The hidden file's content is the other image's, too: one object serves both."""
    layers = [[Entry(b"f", content=b"f" * 1000), Entry(b"g", content=b"g" * 10)], [whiteout(b"f")]]
    one = registry.push(build_oci(tmp_path / "l", "one", layers), "saves/one:1")
    same = [[Entry(b"elsewhere", content=b"f" * 1000)]]
    two = registry.push(build_oci(tmp_path / "l", "two", same), "saves/two:1")
    repo = tmp_path / "repo"
    imported(repo, "--branch=both", one, two)
    imported(repo, "--branch=alone", one)
    saves = {}
    for branch in ("both", "alone"):
        document = answered(repo, "report", branch, "-o", tmp_path / "r.html")
        saves[branch] = {i["names"][0]: i["flattening_saves"] for i in document["images"]}[one]
    assert saves == {"both": 0, "alone": 1000}


def test_flattening_all_images_saves_what_lies_hidden_in_shared_layers(
    registry: Registry, tmp_path: Path
) -> None:
    """The figure is what importing the same images with --flatten saves."""

    def bytes_of_files(repo: Path) -> int:
        ostree(repo, "checkout", "-U", "-H", "all", tree := tmp_path / f"{repo.name}-tree")
        files = [p.lstat() for p in tree.glob("usr/**/overlay/*/diff/**/*") if p.is_file()]
        return sum({found.st_ino: found.st_size for found in files}.values())

    base = [Entry(b"f", content=b"f" * 5000), Entry(b"g", content=b"g" * 10)]
    own = ([whiteout(b"f"), Entry(b"h", content=b"1")], [Entry(b"f", content=b"2" * 7)])
    names = [
        registry.push(build_oci(tmp_path / "l", f"t{n}", [base, above]), f"saves/all:{n}")
        for n, above in enumerate(own)
    ]
    imported(tmp_path / "layers", "--branch=all", *names)
    imported(tmp_path / "flat", "--branch=all", "--flatten", *names)
    document = answered(tmp_path / "layers", "report", "all", "-o", tmp_path / "r.html")
    assert [image["flattening_saves"] for image in document["images"]] == [0, 0]
    saved = bytes_of_files(tmp_path / "layers") - bytes_of_files(tmp_path / "flat")
    assert document["flattening_saves"] == saved == 5000
    assert "<dd>5 kB</dd>" in re.sub(r"\s*\n\s*", "", (tmp_path / "r.html").read_text())


def test_changes_since_the_parent(store: Path, tmp_path: Path) -> None:
    def changes() -> str:
        image_store(store, "report", "images", "-o", tmp_path / "r.html")
        text = (tmp_path / "r.html").read_text().partition('<section id="changes"')[2]
        return re.sub(r"<[^>]*>", " ", text.partition("</section>")[0])

    assert "1 added, 1 unchanged" in changes()
    assert "other:1" in changes()
    first = rev_parse(store, "images^")
    assert first[:16] in changes()
    image_store(store, "report", "first", "-o", tmp_path / "r.html")
    assert "has no parent" in (tmp_path / "r.html").read_text()


def test_the_same_commit_gives_the_same_page(store: Path, report: Path, tmp_path: Path) -> None:
    answered(store, "report", "images", "-o", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == report.read_bytes()


def test_the_page_on_standard_output(store: Path, report: Path, tmp_path: Path) -> None:
    assert image_store(store, "report", "images", "-o", "-").stdout == report.read_text()
    assert not (tmp_path / "-").exists()
    assert image_store(store, "report", "images", "-o", "-", "--json").status == 2


def test_what_is_no_file_is_written_to_and_not_replaced(
    store: Path, report: Path, tmp_path: Path
) -> None:
    pipe, link, real = (tmp_path / name for name in ("pipe", "link", "real.html"))
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert image_store(store, "report", "images", "-o", pipe).status == 0
        assert reader.communicate()[0] == report.read_bytes()
    assert pipe.is_fifo()
    link.symlink_to(real)
    assert image_store(store, "report", "images", "-o", link).stdout == f"{link}\n"
    assert link.is_symlink()
    assert real.read_bytes() == report.read_bytes()


def test_a_report_that_cannot_be_written(store: Path, tmp_path: Path) -> None:
    outcome = image_store(store, "report", "images", "-o", tmp_path / "no" / "r.html")
    assert outcome.status == 1
    assert outcome.stderr == (
        f"error: {tmp_path}/no/r.html cannot be written: No such file or directory\n"
    )


def test_the_file_has_the_permissions_that_its_user_chose(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    for umask, expected in ((0o027, 0o640), (0o022, 0o640)):  # then it is there
        before = os.umask(umask)
        try:
            assert image_store(store, "report", "images", "-o", path).status == 0
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == expected


# --- the picture ---


def test_areas_are_as_large_as_what_they_stand_for(page: Page) -> None:
    app, other = tiles(page)
    assert app["label"].startswith("app:1, ")
    assert other["label"].startswith("other:1, ")
    assert app["area"] / other["area"] == pytest.approx(1_890_000 / 1_168_000, rel=0.02)
    inner = page.evaluate(
        "[...document.querySelectorAll('#map > .tile > i')].map(i => i.className)"
    )
    assert sorted(inner) == ["own", "own", "own", "shared", "shared"]
    # A layer, usr, lib, and the files in it.
    assert page.evaluate("document.querySelectorAll('#map .tile > i > i > i > i').length") > 0


def test_digests_tell_images_apart_where_there_is_little_room(
    registry: Registry, browser: Chromium, tmp_path: Path
) -> None:
    built = [build_oci(tmp_path / "l", f"{n}", [files(b"d%d" % n, [9000])]) for n in range(4)]
    for one in built:
        registry.push(one, "report/a-long-name-that-all-have")
    names = [registry.by_digest(one, "report/a-long-name-that-all-have") for one in built]
    imported(tmp_path / "repo", "--branch=all", *names)
    image_store(tmp_path / "repo", "report", "all", "-o", tmp_path / "r.html")
    page = browser.page()
    page.resize(360, 800, phone=True)
    page.open(tmp_path / "r.html")
    whole = page.evaluate(
        "[...document.querySelectorAll('#map .digest')]"
        ".map(e => e.scrollWidth <= e.clientWidth ? e.textContent : '')"
    )
    assert sorted(whole) == sorted("@" + one.digest.partition(":")[2][:12] for one in built)


def test_the_layers_are_drawn_once_each(page: Page) -> None:
    page.evaluate("document.querySelector('input[value=layers]').click()")
    found = tiles(page)
    kinds = [(one["label"].partition(",")[0][:10], one["kind"]) for one in found]
    assert kinds == [
        ("ADD base /", "tile shared"),
        ("</script><", "tile own"),
        ("layer", "tile own"),
        ("RUN clean", "tile own"),
    ] or [kind for _, kind in kinds] == ["tile shared", "tile own", "tile own", "tile own"]
    assert crumbs(page) == ["all layers, 2.06 MB"]
    assert "shared by several images" in found[0]["label"]


def test_the_keyboard_goes_everywhere(page: Page) -> None:
    for _ in range(30):
        page.press("Tab")
        if focused(page).startswith("app:1"):
            break
    assert focused(page).startswith("app:1")
    page.press("ArrowRight")
    assert focused(page).startswith("other:1")
    page.press("ArrowLeft")
    page.press("Enter")
    assert crumbs(page) == ["all images", "app:1, 1.89 MB"]
    assert focused(page).startswith("ADD base /")
    page.press("Enter")
    page.press("Enter")
    assert crumbs(page)[:3] == ["all images", "app:1", "ADD base /"]
    assert crumbs(page)[3].startswith("usr, ")
    assert [one["label"].partition(",")[0] for one in tiles(page)] == ["lib", "share"]
    for _ in range(2):
        page.press("Escape")
    assert focused(page).startswith("ADD base /")
    page.press("Escape")
    assert focused(page).startswith("app:1")
    assert page.evaluate("document.getElementById('map-status').textContent") != ""


def test_a_file_is_an_end(page: Page) -> None:
    page.evaluate("document.querySelector('input[value=layers]').click()")
    for _ in range(3):
        page.evaluate("document.querySelector('#map > button.tile').click()")
    assert {one["tag"] for one in tiles(page)} == {"DIV"}
    page.evaluate("document.querySelector('#crumbs button').click()")
    assert crumbs(page) == ["all layers, 2.06 MB"]


# --- for everybody ---


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_everything_can_be_read(page: Page, scheme: Scheme, width: int) -> None:
    page.prefer(scheme)
    page.resize(width, 800, phone=width < 500)
    page.screenshot(SHOTS / f"{scheme}-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    worst = page.evaluate(CONTRAST)
    assert worst["checked"] > 60
    assert worst["ratio"] >= 4.5, worst


# WCAG 2.2: relative luminance, contrast ratio. Text lies on the nearest background that is not
# transparent; of stripes, each colour is taken.
CONTRAST = """
(() => {
  const colours = (text) => [...text.matchAll(/rgba?\\(([^)]*)\\)/g)].map(
    (match) => match[1].split(/[ ,/]+/).map(Number));
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const solid = (colour) => colour.length < 4 || colour[3] === 1;
  const behind = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const style = getComputedStyle(node);
      const stripes = colours(style.backgroundImage);
      if (stripes.length) return stripes;
      const [colour] = colours(style.backgroundColor);
      if (colour && solid(colour)) return [colour];
    }
    return [[255, 255, 255]];
  };
  let worst = { ratio: 99, text: "", checked: 0 };
  let checked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest("script, .skip, .unseen")) continue;
    checked += 1;
    const [front] = colours(getComputedStyle(element).color);
    for (const back of behind(element)) {
      const [low, high] = [luminance(front), luminance(back)].sort((a, b) => a - b);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < worst.ratio) worst = { ratio, text: text.slice(0, 60), front, back };
    }
  }
  return { ...worst, checked };
})()
"""


def test_states_stay_in_one_piece_beside_long_names(page: Page) -> None:
    """As those of a release's images are, all of one repository and with digests."""
    page.evaluate(
        "document.querySelectorAll('#changes th small').forEach(e => {"
        "e.textContent = 'registry.example/' + 'f'.repeat(180); });"
        "const [state, difference] = document.querySelectorAll('#changes td');"
        "state.textContent = 'changed';"
        "difference.textContent = '1 new layer; 1 file added, 1 changed, 0 removed';"
    )
    heights = page.evaluate(
        "[...document.querySelectorAll('#changes td.state')].map(cell => {"
        "const range = document.createRange(); range.selectNodeContents(cell);"
        "return range.getClientRects().length; })"
    )
    assert heights == [1]


def test_assistive_tools_find_their_way(page: Page) -> None:
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert roles.count("main") == 1
    assert roles.count("banner") == 1
    assert roles.count("region") == 5
    assert roles.count("table") == 4
    named = ("button", "link", "radio", "region", "table", "navigation", "group", "image")
    for node in nodes:
        if not node["ignored"] and node["role"]["value"] in named:
            assert node["name"]["value"].strip(), json.dumps(node)
    assert page.evaluate("document.documentElement.lang") == "en"
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)")
    assert levels == ["H1", "H2", "H2", "H2", "H2", "H2"]
    assert page.evaluate(
        "[...document.querySelectorAll('table')].every(table => table.caption"
        " && table.querySelector('thead th[scope=col]')"
        " && [...table.tBodies[0].rows].every(row => row.querySelector('th[scope=row]')))"
    )


def test_tables_stay_tables_on_a_phone(page: Page) -> None:
    page.resize(360, 800, phone=True)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert roles.count("table") == 4
    assert roles.count("rowheader") > 4
    sizes = page.evaluate(
        "[...document.querySelectorAll('header nav a, label, #map > button')]"
        ".map(e => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 24  # WCAG 2.2, 2.5.8


def test_who_has_no_keys_is_not_told_of_them(page: Page) -> None:
    help_text = "document.getElementById('map-help').innerText"
    assert "arrow keys" in page.evaluate(help_text)
    page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    assert "arrow keys" not in page.evaluate(help_text)
    assert "names above the picture" in page.evaluate(help_text)


def test_without_scripts_the_tables_are_still_there(report: Path, browser: Chromium) -> None:
    page = browser.page()
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(report)
    texts = page.texts()
    assert any(text.startswith("The picture needs JavaScript") for text in texts)
    assert "270 kB" in texts


def test_an_empty_store_has_a_report(registry: Registry, tmp_path: Path) -> None:
    built = build_oci(tmp_path / "l", "t", [])
    imported(tmp_path / "repo", "--branch=empty", registry.push(built, "report/empty:t"))
    outcome = image_store(tmp_path / "repo", "report", "empty", "-o", tmp_path / "r.html")
    assert outcome.status == 0, outcome.stderr
    assert "No layer is in more than one image" in (tmp_path / "r.html").read_text()
