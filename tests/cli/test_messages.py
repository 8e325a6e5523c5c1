"""What is told beside the result: --verbose, --log-json, --progress-fd, and the config file."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest

from importer.cli.config import KEYS, config_files, read_config
from importer.cli.import_image import import_image
from importer.cli.messages import Events
from importer.cli.options.command import Setting
from importer.cli.progress_display import for_terminal
from importer.errors import ImporterError
from importer.progress import Silence
from tests.tools.home import empty_home
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import NOBODY, SCRIPT, run_import
from tests.tools.ostreerepo import refs
from tests.tools.registry import Registry
from tests.tools.storecommand import image_store
from tests.tools.tarbuild import Entry


@pytest.fixture
def image(registry: Registry, layout: Path) -> tuple[BuiltImage, str]:
    """One layer of a size that takes several pieces."""
    built = build_oci(layout, "t", [[Entry(b"f", content=os.urandom(3_000_000))]])
    return built, registry.push(built, "messages/one:t")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_log_in_json(image: tuple[BuiltImage, str], tmp_path: Path) -> None:
    outcome = run_import(tmp_path / "repo", "--log-json", image[1])
    assert outcome.status == 0
    found = lines(outcome.stderr)
    assert {line["level"] for line in found} == {"info"}
    assert "one: downloading 1 layer, 3 MB" in [line["message"] for line in found]
    assert all(isinstance(line["time"], float) for line in found)


def test_an_error_in_json(tmp_path: Path) -> None:
    outcome = run_import(tmp_path / "repo", "--log-json", "--quiet", "oci:/nowhere:t")
    assert outcome.status == 1
    (error,) = lines(outcome.stderr)
    assert error["level"] == "error"
    assert "oci:/nowhere:t" in error["message"]
    assert error["hint"]
    outcome2 = image_store(tmp_path / "none", "list", "--log-json")
    assert lines(outcome2.stderr)[0]["level"] == "error"


def test_verbose_tells_the_commands_but_no_password(
    image: tuple[BuiltImage, str], tmp_path: Path
) -> None:
    outcome = run_import(tmp_path / "repo", "--verbose", "--creds=me:secret", image[1])
    details = [line for line in outcome.stderr.splitlines() if line.startswith("debug: ")]
    assert any("running skopeo" in line for line in details)
    assert any("layer " in line and ": commit " in line for line in details)
    assert "secret" not in outcome.stderr
    again = run_import(tmp_path / "repo", "--verbose", "--log-json", image[1])
    assert any("is here already" in line["message"] for line in lines(again.stderr))
    quiet = run_import(tmp_path / "repo", image[1])
    assert "debug" not in quiet.stderr


def test_quiet_and_verbose_exclude_each_other(tmp_path: Path) -> None:
    for order in (["-q", "-v"], ["-v", "-q"]):
        assert run_import(tmp_path / "repo", *order, "oci:/nowhere:t").status == 2


def progress(tmp_path: Path, reference: str, *, closed: bool = False) -> tuple[int, list[Any]]:
    """The status of an import, and the events that it wrote to a descriptor of ours."""
    source, sink = os.pipe()
    if closed:
        os.close(source)
    with subprocess.Popen(
        [SCRIPT, "--repo", tmp_path / "repo", "--tls-verify=false", "-q",
         f"--progress-fd={sink}", reference],
        pass_fds=[sink], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        os.close(sink)
        text = b""
        if not closed:
            with os.fdopen(source, "rb") as events:
                text = events.read()
    return child.returncode, lines(text.decode())


def test_progress_for_a_program(image: tuple[BuiltImage, str], tmp_path: Path) -> None:
    status, events = progress(tmp_path, image[1])
    assert status == 0
    blob = image[0].layers[0]
    name = image[0].diff_ids[0][7:19]  # the lowest layer's id
    mine = [event for event in events if event.get("blob") == name]
    kinds = [event["event"] for event in mine]
    assert (kinds[0], kinds[-1]) == ("begin", "end")
    assert set(kinds[1:-1]) <= {"progress"}
    assert {event["size"] for event in mine} == {blob.size}
    states = [one["state"] for one in events if one.get("layer") == name]
    # The blob may be here before it is unpacked.
    assert [one for one in dict.fromkeys(states) if one != "spooled"] == [
        *("waiting", "downloading", "unpacking", "closing", "done"),
    ]
    counts = [event["bytes"] for event in mine[1:]]
    assert counts == sorted(counts)
    assert counts[-1] == blob.size


def test_layers_with_one_blob_are_told_apart(
    registry: Registry, layout: Path, tmp_path: Path
) -> None:
    """As the empty layers of many builders, in one image or in two."""
    empty = [Entry(b"a", "dir")]
    layers = [[Entry(b"f", content=b"1")], empty, [Entry(b"f", content=b"2")], empty, empty]
    reference = registry.push(build_oci(layout, "t", layers), "messages/one-blob:t")
    status, events = progress(tmp_path, reference)
    assert status == 0
    (announced,) = [one["layers"] for one in events if one["event"] == "image"]
    done = [one["layer"] for one in events if one.get("state") == "done"]
    begun = [one["blob"] for one in events if one["event"] == "begin"]
    assert len(set(announced)) == len(announced) == len(layers)
    assert sorted(done) == sorted(begun) == sorted(announced)


def test_nobody_reads_the_progress(image: tuple[BuiltImage, str], tmp_path: Path) -> None:
    assert progress(tmp_path, image[1], closed=True)[0] == 0


def test_a_descriptor_that_is_not_open_is_a_usage_error(tmp_path: Path) -> None:
    outcome = run_import(tmp_path / "repo", "--progress-fd=99", "oci:/nowhere:t")
    assert outcome.status == 2
    assert "99 is not open" in outcome.stderr


def test_a_descriptor_to_read_from_is_a_usage_error(tmp_path: Path) -> None:
    with Path(os.devnull).open("rb") as file:
        number = file.fileno()
        done = subprocess.run(
            [SCRIPT, f"--repo={tmp_path}/repo", f"--progress-fd={number}", "oci:/nowhere:t"],
            pass_fds=[number], check=False, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"{number} is not open for writing" in done.stderr


# --- the config file ---


def config(home: Path, text: str) -> dict[str, str]:
    """The environment in which this is the user's config."""
    path = home / "import-image" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return {"PATH": os.environ["PATH"], "HOME": empty_home(), "XDG_CONFIG_HOME": str(home)}


