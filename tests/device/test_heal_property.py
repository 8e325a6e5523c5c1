"""Whatever happens to a device, heal loses no image that would start after some reboot."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.device.folder import Folder
from tests.tools.fuzz import again_and_again, examples
from tests.tools.ownstorage import OwnStorage, digits, healed, link, trees

# Images on one base, and one of a single layer; a letter is a diffID.
CHAINS = (("a", "b"), ("a", "b", "c"), ("a", "b", "d"), ("e",))
# What the releases' stores have: chains by their number. The last has nothing.
RELEASES = ((0,), (2, 3), ())


def layer_id(chain: tuple[str, ...]) -> str:
    return digits("+".join(chain))


class Killed(BaseException):
    """Nothing in the program sees it."""


@contextmanager
def killed_at(count: int) -> Iterator[None]:
    """The process ends before it changes anything for the `count`th time."""
    left = [count]
    plain = Folder._writes

    def writes(self: Folder, path: str) -> object:
        # _reads calls it, too; what only reads may as well be the end.
        left[0] -= 1
        if not left[0]:
            raise Killed
        return plain(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Folder, "_writes", writes)
        with suppress(Killed):
            yield


@dataclass
class Device:
    """A storage and the stores of all releases, of which one is in place."""

    home: Path
    release: int = 0
    mounted: bool = True
    #: By id: the layers of each image that was ever made, the nearest first, and who has them.
    made: dict[str, list[str]] = field(default_factory=dict)
    #: The layers that were ever in the storage itself.
    own: set[str] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.storage = OwnStorage.made(self.home / "storage")
        self.stores = []
        for number, chains in enumerate(RELEASES):
            store = OwnStorage.made(self.home / f"release-{number}")
            for chain in (CHAINS[one] for one in chains):
                for depth in range(1, len(chain) + 1):
                    self.add_layer(store, chain[:depth], "store")
            self.stores.append(store)

    def add_layer(self, storage: OwnStorage, chain: tuple[str, ...], how: str) -> None:
        """As a pull does, above the layer where podman finds it: its own storage comes first."""
        one, parent = layer_id(chain), layer_id(chain[:-1]) if chain[1:] else ""
        if one in storage.layers:
            return
        places = (self.storage, self.store, storage) if how != "store" else (storage,)
        above = next((place for place in places if parent in place.layers), None)
        lower = above.lower(parent) if above else ""
        storage.add_layer(one, parent, link(f"{how} {one}"), lower)

    @property
    def store(self) -> OwnStorage:
        return self.stores[self.release]

    @property
    def visible(self) -> set[str]:
        """The layers that podman sees, and takes for those that it need not fetch."""
        return {*self.storage.layers, *(self.store.layers if self.mounted else ())}

    def boot(self, release: int, *, mounted: bool = True) -> None:
        """Into another release, whose store may not be mounted in time."""
        self.release, self.mounted = release, mounted

    def pull(self, number: int) -> None:
        chain = CHAINS[number]
        if not self.mounted or layer_id(chain) in self.storage.images:
            return  # podman fails, or has it
        self.count += 1
        for depth in range(1, len(chain) + 1):
            if layer_id(chain[:depth]) not in self.visible:
                self.add_layer(self.storage, chain[:depth], f"pull {self.count}")
                self.own.add(layer_id(chain[:depth]))
        chains = [layer_id(chain[:depth]) for depth in range(len(chain), 0, -1)]
        self.add_image(digits(f"image {number}"), chains, f"r.io/{number}:1")

    def build(self, number: int) -> None:
        """Above any image that starts: a layer that nobody can make again."""
        images = sorted(one for one in self.storage.images if self.starts(one))
        if not self.mounted or not images:
            return
        self.count += 1
        base = self.made[images[number % len(images)]]
        one = digits(f"built {self.count}")
        above = next(place for place in (self.storage, self.store) if base[0] in place.layers)
        self.storage.add_layer(one, base[0], link(f"built {one}"), above.lower(base[0]))
        self.own.add(one)
        self.add_image(digits(f"image built {self.count}"), [one, *base], f"built:{number}")

    def add_image(self, one: str, layers: list[str], name: str) -> None:
        self.storage.add_image(one, layers[0], name)
        self.made[one] = layers

    def starts(self, image: str) -> bool:
        """Whether its layers are in the storage, or were, or in the store."""
        return set(self.made[image]) <= {*self.own, *self.store.layers}

    def heal(self, killed: int) -> None:
        store = self.store.root if self.mounted else self.home / "unmounted"
        before = self.visible
        with killed_at(killed):
            healed(self.storage.root, store)
        assert self.mounted or before <= self.visible

    def check(self) -> None:
        """In each release, after one more run of heal: all that can start is there and is right."""
        for release in range(len(RELEASES)):
            self.boot(release)
            assert healed(self.storage.root, self.store.root).is_well
            starting = {one for one in self.made if self.starts(one)}
            assert set(self.storage.images) == starting
            for one in starting:
                layers = self.made[one]
                assert trees(self.storage.root, layers[0], self.store.root) == layers
                manifest = self.storage.root / "overlay-images" / one / "manifest"
                assert manifest.read_text() == f'"{one}"'


RELEASE = st.integers(0, len(RELEASES) - 1)
# How often the storage is read or changed before the process is killed; 0 for never.
KILLED = st.one_of(st.just(0), st.integers(25, 100))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("boot"), RELEASE, KILLED),
        st.tuples(st.just("boot unmounted"), RELEASE, KILLED),
        st.tuples(st.just("pull"), st.integers(0, len(CHAINS) - 1), st.just(0)),
        st.tuples(st.just("build"), st.integers(0, 9), st.just(0)),
    ),
    min_size=4,
    max_size=16,
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory in memory: nearly all of the time goes into fsync(2)."""
    with in_memory() as where:
        yield where


@contextmanager
def in_memory() -> Iterator[Path]:
    memory = Path("/dev/shm")
    where = Path(tempfile.mkdtemp(prefix="heal-", dir=memory if memory.is_dir() else None))
    yield where
    shutil.rmtree(where)


def run(steps: list[tuple[str, int, int]]) -> None:
    with in_memory() as home:
        device = Device(home)
        for step, number, killed in steps:
            if step.startswith("boot"):
                device.boot(number, mounted=step == "boot")
                device.heal(killed)
            else:
                getattr(device, step)(number)
        device.check()


@pytest.mark.parametrize("way", ["aside", "back"])
def test_a_run_that_is_killed_at_any_moment_is_ended_by_the_next(home: Path, way: str) -> None:
    """A pulled and a built image go aside, and come back."""
    for killed in range(1, 110):
        device = Device(home / str(killed))
        device.pull(1)
        device.build(0)
        if way == "back":
            device.boot(2)
            device.heal(0)
        device.boot(2 if way == "aside" else 0)
        before = set(device.storage.images)
        device.heal(killed)
        ended = set(device.storage.images) != before
        device.check()
        shutil.rmtree(device.home)
    assert ended


@examples(100)
@given(STEPS)
def test_no_image_is_lost(steps: list[tuple[str, int, int]]) -> None:
    run(steps)


@pytest.mark.fuzz
def test_no_image_is_lost_for_long() -> None:
    @examples(50)
    @given(STEPS)
    def one(steps: list[tuple[str, int, int]]) -> None:
        run(steps)

    again_and_again(one)
