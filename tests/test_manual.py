"""What users install: man pages, completion, the installed tree, the Debian package."""

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures import manual
from tests.tools.home import empty_home
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.process import run
from tests.tools.registry import Registry

TOP = Path(__file__).parent.parent
BIN = TOP / ".venv" / "bin"
COMMANDS = sorted(manual.COMMANDS)
DOCUMENTS = Path("usr/share/doc/import-image")
SHELLS = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}


def make(target: str, *variables: str) -> None:
    """By somebody who is secretive; longer than `run` waits, since pip builds and copies."""
    argv = ["make", "--no-print-directory", f"--directory={TOP}", target, *variables]
    subprocess.run(argv, check=True, capture_output=True, timeout=1800, umask=0o077)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package's files, unpacked where they do not belong: nothing may depend on it."""
    make("deb")
    root = tmp_path_factory.mktemp("package")
    (deb,) = (TOP / "build").glob("*.deb")
    run(["dpkg-deb", "--raw-extract", deb, root])
    return root


# --- man pages ---


def pages() -> dict[str, str]:
    return dict(manual.pages())


def test_every_command_has_a_page() -> None:
    names = {name.removesuffix(".1") for name in pages()}
    commands = ("list", "show", "history", "diff", "verify", "remove", "prune", "export", "report")
    below = {f"image-store-{name}" for name in commands}
    assert names == {*COMMANDS, *below}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_has_all_options_and_sections(command: str) -> None:
    page = pages()[f"{command}.1"].replace(r"\-", "-")
    said = subprocess.run([BIN / command, "--help"], check=True, capture_output=True, text=True)
    for option in re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", said.stdout, re.MULTILINE):
        assert option in page
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS",
                  "ENVIRONMENT", "FILES", "SEE ALSO"):  # fmt: skip
        assert f"\n.SH {title}\n" in page


def test_a_page_does_not_refer_to_itself() -> None:
    for name, page in pages().items():
        others = page.replace(r"\-", "-").rpartition(".SH SEE ALSO")[2]
        assert f"{name.removesuffix('.1')}(1)" not in others
        assert "import-release(1)" in others or name == "import-release.1"
        assert page.startswith(f'.TH "{name.removesuffix(".1").upper()}" "1" ')


def test_the_pages_are_without_a_warning(tmp_path: Path) -> None:
    manual.main(str(tmp_path))
    files = sorted(tmp_path.iterdir())
    run(["mandoc", "-T", "lint", "-W", "warning", *files])
    for file in files:
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", file],
            capture_output=True, check=True, env={"PATH": os.environ["PATH"], "MANPAGER": "cat"},
        )  # fmt: skip
        assert done.stderr == b""
        assert len(done.stdout) > 500


# --- completion ---


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_shells_read_the_completion(package: Path, shell: str, command: str) -> None:
    place = {"bash": "bash-completion/completions", "zsh": "zsh/site-functions",
             "fish": "fish/vendor_completions.d"}[shell]  # fmt: skip
    script = package / "usr/share" / place / SHELLS[shell].format(command)
    run([shell, "-n", script])
    assert command in script.read_text()


