"""--creds reaches one registry, the one that the command line names, and nobody else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.cli.options.registry import Access
from importer.cli.targets import credentials
from importer.errors import ImporterError
from importer.fetch.complaint import shown
from layers.errors import LayerError
from layers.oci.reference import Reference
from tests.tools import patience
from tests.tools.faultyproxy import Fault, FaultyProxy
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import Run, imported, run_import
from tests.tools.importrelease import failed, released
from tests.tools.nightly import Nightlies
from tests.tools.registry import Registry
from tests.tools.releaseworld import World
from tests.tools.session import members
from tests.tools.tarbuild import Entry

HIDDEN = "not-to-be-seen"
CREDS = f"--creds=user:{HIDDEN}"


@pytest.fixture(scope="module")
def locked() -> Iterator[Registry]:
    with Registry(auth=("user", HIDDEN)) as running:
        yield running


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    return build_oci(layout, "t", [[Entry(b"a")]])


def test_they_are_refused_for_two_registries(
    repo: Path, registry: Registry, locked: Registry, image: BuiltImage
) -> None:
    """The second one would see what the first one's user trusted the first one with."""
    names = locked.push(image, "creds:t"), registry.push(image, "creds:t")
    registry.requests()
    outcome = run_import(repo, CREDS, *names)
    assert outcome.status == 1
    (error,) = outcome.said("error")
    assert all(name in error for name in (locked.host, registry.host))
    assert "--authfile" in outcome.said("hint")[0]
    assert registry.requests() == []


def test_they_reach_the_registry_beside_another_transport(
    repo: Path, locked: Registry, image: BuiltImage
) -> None:
    reference = locked.push(image, "creds:t")
    found = imported(repo, CREDS, reference, f"oci:{image.directory}:t", "--branch=both")
    assert len(found["images"]) == 2


def shown_while_reading(repo: Path, locked: Registry, image: BuiltImage, how: str) -> list[str]:
    """What ps shows of each process of an import that waits for its blob."""
    reference = locked.push(image, "creds:t")
    with FaultyProxy(locked.url) as between:
        fault = between.add(Fault(image.layers[0].digest, "stall"))
        running = Run(repo, how, between.through(reference))
        assert fault.reached.wait(patience.SECONDS)
        shown = [_shown(int(one.split()[0])) for one in members(running.process.pid)]
        fault.go_on.set()
        assert running.finish().status == 0
    assert any("experimental-image-proxy" in text for text in shown)
    return shown


def _shown(pid: int) -> str:
    parts = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    return b" ".join(parts).decode("utf-8", "replace")


def test_no_process_but_ours_shows_them(repo: Path, locked: Registry, image: BuiltImage) -> None:
    """Neither skopeo's arguments nor its environment; ours are the user's own affair."""
    seen = [one for one in shown_while_reading(repo, locked, image, CREDS) if HIDDEN in one]
    assert ["import-image" in one for one in seen] == [True] * len(seen)
    assert [one for one in seen if "skopeo" in one] == []


def test_from_a_file_no_process_shows_them(
    repo: Path, locked: Registry, image: BuiltImage, tmp_path: Path
) -> None:
    file = tmp_path / "creds"
    file.write_text(f"user:{HIDDEN}\n")
    shown = shown_while_reading(repo, locked, image, f"--creds-file={file}")
    assert [one for one in shown if HIDDEN in one] == []


def test_from_standard_input(
    repo: Path, locked: Registry, image: BuiltImage, tmp_path: Path
) -> None:
    file = tmp_path / "creds"
    file.write_text(f"user:{HIDDEN}")
    reference = locked.push(image, "creds:t")
    wrapper = ["sh", "-c", f'exec "$@" <{file}', "sh"]
    imported(repo, "--creds-file=-", reference, wrapper=wrapper)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no credentials"),
        (b"user:a\nuser:b\n", "something else than USER:PASSWORD"),
        (b":password", "something else than USER:PASSWORD"),
        (b"user:\xff", "not UTF-8"),
        (b"u" * (1 << 17), "has more than"),
    ],
)
def test_a_file_without_credentials(repo: Path, tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "creds"
    file.write_bytes(content)
    with pytest.raises(ImporterError, match=says) as refused:
        credentials(Access(creds_file=file))
    assert str(file) in str(refused.value)


# -- import-release --


def test_a_release_file_may_not_have_them(repo: Path, tmp_path: Path) -> None:
    """Whoever wrote the file would choose who gets them."""
    file = tmp_path / "release.json"
    file.write_text(json.dumps({"release": {"base": "1"}, "images": {"a": "evil.example.org/a:b"}}))
    outcome = failed(repo, CREDS, file, "--branch=x")
    assert "names none" in outcome.said("error")[0]
    assert "--authfile" in outcome.said("hint")[0]
    outcome = failed(repo, CREDS, "--stream=x", "--branch=x")
    assert "names none" in outcome.said("error")[0]


def test_a_payload_may_have_them_for_its_own_registry(
    repo: Path, locked: Registry, tmp_path: Path
) -> None:
    nightly = Nightlies(locked, tmp_path / "layout").push("4.20.0")
    document = released(repo, CREDS, nightly.pullspec, "--branch=x")
    assert len(document["releases"][0]["images"]) == len(nightly.images)


def test_a_payload_may_not_send_them_elsewhere(repo: Path, world: World, locked: Registry) -> None:
    """The payload is in the registry that was named; its images are in another one."""
    reference = locked.push(world.first.payload, "payload:t")
    world.registry.requests()
    outcome = failed(repo, CREDS, reference, "--branch=x")
    (error,) = outcome.said("error")
    assert f"has images in {world.registry.host}" in error
    assert world.registry.requests() == []


@pytest.mark.parametrize(
    "text",
    [
        "docker://user:SECRET@host.io/a:b",
        "user:SECRET@host.io/a:b",
        "docker://user:SEC@RET@host.io/a:b",
        "docker:user:SECRET@host.io/a@sha256:" + "0" * 64,
    ],
)
def test_a_password_in_a_reference_is_not_shown(text: str) -> None:
    with pytest.raises(LayerError) as caught:
        Reference.parse(text)
    said = f"{caught.value} {caught.value.hint}"
    assert "SEC" not in said
    assert "RET" not in said.replace("SECRET", "")
    assert "--creds-file" in said
    assert "SEC" not in shown(text)


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_of_credentials_that_all_can_read_is_told_of(
    repo: Path, tmp_path: Path, mode: int, told: bool
) -> None:
    file = tmp_path / "creds"
    file.write_text("user:secret\n")
    file.chmod(mode)
    flags = (f"--creds-file={file}", "--retry-times=0", "127.0.0.1:1/a:b")
    said = f"every user of this machine can read {file}"
    assert (said in run_import(repo, *flags).stderr) is told
    assert said not in run_import(repo, "--quiet", *flags).stderr
    logged = run_import(repo, "--log-json", *flags).stderr.splitlines()
    assert any(said in json.loads(line)["message"] for line in logged) is told
