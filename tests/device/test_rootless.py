"""podman of a user without privileges upon stores of ours: docs/how-to/podman.md, "Rootless"."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.words import LATER, WORDS
from tests.tools import ostreerepo
from tests.tools.busybox import busybox_layer
from tests.tools.expected import STORE, checked_out_store
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.lacking import need
from tests.tools.patience import await_that
from tests.tools.process import CommandError
from tests.tools.rootless import FIRST_SUB_ID, UID, User, new_user

pytestmark = pytest.mark.root

NAME = "example.org/run:t"
LOOK = "ls /etc/gone /srv/old 2>&1 | grep -c 'No such'; stat -c %a:%u:%g /srv"
SQUASH = """\
[storage.options.overlay]
mount_program = "/usr/bin/fuse-overlayfs"
mountopt = "squash_to_root"
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that users may enter, unlike those of pytest."""
    where = Path(tempfile.mkdtemp(prefix="import-image-rootless-"))
    where.chmod(0o755)
    yield where
    await_that(lambda: removed(where), f"{where} fills again and again")


def removed(where: Path) -> bool:
    """Whether nothing is left; a process that ends for podman may write meanwhile."""
    shutil.rmtree(where, ignore_errors=True)
    return not where.exists()


@pytest.fixture(scope="module")
def published(place: Path) -> Path:
    """An archive repo that everybody may read, with a store on branch os/b."""
    built = build_oci(place / "layout", "t", [busybox_layer(), WORDS, LATER])
    repo = ostreerepo.init(place / "published", "archive")
    imported(repo, "--branch=os/b", f"{NAME}=oci:{built.directory}:t")
    return repo


@pytest.fixture(scope="module")
def user(place: Path) -> Iterator[User]:
    with new_user(place) as made:
        yield made


def test_a_store_that_the_user_checked_out_is_the_users_own(user: User, published: Path) -> None:
    repo, images = user.home / "repo", user.home / "images"
    user.run("ostree", "init", f"--repo={repo}", "--mode=bare-user")
    user.run("ostree", "pull-local", f"--repo={repo}", published, "os/b")
    checkout = ("ostree", "checkout", "--process-passthrough-whiteouts", f"--repo={repo}", "os/b")
    user.run("podman", "unshare", *checkout, images)
    store = images / STORE
    owners = {path.stat().st_uid for path in (store / "overlay").rglob("*")}
    assert owners == {UID, FIRST_SUB_ID + 33 - 1}
    user.configure(store)
    assert user.podman_run(NAME, f"{LOOK}; cat /srv/new") == "2\n750:33:33\nnew\n"
    user.podman_run(NAME, "echo more >> /etc/word; rm -r /srv", "--name=c")
    user.run("podman", "commit", "--quiet", "c", "example.org/changed:t")
    assert user.podman_run("example.org/changed:t", "cat /etc/word; ls /srv 2>&1 || true") == (
        "word\nmore\nls: /srv: No such file or directory\n"
    )


def test_the_systems_store_needs_fuse_overlayfs_and_loses_owners(
    user: User, published: Path, place: Path
) -> None:
    need("fuse-overlayfs")
    if "\tfuse\n" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no fuse")
    store = checked_out_store(published, "os/b", place / "system")
    user.configure(store)
    assert NAME.partition(":")[0] in user.run("podman", "images")
    with pytest.raises(CommandError, match="/etc/mtab symlink: permission denied"):
        user.podman_run(NAME, "true")
    user.configure(store, SQUASH)
    said = user.podman_run(NAME, f"{LOOK}; echo more >> /etc/word; cat /etc/word")
    assert said == "2\n750:0:0\nword\nmore\n"
    # Files and directories that are the image's own users' alone stay closed.
    assert user.podman_run(NAME, "cat /srv/new 2>&1 || true").endswith(
        "No such file or directory\n"
    )