def run_plain(
    env: dict[str, str], *arguments: str, program: str = "import-image"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT.with_name(program), *arguments],
        env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_config_gives_defaults(image: tuple[BuiltImage, str], tmp_path: Path) -> None:
    env = config(tmp_path / "xdg", f'repo = "{tmp_path}/configured"\nprefix = "/opt/store"\n')
    assert run_plain(env, "--tls-verify=false", "--branch=stores", image[1]).returncode == 0
    assert "stores" in refs(tmp_path / "configured")
    listed = run_plain(env, "list", "--json", program="image-store")
    assert len(json.loads(listed.stdout)["images"]) == 1
    # The environment, and an option, count for more.
    other = env | {"OSTREE_REPO": str(tmp_path / "other")}
    assert run_plain(other, "--tls-verify=false", "--branch=stores", image[1]).returncode == 0
    assert "stores" in refs(tmp_path / "other")
    third = f"--repo={tmp_path}/third"
    assert (
        run_plain(other, third, "--tls-verify=false", "--branch=stores", image[1]).returncode == 0
    )
    assert "stores" in refs(tmp_path / "third")


def test_a_config_names_the_credentials(tmp_path: Path) -> None:
    env = config(tmp_path, f'authfile = "{tmp_path}/none.json"\n')
    (tmp_path / "none.json").write_text("{}")
    done = run_plain(env, f"--repo={tmp_path}/repo", "-v", "--retry-times=0", "127.0.0.1:1/a:t")
    assert f"--authfile={tmp_path}/none.json" in done.stderr


def test_a_config_s_credentials_are_for_registries(tmp_path: Path) -> None:
    """A file that is missing matters where one is asked. skopeo 1.18 ignores such a file; podman
    5.4 refuses that of its command line, as we do."""
    (tmp_path / "release.json").write_text('{"release": {"base": "4.20"}, "images": {}}')
    env, missing = config(tmp_path, f'authfile = "{tmp_path}/none.json"\n'), "--authfile: no file"
    repo, layout = f"--repo={tmp_path}/repo", f"oci:{tmp_path}/layout:t"
    for program, source, flags, refused in (
        ("import-image", layout, (), False),
        ("import-image", layout, (f"--authfile={tmp_path}/other.json",), True),
        ("import-image", "127.0.0.1:1/a:t", ("--retry-times=0",), True),
        ("import-release", f"{tmp_path}/release.json", (), True),
    ):
        done = run_plain(env, repo, source, *flags, program=program)
        assert (done.returncode, missing in done.stderr) == (1, refused), done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('jobs = "4"\nrepo = \n', "config.toml:2: not TOML: "),
        ("repo = " + "[" * 5000, "config.toml: not TOML"),
        ("jobs = " + "9" * 5000, "config.toml: not TOML"),
        ('jobs = "4"\n\ncolour = "red"\n', "config.toml:3: 'colour' is not known"),
        ("repo = 7\n", "repo is not a string"),
        ('repo = "srv/repo"\n', "repo is 'srv/repo'"),
        ("jobs = true\n", "jobs is not a string"),
    ],
)
def test_a_mistake_in_a_config_is_told(tmp_path: Path, text: str, said: str) -> None:
    done = run_plain(config(tmp_path, text), "oci:/nowhere:t")
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[0]
    assert done.stderr.startswith("error: config file ")
    assert "Traceback" not in done.stderr


