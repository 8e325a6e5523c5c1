"""Each form of a store, mounted by podman's driver in each of its ways, shows what the layers mean.

That is what umoci unpacks, but for the differences in docs/semantics.md. `make test` mounts two
images: one with all cases of the semantics side by side, and one of many layers with blockers.
`make fuzz` mounts each case as an image of its own, in each form in each way.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.semantics.test_differential import merged
from tests.semantics.test_semantics import ACCEPTED, CASES
from tests.store.conftest import ABOVE, BASE, BETWEEN, BLOCKS, CUT
from tests.tools import ostreerepo
from tests.tools.expected import STORE, unpacked
from tests.tools.image import build_oci
from tests.tools.importimage import imported
from tests.tools.lab import shown, side_by_side
from tests.tools.lacking import need
from tests.tools.ostreerepo import checkout
from tests.tools.podman import QUIET_CREATE, new_podman
from tests.tools.process import Argument, run
from tests.tools.rootless import new_user
from tests.tools.stack import Listing
from tests.tools.strategies import Layers

pytestmark = pytest.mark.root

FORMS = {
    "quoted": ("--whiteouts=quoted",),
    "none": ("--whiteouts=none",),
    "flattened": ("--flatten",),
}
FUSE = '[storage.options.overlay]\nmount_program = "/usr/bin/fuse-overlayfs"\n'
#: Mounts a container of each image, and packs what it shows: a user's mounts are nobody else's.
PACK = """
out=$1 flags=$2; shift 2
for tag; do
  container=$(podman create $flags "example.org/$tag:t" /nothing)
  tree=$(podman mount "$container")
  tar --create --file="$out/$tag.tar" --acls --xattrs --xattrs-include='*' --directory="$tree" .
  podman umount --force "$container" >/dev/null
  podman rm --force "$container" >/dev/null
