"""CRI-O's configuration: values in, values out."""

import tomllib

import pytest

from layers.errors import LayerError
from layers.storage.crio_conf import (
    CrioConf,
    crio_conf,
    names_store,
    parse_crio_conf,
    store_option,
)

STORE = "/usr/lib/containers/storage"


@pytest.mark.parametrize("repair", [None, False, True])
@pytest.mark.parametrize("option", [(), ("overlay.mountopt=nodev", store_option(STORE))])
def test_what_is_written_is_what_is_read(repair: bool | None, option: tuple[str, ...]) -> None:
    raw = crio_conf(["b:1", "a@sha256:0", "b:1"], option, internal_repair=repair)
    assert parse_crio_conf(raw) == CrioConf(("a@sha256:0", "b:1"), option or None)
    crio = tomllib.loads(raw.decode())["crio"]
    assert crio.get("internal_repair") is repair
    assert crio["image"]["pinned_images"] == ["a@sha256:0", "b:1"]


def test_a_file_that_says_nothing() -> None:
    assert parse_crio_conf(b"") == CrioConf(None, None)
    assert parse_crio_conf(b"[crio.runtime]\nselinux = true\n") == CrioConf(None, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"crio =",
        b"\xff",
        b"crio = 1",
        b"[crio]\nimage = 1",
        b"[crio]\nstorage_option = 'a'",
        b"[crio.image]\npinned_images = [1]",
        b"a = " + b"[" * 20_000,
    ],
)
def test_what_is_no_configuration_is_refused(raw: bytes) -> None:
    with pytest.raises(LayerError):
        parse_crio_conf(raw)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], False),
        ([f"overlay.imagestore={STORE}"], True),
        ([f"overlay.imagestore=/a,{STORE}"], True),
        ([f"overlay.imagestore={STORE}/x"], False),
        ([f"overlay.mountopt={STORE}"], False),
    ],
)
def test_whether_the_options_name_the_store(options: list[str], named: bool) -> None:
    assert names_store(options, STORE) is named
