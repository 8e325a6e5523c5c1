"""CRI-O's configuration: values in, values out."""

import tomllib

import pytest

from layers.errors import LayerError
from layers.storage.tool_conf import CrioList, crio_conf


@pytest.mark.parametrize("repair", [None, False, True])
@pytest.mark.parametrize("stores", [(), ("/a", "/b")])
def test_what_is_written_is_what_is_read(repair: bool | None, stores: tuple[str, ...]) -> None:
    raw = crio_conf(["b:1", "a@sha256:0", "b:1"], [*stores, *stores], internal_repair=repair)
    assert CrioList.PINNED.read(raw) == ("a@sha256:0", "b:1")
    assert CrioList.ARTIFACT_STORES.read(raw) == (stores or None)
    assert tomllib.loads(raw.decode())["crio"].get("internal_repair") is repair


def test_a_file_that_says_nothing() -> None:
    assert CrioList.PINNED.read(b"") is None
    assert CrioList.PINNED.read(b"[crio.runtime]\nselinux = true\n") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"crio =",
        b"\xff",
        b"crio = 1",
        b"[crio]\nimage = 1",
        b"[crio.image]\npinned_images = 'a'",
        b"[crio.image]\npinned_images = [1]",
        b"a = " + b"[" * 20_000,
    ],
)
def test_what_is_no_configuration_is_refused(raw: bytes) -> None:
    with pytest.raises(LayerError):
        CrioList.PINNED.read(raw)