done
"""
UNPACK = ("tar", "--extract", "--same-owner", "--numeric-owner", "--preserve-permissions")
KEPT = ("--acls", "--xattrs", "--xattrs-include=*")


@dataclass(frozen=True)
class Way:
    """How podman mounts. `shift` is added to each owner, by a mapped mount or in a copy."""

    rootless: bool = False
    fuse: bool = False
    shift: int = 0
    copied: bool = False

    @property
    def plain(self) -> bool:
        """Whether a tree has each owner and xattr that the image has."""
        return not (self.rootless or self.shift)

    @property
    def create(self) -> str:
        """The flags for `podman create`."""
        ids = f"0:{self.shift}:60000"
        maps = (f"--uidmap={ids}", f"--gidmap={ids}") if self.shift else ()
        return " ".join((*QUIET_CREATE, *maps))

    @property
    def environment(self) -> list[str]:
        """What comes before the command."""
        return ["env", "_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes"] if self.copied else ["env"]


WAYS = {
    "kernel": Way(),
    "kernel-mapped": Way(shift=100_000),
    "kernel-copied": Way(shift=100_000, copied=True),
    "fuse": Way(fuse=True),
    "fuse-mapped": Way(fuse=True, shift=100_000),
    "rootless": Way(rootless=True),
    "rootless-copied": Way(rootless=True, shift=1, copied=True),
    "rootless-fuse": Way(rootless=True, fuse=True),
}


def is_for_users(layers: Layers) -> bool:
    """Whether a user can have all of it: no xattr of root's, no id that is in no user's map."""
    entries = [entry for layer in layers for entry in layer]
    names = {name for entry in entries for name in dict(entry.xattrs)}
    ids = {number for entry in entries for number in (entry.uid, entry.gid)}
    return max(ids) < 60_000 and all(name.startswith(b"user.") for name in names)


#: A cut layer between layers with blockers, and more names of lower layers than fit into a page.
DEEP: Layers = [BASE, BLOCKS, BETWEEN, CUT, ABOVE, *([BLOCKS, [*BETWEEN, *ABOVE]] * 30)]
EACH: dict[str, Layers] = {name: list(CASES[name].layers) for name in ACCEPTED}
FOR_USERS = {name for name, layers in EACH.items() if is_for_users(layers)}
FEW: dict[str, Layers] = {
    "all": side_by_side(list(EACH.values())),
    "for-users": side_by_side([EACH[name] for name in sorted(FOR_USERS)]),
    "deep": DEEP,
}


def branch_of(form: str, *, plain: bool) -> str:
    """The branch of the images that plain ways show, or of those that the others can."""
    return form if plain else f"{form}-for-users"


class World:
    """The images, a store of each form, and a place that users may enter."""

    def __init__(self, place: Path, images: Mapping[str, Layers]) -> None:
        self.place = place
        self.images = images
        for tag, layers in images.items():
            build_oci(place / "oci", tag, layers, compression="none")
        self.repo = ostreerepo.init(place / "repo", "archive")
        for form, flags in FORMS.items():
            for plain in (True, False):
                branch = branch_of(form, plain=plain)
                names = [f"example.org/{t}:t=oci:{place}/oci:{t}" for t in self.tags(plain=plain)]
                imported(self.repo, f"--branch={branch}", "--device-nodes=skip", *flags, *names)
                checkout(self.repo, branch, place / branch)

    def tags(self, *, plain: bool) -> list[str]:
        """The images that plain ways show, or those that the others can."""
        everything = {"all", *EACH, "deep"} if plain else {"for-users", *FOR_USERS, "deep"}
        return sorted(everything & self.images.keys())

    def pack(self, form: str, way: Way, tags: list[str], out: Path) -> None:
        """Write a tar of what podman shows, for each of the images."""
        branch = branch_of(form, plain=way.plain)
        script: list[Argument] = ["sh", "-euc", PACK, "sh", out, way.create, *tags]
        if not way.rootless:
            podman = new_podman(out / "podman", self.place / branch / STORE)
            if way.fuse:
                conf = podman.home / "storage.conf"
                text = conf.read_text()
                conf.write_text(text.replace(FUSE.splitlines()[0], FUSE.rstrip()))
            run([*way.environment, *script], env=podman.environment)
            return
        with new_user(out) as user:
            repo, tree = user.home / "repo", user.home / "tree"
            user.run("ostree", "init", f"--repo={repo}", "--mode=bare-user")
            user.run("ostree", "pull-local", f"--repo={repo}", self.repo, branch)
            flags = ("--process-passthrough-whiteouts", f"--repo={repo}")
            user.run("podman", "unshare", "ostree", "checkout", *flags, branch, tree)
            user.configure(tree / STORE, FUSE if way.fuse else "")
            script[4] = user.home
            user.run("podman", "unshare", *script)
            for tar in user.home.glob("*.tar"):
                shutil.move(tar, out)

    def check(self, form: str, way: Way) -> None:
        """Compare what podman shows of each image that the way can have."""
        tags = self.tags(plain=way.plain)
        out = Path(tempfile.mkdtemp(dir=self.place))
        out.chmod(0o755)
        self.pack(form, way, tags, out)
        for tag in tags:
            tree = out / "trees" / tag
            tree.mkdir(parents=True)
            run([*UNPACK, *KEPT, f"--file={out}/{tag}.tar", f"--directory={tree}"])
            found, expected = shown(tree), merged(self.images[tag])
            assert owned(found, way, 0) == owned(expected, way, way.shift), tag
        shutil.rmtree(out)


def owned(listing: Listing, way: Way, shift: int) -> Listing:
    """The listing with other owners; with none for a copy.

    podman leaves some directories of a copy, of its own images too, with the owner that they had
    (5.4.2 and 5.8.6).
    """
    return {
        path: (kind, mode, *((0, 0) if way.copied else (uid + shift, gid + shift)), xattrs, content)
        for path, (kind, mode, uid, gid, xattrs, content) in listing.items()
    }


def world(images: Mapping[str, Layers]) -> Iterator[World]:
    """A world in a directory that users may enter, unlike those of pytest."""
    place = Path(tempfile.mkdtemp(prefix="import-image-drivers-"))
    place.chmod(0o755)
    yield World(place, images)
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def few() -> Iterator[World]:
    yield from world(FEW)


@pytest.fixture(scope="module")
def each() -> Iterator[World]:
    yield from world(EACH | {"deep": DEEP})


def need_fuse(way: Way) -> None:
    """Skip the test where there is no fuse-overlayfs."""
    if way.fuse:
        need("fuse-overlayfs")
        if "\tfuse\n" not in Path("/proc/filesystems").read_text():
            pytest.skip("this kernel has no fuse")


def test_umoci_unpacks_what_the_deep_image_means(few: World, tmp_path: Path) -> None:
    unpacked(few.place / "oci", "deep", tmp_path / "root")
    assert shown(tmp_path / "root") == merged(DEEP)


@pytest.mark.parametrize(
    ("form", "way"), [("quoted", "kernel"), ("flattened", "kernel"), *(("none", w) for w in WAYS)]
)
def test_all_cases_in_one_image(few: World, form: str, way: str) -> None:
    need_fuse(WAYS[way])
    few.check(form, WAYS[way])


@pytest.mark.fuzz
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
def test_fuzz_each_case_as_an_image(each: World, form: str, way: str) -> None:
    need_fuse(WAYS[way])
    each.check(form, WAYS[way])