def test_a_mistake_in_a_config_is_in_no_ones_way(tmp_path: Path) -> None:
    env = config(tmp_path, "no TOML\n")
    assert run_plain(env, "--help").stdout.startswith("Usage: ")
    assert run_plain(env, "--version").returncode == 0
    asked = {"COMP_WORDS": "import-image\n--verb", "COMP_CWORD": "1"}
    offered = run_plain(env | asked | {"_IMPORT_IMAGE_COMPLETE": "fish_complete"})
    assert (offered.returncode, offered.stderr) == (0, "")
    told = run_plain(env, "--log-json", "oci:/nowhere:t").stderr
    assert json.loads(told)["message"].startswith("config file ")


def test_paths_in_a_config_can_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "config").write_text('repo = "~/repo"\nprefix = "/p"\njobs = 4\n')
    found = {"repo": "/home/me/repo", "prefix": "/p", "jobs": "4"}
    assert read_config([tmp_path / "config"]) == found


def test_every_setting_has_a_key_and_is_no_option() -> None:
    settings = [one for one in import_image.params if isinstance(one, Setting)]
    assert {one.key for one in settings} > {"max-size", "spool-size"}
    assert {one.key for one in settings} <= set(KEYS)
    with pytest.raises(click.UsageError, match="max-size is a key of the config file"):
        import_image.make_context("import-image", ["--max-size=1G", "quay.io/a/b:c"])


def test_where_configs_are() -> None:
    machine = Path("/etc/import-image/config.toml")
    user = Path("/h/.config/import-image/config.toml")
    assert config_files({"HOME": "/h"}) == (machine, user)
    assert config_files({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}) == (machine, user)
    elsewhere = Path("/x/import-image/config.toml")
    assert config_files({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == (machine, elsewhere)


def test_the_users_config_counts_for_more(tmp_path: Path) -> None:
    machine, user = tmp_path / "machine", tmp_path / "user"
    machine.write_text('repo = "/m"\nprefix = "/p"\n')
    user.write_text('repo = "/u"\n')
    assert read_config([machine, user]) == {"repo": "/u", "prefix": "/p"}
    assert read_config([tmp_path / "none"]) == {}
    user.write_bytes(b'repo = "\xff"\n')
    with pytest.raises(ImporterError, match="not UTF-8"):
        read_config([machine, user])


@pytest.mark.root
@pytest.mark.parametrize("closed", ["home", "file"])
def test_a_home_that_is_closed_has_no_defaults(unprivileged: Path, closed: str) -> None:
    home = unprivileged / "home"
    directory = home / ".config/import-image"
    directory.mkdir(parents=True)
    (directory / "config.toml").write_text("no TOML\n")
    (home if closed == "home" else directory / "config.toml").chmod(0)
    done = subprocess.run(
        [*NOBODY, "env", f"HOME={home}", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
    )
    if closed == "home":
        assert done.returncode == 2  # what a command without arguments is
        assert "config file" not in done.stderr
    else:
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: config file {directory}/config.toml: Permission")


def test_a_reader_that_stops_reading_keeps_nobody_waiting(
    image: tuple[BuiltImage, str], tmp_path: Path
) -> None:
    """A pipe that is full from the beginning, and that nobody empties."""
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    with suppress(BlockingIOError):
        while True:
            os.write(sink, b"\0" * 4096)
    os.set_blocking(sink, True)
    done = subprocess.run(
        [SCRIPT, "--repo", tmp_path / "repo", "--tls-verify=false", "-q",
         f"--progress-fd={sink}", image[1]],
        pass_fds=[sink], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    os.close(sink)
    os.close(source)
    assert done.returncode == 0


def test_a_reader_that_is_late_gets_all_events(tmp_path: Path) -> None:
    """But for the progress in between; and each is whole."""
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    filling = 0
    with suppress(BlockingIOError):
        while True:
            filling += os.write(sink, b"\n" * 4096)
    os.set_blocking(sink, True)
    events = Events(sink, Silence())
    for number in range(300):
        with events.blob(f"blob {number} {'x' * 100}", 10) as advance:
            advance(10)
    with os.fdopen(source, "rb") as reading, ThreadPoolExecutor(1) as pool:
        text = pool.submit(reading.read)
        events._finish()
        os.close(sink)
    found = lines(text.result()[filling:].decode())
    assert [one["event"] for one in found] == ["begin", "end"] * 300


ESCAPE = "\x1b]0;owned\x07"


@pytest.mark.parametrize("tty", [False, True])
def test_no_message_reaches_a_terminal_as_it_is(
    tty: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Names in stores and what registries say may hold what a terminal obeys."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: tty)
    shown = for_terminal(quiet=False)
    shown.message(f"{ESCAPE}: left out\n\x9b31m\ud800")
    with shown.blob(f"blob{ESCAPE}", 5):
        pass
    said = capfd.readouterr().err
    assert "owned" in said
    for bad in ("\x1b]", "\x07", "\x9b", "\ud800"):
        assert bad not in said