@pytest.fixture(scope="module")
def repo(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("completion")
    built = build_oci(where / "layout", "t", [])
    imported(where / "repo", "--branch=stores/first", registry.push(built, "completion/one:t"))
    return where / "repo"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("image-store ver", ["verify"]),
        ("image-store verify st", ["stores/first"]),
        ("image-store show --br", ["--branch"]),
        ("image-store show --branch st", ["stores/first"]),
        ("import-image --device-nodes a", ["auto"]),
    ],
)
def test_fish_completes(package: Path, repo: Path, line: str, found: list[str]) -> None:
    script = package / f"usr/share/fish/vendor_completions.d/{line.split()[0]}.fish"
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "OSTREE_REPO": str(repo), "HOME": empty_home()}
    command = f"source {script}; complete --do-complete '{line}'"
    offered = run(["fish", "--no-config", "--command", command], env=env).split("\n")
    assert [one.partition("\t")[0] for one in offered if one] == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("image-store show 127", "127.0.0.1:{port}/completion/one:t"),
        ("image-store show 127.0.0.1:", "{port}/completion/one:t"),
        ("image-store show 127.0.0.1:{port}/completion/one:", "t"),
        ("image-store verify --quiet st", "stores/first"),
        ("image-store show --branch=st", "stores/first"),
        ("image-store show ", "127.0.0.1:{port}/completion/one:t"),
    ],
)
def test_bash_completes_names_with_colons(
    package: Path, repo: Path, registry: Registry, line: str, found: str
) -> None:
    script = package / "usr/share/bash-completion/completions/image-store"
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "OSTREE_REPO": str(repo), "HOME": empty_home()}
    typed = line.format(port=registry.port)
    words = (
        f"source {script}; COMP_LINE='{typed} more'; COMP_POINT={len(typed)};"
        " _image_store_completion image-store; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    assert run(["bash", "-c", words], env=env).split() == [found.format(port=registry.port)]


# --- the installed tree ---


@pytest.mark.parametrize("command", COMMANDS)
def test_an_installed_command_runs_without_the_source(package: Path, command: str) -> None:
    program = package / "usr/bin" / command
    said = run([program, "--version"], env={"PATH": os.environ["PATH"], "PYTHONPATH": "/nonsense"})
    assert said.startswith(f"{command}, version 0.")


@pytest.mark.root
def test_an_installed_import_works(package: Path, registry: Registry, tmp_path: Path) -> None:
    reference = registry.push(build_oci(tmp_path / "l", "t", []), "installed/one:t")
    program = str(package / "usr/bin/import-image")
    env = {"PATH": os.environ["PATH"], "HOME": empty_home()}
    run([program, "--tls-verify=false", f"--repo={tmp_path}/repo", "-q", reference], env=env)
    store = str(package / "usr/bin/image-store")
    assert "installed/one:t" in run([store, "list", f"--repo={tmp_path}/repo"], env=env)
    run([store, "report", f"--repo={tmp_path}/repo", f"oci/image/{_escaped(reference)}",
         "-o", tmp_path / "r.html"], env=env)  # fmt: skip
    assert (tmp_path / "r.html").exists()


def _escaped(reference: str) -> str:
    return "/".join(part.replace(":", "_3A_") for part in reference.split("/"))


def test_the_package_says_what_it_needs(package: Path) -> None:
    control = (package / "DEBIAN/control").read_text()
    for name in ("python3-gi", "gir1.2-ostree-1.0", "skopeo", "ca-certificates"):
        assert name in control
    assert not any(line.startswith(" ") for line in control.partition("Description")[0].split("\n"))
    for script in ("postinst", "prerm"):
        run(["sh", "-n", package / "DEBIAN" / script])
        assert os.access(package / "DEBIAN" / script, os.X_OK)
    listed = (package / "DEBIAN/md5sums").read_text()
    assert "__pycache__" not in listed
    assert "  usr/lib/import-image/importer/page/report.html\n" in listed
    # What the tests above have run since has left its byte code.
    files = [path for path in (package / "usr").rglob("*") if path.is_file()]
    kept = [path for path in files if path.parent.name != "__pycache__"]
    assert listed.count("\n") == len(kept)


@pytest.mark.parametrize(
    ("given", "maintainer", "nobody"),
    [
        ({}, "import-image developers <import-image@localhost>", True),
        ({"DEBFULLNAME": "A B", "DEBEMAIL": "a@example.org"}, "A B <a@example.org>", False),
    ],
)
def test_the_builder_says_who_maintains_the_package(
    tmp_path: Path, given: dict[str, str], maintainer: str, nobody: bool
) -> None:
    for part in ("DEBIAN", DOCUMENTS):
        (tmp_path / part).mkdir(parents=True)
    env = {"PATH": os.environ["PATH"]} | given
    builder: list[str | Path] = [BIN / "python", "-m", "fixtures.debian", tmp_path, "1.2", "amd64"]
    run(["env", f"--chdir={TOP}", *builder], env=env)
    assert f"\nMaintainer: {maintainer}\n" in (tmp_path / "DEBIAN/control").read_text()
    changes = gzip.decompress((tmp_path / DOCUMENTS / "changelog.Debian.gz").read_bytes()).decode()
    assert f"\n -- {maintainer}  Tue, 24 Nov 2026 00:00:00 +0000\n" in changes
    overrides = (tmp_path / "usr/share/lintian/overrides/import-image").read_text()
    assert ("bogus-mail-host" in overrides) is nobody


def test_everybody_may_read_what_is_installed(package: Path) -> None:
    for path in (package / "usr").rglob("*"):
        mode = path.stat().st_mode
        assert mode & 0o444 == 0o444, path
        assert not path.is_dir() or mode & 0o111 == 0o111, path


def test_uninstall_leaves_nothing(tmp_path: Path, package: Path) -> None:
    shutil.copytree(package / "usr", tmp_path / "usr", symlinks=True)
    for page in (tmp_path / "usr/share/man/man1").iterdir():
        page.rename(page.with_suffix(""))
    shutil.rmtree(tmp_path / "usr/share/doc")
    shutil.rmtree(tmp_path / "usr/share/lintian")
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
