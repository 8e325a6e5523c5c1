"""Which stores heal takes from the configuration of podman, CRI-O and Quadlets."""

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.device.configured import USUAL_STORES, configured_stores
from importer.device.folder import DeviceError
from importer.device.toml import settings
from tests.tools.fuzz import examples

LIST = "[storage.options]\nadditionalimagestores = "
MAIN = "etc/containers/storage.conf"
DROP_IN = "etc/containers/storage.conf.d/50-a.conf"


def system(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "stores"),
    [
        ({MAIN: f'{LIST}["/srv/one"]\n'}, {"/srv/one"}),
        ({"usr/share/containers/storage.conf": f"{LIST}['/srv/one']\n"}, {"/srv/one"}),
        ({MAIN: "", "usr/share/containers/storage.conf": f'{LIST}["/srv/one"]'}, set()),
        ({MAIN: f'# ["/x"]\n{LIST}[\n  "/srv/a b,c", # "/none"\n]\n'}, {"/srv/a b,c"}),
        ({MAIN: f'{LIST}["/srv/\\u00e9\\"x"]\n'}, {'/srv/é"x'}),
        ({MAIN: '[Storage]\nOptions = {AdditionalImageStores = ["/srv/one"]}\n'}, {"/srv/one"}),
        ({MAIN: '[storage]\nimagestore = "/srv/own"\ngraphroot = "/var/x"\n'}, {"/srv/own"}),
        # podman 5 reads the main file, podman 6 the drop-in, which replaces the list.
        ({MAIN: f'{LIST}["/a"]', DROP_IN: f'{LIST}["/b"]'}, {"/a", "/b"}),
        ({DROP_IN: f'{LIST}["/b"]', "etc/containers/storage.rootful.conf.d/60": "[["}, {"/b"}),
        (
            {
                "usr/share/containers/storage.rootful.conf.d/60-v.conf": f'{LIST}["/v"]',
                DROP_IN: f'{LIST}["/b"]',
                "etc/containers/storage.rootful.conf.d/70-c.conf": f'{LIST}["/c", {{append=true}}]',
            },
            {"/v", "/c"},
        ),
        # One name in two directories: the later directory's file counts alone.
        (
            {
                "usr/share/containers/storage.conf.d/50-a.conf": f'{LIST}["/u"]',
                "etc/containers/storage.rootful.conf.d/50-a.conf": f'{LIST}["/e", {{append=true}}]',
            },
            {"/e"},
        ),
        ({"root/.config/containers/storage.conf": f'{LIST}["/r"]'}, {"/r"}),
        (
            {
                "etc/crio/crio.conf": '[crio]\nstorage_option = ["overlay.imagestore=/c,/d"]\n',
                "etc/crio/crio.conf.d/x/50": '[crio]\nstorage_option = ["imagestore=/e", "a=/f"]\n',
            },
            {"/c", "/d", "/e"},
        ),
        (
            {
                "etc/containers/systemd/a.container": "[Container]\n# imagestore=/no\nGlobalArgs="
                "--storage-opt=additionalimagestore=/usr/lib/bootc/storage\n",
                "usr/share/containers/systemd/x/b.container.d/c.conf": "PodmanArgs="
                '--storage-opt \\\n "additionalimagestore=/srv/a b"\n',
                "etc/sysconfig/crio": "CRIO_STORAGE_OPTIONS=--storage-opt=overlay.imagestore=/s\n",
            },
            {"/usr/lib/bootc/storage", "/srv/a b", "/s"},
        ),
    ],
)
def test_stores_of_every_configuration(
    tmp_path: Path, files: dict[str, str], stores: set[str]
) -> None:
    found = configured_stores(system(tmp_path, files))
    assert set(found.named) == stores
    assert found.doubts == ()
    assert found.usual == USUAL_STORES


@pytest.mark.parametrize(
    ("path", "text", "doubt"),
    [
        (MAIN, f'{LIST}["/srv/one', "a text does not end"),
        (MAIN, f'{LIST}["relative"]', "'relative' is no absolute path of a store"),
        (MAIN, f'{LIST}"/srv/one"', "is no array"),
        (MAIN, f'{LIST}["/srv/\\x41"]', "an escape is unknown"),
        (MAIN, "x" * 2_000_000, "more than 1048576 bytes"),
        (DROP_IN, "a = \n", "line 1: a value is missing"),
        ("etc/crio/crio.conf.d/50", "[crio", "] is missing"),
        ("etc/containers/systemd/a.container", "A=imagestore=/srv/%H\n", "only systemd can read"),
        ("etc/containers/systemd/a.container", "A='imagestore=/srv\n", "No closing quotation"),
    ],
)
def test_a_configuration_in_doubt(tmp_path: Path, path: str, text: str, doubt: str) -> None:
    (line,) = configured_stores(system(tmp_path, {path: text})).doubts
    assert line.startswith(f"/{path}: ")
    assert doubt in line


def test_a_configuration_that_is_no_file(tmp_path: Path) -> None:
    system(tmp_path, {"etc/crio/x": ""})
    (tmp_path / "etc/crio/crio.conf").symlink_to("crio.conf")
    (line,) = configured_stores(tmp_path).doubts
    assert line == "/etc/crio/crio.conf: Too many levels of symbolic links"


VALUES = st.recursive(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5).map(
            lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        ),
        st.sampled_from(
            ["true", "1", "-0.5e3", "0xff", "inf", "1979-05-27T07:32:00Z", "07:32:00", "'a\\b'",
             '"\\n\\u00e9\\U0001F600"', '"""\na\\\n  b"c"""', "'''\n'a'\n'''", "[ ]", "{}",
             '"""a""""', "1979-05-27 07:32:00.5-07:00"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda some: "[" + ",\n # x\n".join(some) + "]"),
        st.lists(inner, max_size=2).map(
            lambda some: "{" + ", ".join(f"k{n} = {one}" for n, one in enumerate(some)) + "}"
        ),
    ),
    max_leaves=6,
)  # fmt: skip


def plain(value: object) -> object:
    """A value of tomllib's as ours has it: numbers and dates are None."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value if isinstance(value, str | bool) else None


def leaves(keys: tuple[str, ...], value: object) -> list[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in leaves((*keys, key), one)]
    return [(keys, plain(value))]


@examples(300)
@given(st.lists(VALUES, max_size=4), st.sampled_from(["", "[t]\n", '[ t . "a b" ]\n', "[[u]]\n"]))
def test_the_reader_of_toml_reads_what_pythons_reads(values: list[str], header: str) -> None:
    text = header + "".join(f"key{number} = {one} # x\r\n" for number, one in enumerate(values))
    document = tomllib.loads(text)
    if header == "[[u]]\n":
        (document["u"],) = document["u"]
    assert [*settings(text.encode())] == leaves((), document)


@examples(300)
@given(st.text(st.sampled_from("ab=.[]{}\"'\\\n,# 1tru"), max_size=30))
def test_what_both_readers_take_is_the_same(text: str) -> None:
    """Ours refuses some that Python's takes, and takes keys that are there twice."""
    with suppress(tomllib.TOMLDecodeError, DeviceError):
        document = tomllib.loads(text)
        ours = [*settings(text.encode())]
        if "[[" not in text:
            assert sorted(map(repr, ours)) == sorted(map(repr, leaves((), document)))
