"""Mistakes on the command line, as a user makes them: each is one `error:` line and one hint."""

import fcntl
import json
import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.image import build_oci
from tests.tools.importimage import run_import
from tests.tools.ostreerepo import init, ostree
from tests.tools.registry import Registry
from tests.tools.storecommand import image_store
from tests.tools.tarbuild import Entry

NOWHERE = "127.0.0.1:1/a/b:c"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ([NOWHERE, "--branch=a b"], "invalid value for '--branch': 'a b': a branch's name has", ""),
        ([NOWHERE, "--rep"], "no such option '--rep'", "did you mean --repo?; "),
        ([], "name images: by REF, or a list by --from", ""),
        ([NOWHERE, "--jobs=x"], "invalid value for '--jobs' / '-j': 'x' is not a valid", ""),
        ([NOWHERE, "--onto=os"], "--onto needs --branch", ""),
    ],
)
def test_usage_errors_look_like_others(
    tmp_path: Path, arguments: list[str], error: str, hint: str
) -> None:
    hint += "usage: import-image [OPTIONS] [[NAME=]REF]...; `import-image -h` shows the options"
    outcome = run_import(tmp_path / "repo", *arguments)
    told, advised = outcome.stderr.splitlines()
    assert (outcome.status, outcome.stdout, advised) == (2, "", f"hint: {hint}")
    assert told.startswith(f"error: {error}")
    as_json = run_import(tmp_path / "repo", *arguments, "--log-json")
    line = json.loads(as_json.stderr)
    assert (as_json.status, line["level"], line["hint"]) == (2, "error", hint)
    assert line["message"] == told.removeprefix("error: ")


def test_usage_errors_of_a_group(tmp_path: Path) -> None:
    stray = image_store(tmp_path, "lisst")
    assert (stray.status, stray.stderr.splitlines()[0]) == (2, "error: no such command 'lisst'")
    lacking = image_store(tmp_path, "show")
    assert lacking.status == 2
    assert lacking.stderr.splitlines() == [
        "error: missing argument 'IMAGE'",
        "hint: usage: image-store show [OPTIONS] IMAGE; `image-store show -h` shows the options",
    ]


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (
            "--authfile=nope.json",
            "--authfile: no file can be read at nope.json: No such file or directory",
        ),
        ("--authfile=/etc", "--authfile: no file can be read at /etc: it is a directory"),
        (
            "--cert-dir=/nope",
            "--cert-dir: no directory can be read at /nope: No such file or directory",
        ),
        (
            "--cert-dir=/etc/passwd",
            "--cert-dir: no directory can be read at /etc/passwd: it is no directory",
        ),
        ("--policy=/nope", "--policy: no file can be read at /nope: No such file or directory"),
    ],
)
def test_files_that_skopeo_would_do_without_are_refused(
    tmp_path: Path, option: str, error: str
) -> None:
    outcome = run_import(tmp_path / "repo", option, NOWHERE)
    assert (outcome.status, outcome.said("error")) == (1, [error])
    assert len(outcome.said("hint")) == 1


@pytest.fixture(scope="module")
def locked() -> Iterator[Registry]:
    with Registry(auth=("user", "right")) as running:
        yield running


def test_a_refused_login_is_told_from_none(locked: Registry, tmp_path: Path, layout: Path) -> None:
    host, name = locked.host, locked.push(build_oci(layout, "t", [[Entry(b"a")]]), "login:t")

    def hint(*options: str, **env: str) -> str:
        outcome = run_import(tmp_path / "repo", *options, name, env=env)
        assert (outcome.status, len(outcome.said("error"))) == (1, 1), outcome
        (text,) = outcome.said("hint")
        return text

    def authfile(path: Path, **auths: dict[str, str]) -> str:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"auths": auths}))
        return f"--authfile={path}"

    wrong = {"auth": b64encode(b"user:wrong").decode()}
    none = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    assert hint(**none).startswith(f"log in with `skopeo login {host}`, or give --authfile")
    assert hint("--creds=user:wrong").startswith(f"{host} refused the credentials of --creds")
    empty, full = tmp_path / "empty.json", tmp_path / "containers/auth.json"
    assert hint(authfile(empty)).startswith(f"{empty} has no credentials for {host}: ")
    refused = f"{host} refused the credentials that {full} has for it: "
    assert hint(authfile(full, **{host: wrong})).startswith(refused)
    assert hint(**none).startswith(refused)


def test_a_repo_that_is_none_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    outcome = image_store(tmp_path, "list")
    assert outcome.stderr.splitlines() == [
        f"error: opening repo {tmp_path}: opendir(objects): No such file or directory",
        "hint: give --repo an ostree repo, or a path where there is nothing yet",
    ]


def test_a_locked_repo_is_told_once(tmp_path: Path) -> None:
    repo = init(tmp_path / "repo", "bare-user")
    ostree(repo, "config", "set", "core.lock-timeout-secs", "0")
    with (repo / ".lock").open("w") as lock:
        # As libostree locks it; a lock of flock(2) would be another.
        fcntl.lockf(lock, fcntl.LOCK_EX, 0, 0, os.SEEK_SET)
        outcome = run_import(repo, NOWHERE)
    assert outcome.said("error") == [f"locking repo {repo}: another program holds the repo's lock"]
    assert outcome.said("hint") == [
        "an import or another program uses the repo; try again when it is done"
    ]
