"""skopeo's proxy, spoken to as the importer does: by protocol 0.2.6, and by 0.2.8."""

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from importer.errors import FetchError, ImporterError
from importer.fetch.blobs import Blobs
from importer.fetch.proxy import Proxy
from importer.fetch.skopeo import Skopeo
from importer.progress import Silence
from layers import errors
from layers.digest import Digest
from layers.errors import LayerError
from layers.oci.manifest import Descriptor
from tests.fetch.conftest import TRUSTING, wanted
from tests.tools import patience, rawskopeo
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_index, build_oci
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry


@pytest.fixture(autouse=True, params=["0.2.6", "0.2.8"])
def protocol(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The installed skopeo's, and one that speaks 0.2.8 over it."""
    if request.param == "0.2.8":
        monkeypatch.setenv("PATH", rawskopeo.install(tmp_path / "raw"))
    version: str = request.param
    return version


def test_blobs_one_after_the_other(source: str, image: BuiltImage) -> None:
    with Blobs(TRUSTING, Silence()) as blobs:
        for blob in [*image.layers, image.config, *image.layers]:
            assert b"".join(blobs.stream(source, wanted(blob))) == image.read(blob)


def test_the_platform_of_an_index(
    registry: Registry, proxy: Proxy, layout: Path, image: BuiltImage
) -> None:
    other = build_oci(layout, "arm", [[Entry(b"b")]], architecture="arm64")
    index = build_index(layout, "ix", [image, other])
    source = f"docker://{registry.push(index, 'skopeo-index:t')}"
    for arch, chosen in (("amd64", image), ("arm64", other)):
        asked = Proxy(Skopeo(tls_verify=False, arch=arch))
        assert str(asked.manifest(source)[0]) == chosen.digest
        asked.close()


def test_what_the_transport_has_of_the_layers(proxy: Proxy, source: str, image: BuiltImage) -> None:
    assert proxy.layers(source) == tuple(map(wanted, image.layers))


def test_blobs_come_whole_after_one_that_was_left(source: str, image: BuiltImage) -> None:
    with Blobs(TRUSTING, Silence()) as blobs:
        first = blobs.stream(source, wanted(image.layers[1]))
        next(first)
        first.close()
        assert blobs.read(source, wanted(image.config)) == image.read(image.config)
        assert b"".join(blobs.stream(source, wanted(image.layers[1]))) == image.read(
            image.layers[1]
        )


def test_several_blobs_at_once(source: str, image: BuiltImage) -> None:
    with Blobs(TRUSTING, Silence()) as blobs:
        streams = [blobs.stream(source, wanted(blob)) for blob in (*image.layers, image.config)]
        heads = [next(stream) for stream in streams]
        whole = [head + b"".join(rest) for head, rest in zip(heads, streams, strict=True)]
        assert whole == [image.read(blob) for blob in (*image.layers, image.config)]
        assert blobs.fetched_bytes == sum(map(len, whole))


def test_a_document_that_is_too_large_is_not_read(source: str, image: BuiltImage) -> None:
    huge = Descriptor("x", Digest.parse(image.config.digest), 5 << 20)
    with Blobs(TRUSTING, Silence()) as blobs, pytest.raises(LayerError, match="5242880 bytes"):
        blobs.read(source, huge)


def test_a_wrong_size_is_found(source: str, image: BuiltImage) -> None:
    blob = image.layers[1]
    for size in (blob.size - 1, blob.size + 1):
        descriptor = Descriptor(blob.media_type, Digest.parse(blob.digest), size)
        with Blobs(TRUSTING, Silence()) as blobs, pytest.raises(errors.Fault) as caught:
            b"".join(blobs.stream(source, descriptor))
        assert caught.value.digest == blob.digest
        assert "the registry" in caught.value.advice


@pytest.mark.parametrize("after", [0, 10, 500_000])
def test_a_blob_that_breaks_off_ends_and_names_itself(
    registry: Registry, image: BuiltImage, source: str, after: int
) -> None:
    """Not a wait for ever: skopeo's pipe has to end when the registry does."""
    blob = image.layers[1]
    with FaultyProxy(registry.url) as faulty:
        faulty.add(Fault(blob.digest, "cut", after))
        through = f"docker://{faulty.through(source.removeprefix('docker://'))}"
        with Blobs(TRUSTING, Silence()) as blobs, pytest.raises((FetchError, LayerError)) as caught:
            b"".join(blobs.stream(through, wanted(blob)))
    assert caught.value.digest == blob.digest


def test_closing_ends_a_read_that_stalls(
    registry: Registry, image: BuiltImage, source: str
) -> None:
    blob = image.layers[1]
    with FaultyProxy(registry.url) as faulty:
        faulty.add(Fault(blob.digest, "stall", 100_000))
        through = f"docker://{faulty.through(source.removeprefix('docker://'))}"
        with Blobs(TRUSTING, Silence()) as blobs:
            stream = blobs.stream(through, wanted(blob))
            next(stream)
            blobs.close()
            with pytest.raises((FetchError, LayerError)):
                b"".join(stream)


def test_after_closing_nothing_is_fetched(source: str, image: BuiltImage) -> None:
    blobs = Blobs(TRUSTING, Silence())
    blobs.close()
    with pytest.raises(ImporterError):
        b"".join(blobs.stream(source, wanted(image.layers[1])))


def open_files() -> set[tuple[str, Path]]:
    """Each descriptor with what it is of; a pipe's or socket's name is its own."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one by which they are listed
            found.add((link.name, link.readlink()))
    return found


def test_descriptors_are_not_lost(source: str, image: BuiltImage) -> None:
    """Of sockets, pipes and standard errors. What others had open, they may close meanwhile."""
    before = open_files()
    for _ in range(3):
        with Blobs(TRUSTING, Silence()) as blobs:
            blobs.read(source, wanted(image.config))
            stream = blobs.stream(source, wanted(image.layers[1]))
            next(stream)
            stream.close()
    assert open_files() - before == set()


def test_an_image_is_opened_once_however_many_blobs_are_on_their_way(
    registry: Registry, source: str, image: BuiltImage, protocol: str
) -> None:
    """One process has all of them, so that registry, token and manifest are asked for once."""
    registry.requests()
    with Blobs(TRUSTING, Silence()) as blobs:
        streams = [blobs.stream(source, wanted(image.layers[1])) for _ in range(4)]
        for stream in streams:
            next(stream)
        for stream in streams:
            stream.close()
    asked = [one.path for one in registry.requests()]
    assert sum("/blobs/" in path for path in asked) == 4
    if protocol != "0.2.8":  # the stand-in opens it for each blob
        assert sum("/manifests/" in path for path in asked) == 1
        assert sum(path == "/v2/" for path in asked) == 1


def test_a_blob_that_breaks_off_goes_on_where_it_did(
    registry: Registry, image: BuiltImage, source: str
) -> None:
    """skopeo itself asks for the rest, by a range (containers/image docker/body_reader.go)."""
    blob = image.layers[1]
    with FaultyProxy(registry.url) as faulty:
        faulty.add(Fault(blob.digest, "cut", 300_000, times=1))
        through = f"docker://{faulty.through(source.removeprefix('docker://'))}"
        registry.requests()
        with Blobs(TRUSTING, Silence()) as blobs:
            assert blobs.read(through, wanted(blob)) == image.read(blob)
    answers = [one.status for one in registry.requests() if one.downloaded_blob()]
    assert answers == [200, 206]


def test_a_blob_that_stalls_keeps_no_other_from_its_end(
    registry: Registry, image: BuiltImage, source: str
) -> None:
    """By 0.2.6 its proxy answers nothing more until the blob goes on."""
    small, large = image.layers
    with FaultyProxy(registry.url) as faulty:
        fault = faulty.add(Fault(large.digest, "stall", 300_000, times=1))
        through = f"docker://{faulty.through(source.removeprefix('docker://'))}"
        with Blobs(TRUSTING, Silence()) as blobs:
            found: list[bytes] = []
            stalled = threading.Thread(
                target=lambda: found.append(blobs.read(through, wanted(large)))
            )
            stalled.start()
            assert fault.reached.wait(patience.SECONDS)
            beside = blobs.stream(through, wanted(large))
            head = next(beside)
            stalled.join(3)  # long enough for FinishPipe to be asked for
            assert head + b"".join(beside) == image.read(large)
            assert blobs.read(through, wanted(small)) == image.read(small)
            assert found == []
            fault.go_on.set()
            stalled.join()
            assert found == [image.read(large)]
            assert blobs.read(through, wanted(image.config)) == image.read(image.config)


def test_a_blob_that_is_longer_than_stated(source: str, image: BuiltImage) -> None:
    """By far, so that skopeo is still writing when we have all that there should be."""
    blob = image.layers[1]
    descriptor = Descriptor(blob.media_type, Digest.parse(blob.digest), 1000)
    with Blobs(TRUSTING, Silence()) as blobs, pytest.raises(LayerError, match="longer than the"):
        for _ in blobs.stream(source, descriptor):
            pass
