"""Digests: one spelling each, and only of algorithms that can be checked."""

import hashlib

import pytest

from layers.digest import Digest
from layers.errors import LayerError

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_there_and_back(algorithm: str) -> None:
    digest = Digest.of(b"data", algorithm)
    assert digest.hex == hashlib.new(algorithm, b"data").hexdigest()
    assert Digest.parse(str(digest)) == digest
    hasher = digest.hasher()
    hasher.update(b"data")
    assert hasher.hexdigest() == digest.hex


def test_of_nothing() -> None:
    assert str(Digest.of(b"")) == f"sha256:{EMPTY}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        EMPTY,
        "sha256:",
        f"sha256:{EMPTY.upper()}",
        f"SHA256:{EMPTY}",
        f"sha256:{EMPTY}0",
        f"sha256:{EMPTY[:-1]}",
        f"sha256:{EMPTY}\n",
        f" sha256:{EMPTY}",
        f"sha256:{EMPTY[:-1]}g",
        f"sha512:{EMPTY}",
        f"sha256::{EMPTY}",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        f"sha256+b64:{EMPTY}",
        None,
        7,
        ["sha256"],
        f"sha256:../{EMPTY[3:]}",
    ],
)
def test_what_is_none(text: object) -> None:
    with pytest.raises(LayerError):
        Digest.parse(text)


def test_check() -> None:
    digest = Digest.of(b"data")
    assert digest.check(b"data", "it") == b"data"
    with pytest.raises(LayerError, match="it has digest") as caught:
        digest.check(b"date", "it")
    assert caught.value.digest == str(digest)
    assert caught.value.hint


def test_digests_have_an_order() -> None:
    digests = [Digest.of(b"%d" % n) for n in range(5)]
    assert [d.hex for d in sorted(digests)] == sorted(d.hex for d in digests)
