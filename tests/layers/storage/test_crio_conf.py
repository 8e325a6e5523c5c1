"""CRI-O's configuration: values in, values out."""

import tomllib

import pytest

from layers.errors import LayerError
from layers.storage.tool_conf import crio_conf, pinned_images


@pytest.mark.parametrize("repair", [None, False, True])
def test_what_is_written_is_what_is_read(repair: bool | None) -> None:
    raw = crio_conf(["b:1", "a@sha256:0", "b:1"], internal_repair=repair)
    assert pinned_images(raw) == ("a@sha256:0", "b:1")
    assert tomllib.loads(raw.decode())["crio"].get("internal_repair") is repair


def test_a_file_that_says_nothing() -> None:
    assert pinned_images(b"") is None
    assert pinned_images(b"[crio.runtime]\nselinux = true\n") is None


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
        pinned_images(raw)
