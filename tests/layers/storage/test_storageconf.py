"""The configuration files that an operating system has: values in, values out."""

import tomllib

import pytest

from importer.commit.base_tree import composefs_enabled
from layers.errors import LayerError
from layers.storage.tool_conf import drop_in, stores_of, with_store

STORE = "/usr/lib/containers/storage"


def stores(raw: bytes) -> list[str]:
    """What containers-storage would read."""
    found: list[str] = tomllib.loads(raw.decode())["storage"]["options"]["additionalimagestores"]
    return found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[storage]\n",
        '[storage]\ndriver = "overlay"\n[storage.options]\n',
        '[storage]\n[storage.options.overlay]\nmountopt = "nodev"\n',
        '[storage]\n[other]\na = 1\n[storage.options]\nsize = ""\n',
        "[storage.options]\nadditionalimagestores = []\n",
        "storage = {options = {additionalimagestores = []}}\n",
        "storage = {options = {}}\n",
        'storage = {driver = "overlay"}\n',
        "storage = {}\n",
        "[storage]\noptions = {}\n",
        'storage.driver = "overlay"\n',
        '[storage]\r\noptions.size = ""\r\n[other]\r\na = 1\r\n',
        "# additionalimagestores = []\n[storage.options]\n# more\n",
    ],
)
def test_the_store_is_added_and_nothing_else_is_changed(text: str) -> None:
    made = with_store(text.encode(), STORE)
    assert stores(made) == [STORE]
    before, after = tomllib.loads(text), tomllib.loads(made.decode())
    after["storage"]["options"].pop("additionalimagestores")
    before.get("storage", {}).get("options", {}).pop("additionalimagestores", None)
    for document in (before, after):
        document.setdefault("storage", {}).setdefault("options", {})
    assert after == before
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in made.decode().splitlines() if line.startswith("#")
    ]
    assert with_store(made, STORE) == made


def test_others_come_first_and_keep_their_lines() -> None:
    text = b'[storage.options]\nadditionalimagestores = [\n  "/a", # one\n  "/b",\n]\n'
    made = with_store(text, STORE)
    assert stores(made) == ["/a", "/b", STORE]
    assert b'  "/a", # one\n' in made


def test_without_a_file_it_says_all_that_podman_asks_for() -> None:
    made = tomllib.loads(with_store(None, STORE).decode())["storage"]
    assert made["options"]["additionalimagestores"] == [STORE]
    assert made["driver"] == "overlay"
    assert made["graphroot"] == "/var/lib/containers/storage"


@pytest.mark.parametrize(
    "text",
    [
        b"a =",
        b"\xff",
        b"storage = 1",
        b"a = " + b"[" * 20_000,
        b"[storage]\noptions = []",
        b'[storage.options]\nadditionalimagestores = "/a"',
    ],
)
def test_what_is_no_storage_conf_is_refused(text: bytes) -> None:
    with pytest.raises(LayerError, match=r"storage\.conf"):
        with_store(text, STORE)


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        ("", False),
        ("[composefs]\n", False),
        ("[composefs]\nenabled=\n", True),
        ("[composefs]\nenabled = true\n", True),
        ("[composefs]\nenabled = YES\n", True),
        ("[composefs]\nenabled = maybe\n", True),
        ("[composefs]\nenabled = signed\nkeypath = /k\n", True),
        ("[composefs]\nenabled = no\n", False),
        ("[composefs]\nenabled = false\n", False),
        ("[composefs]\nenabled = 0\n", False),
        ("[sysroot]\nreadonly = true\n[etc]\ntransient = no\n", False),
        ("# c\n[composefs]\nenabled = no\n[composefs]\nenabled = yes\n", True),
    ],
)
def test_composefs_by_prepare_root_conf(text: str, enabled: bool) -> None:
    assert composefs_enabled(text.encode()) is enabled


@pytest.mark.parametrize("text", [b"enabled = yes\n", b"\xff\xfe", b"[composefs\n"])
def test_what_is_no_key_file_is_refused(text: bytes) -> None:
    with pytest.raises(LayerError, match=r"prepare-root\.conf"):
        composefs_enabled(text)


# -- drop-ins --

MAIN = b'[storage.options]\nadditionalimagestores = ["/main"]\n'
APPENDS = b'[storage.options]\nadditionalimagestores = ["/more", {append = true}]\n'
REPLACES = b'[storage.options]\nadditionalimagestores = ["/alone"]\n'
NOT_APPENDS = b'[storage.options]\nadditionalimagestores = ["/alone", {append = false}]\n'


@pytest.mark.parametrize(
    ("drop_ins", "found"),
    [
        ([], ["/main"]),
        ([APPENDS], ["/main", "/more"]),
        ([REPLACES], ["/alone"]),
        ([NOT_APPENDS], ["/alone"]),
        ([REPLACES, APPENDS], ["/alone", "/more"]),
        ([APPENDS, REPLACES], ["/main", "/more", "/alone"]),
        ([APPENDS, NOT_APPENDS], ["/alone"]),
        ([b"[storage]\ndriver = 'overlay'\n"], ["/main"]),
        ([drop_in([STORE])], ["/main", STORE]),
    ],
)
def test_what_podman_reads(drop_ins: list[bytes], found: list[str]) -> None:
    assert stores_of(MAIN, drop_ins) == found


def test_without_a_main_file() -> None:
    assert stores_of(None, [drop_in(["/with 'quotes\" \\ in it"])]) == ["/with 'quotes\" \\ in it"]
    assert stores_of(None, []) == []


@pytest.mark.parametrize("text", [b"a =", b"storage = 1", b"[storage.options]\n" + b"a" * 3])
def test_a_drop_in_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(LayerError, match=r"storage\.conf"):
        stores_of(MAIN, [text])
