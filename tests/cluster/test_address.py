"""What --cluster takes, and what goes to workers as it is."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from importer.cli.options.work import OnCluster
from importer.cluster.address import Address
from importer.cluster.executor import for_workers
from importer.cluster.session import Bar
from importer.errors import ImporterError
from importer.fetch.skopeo import Skopeo
from importer.ingest.executor import local_executors
from importer.progress import Advance, Silence
from tests.tools.importimage import SCRIPT
from tests.tools.process import CommandError, run


@pytest.mark.parametrize(
    ("text", "workers", "encrypted"),
    [
        ("local:4", 4, True),
        ("tcp://scheduler.example:8786", 0, False),
        ("tls://[fe80::1]:8786", 0, True),
    ],
)
def test_addresses(text: str, workers: int, encrypted: bool) -> None:
    address = Address.parse(text)
    assert (str(address), address.workers, address.is_encrypted) == (text, workers, encrypted)


@pytest.mark.parametrize(
    "text", ["", "local", "local:0", "local:-1", "tcp://host", "http://host:8786", "host:8786"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ImporterError, match="is no address of a cluster"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cluster=nowhere"], "is no address of a cluster"),
        (["--collect"], "--collect needs --cluster"),
        (["--cluster-wait=5"], "--cluster-wait needs --cluster"),
        (["--cluster-trusted"], "--cluster-trusted needs --cluster"),
    ],
)
def test_usage_errors(flags: list[str], said: str) -> None:
    with pytest.raises(CommandError) as error:
        run([SCRIPT, "--repo=/nowhere", *flags, "q.io/a/b:1"])
    assert "exit 2" in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "exposed"),
    [
        ("local:4", False),
        ("tls://scheduler.example:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://[::1]:8786", False),
        ("tcp://localhost:8786", False),
        ("tcp://localhost.example:8786", True),
        ("tcp://10.0.0.1:8786", True),
        ("tcp://0.0.0.0:8786", True),
        ("tcp://[fe80::1]:8786", True),
        ("tcp://scheduler:8786", True),
    ],
)
def test_tcp_beyond_this_machine_needs_a_word(text: str, exposed: bool) -> None:
    address = Address.parse(text)
    assert address.is_exposed is exposed
    assert OnCluster(cluster=address, trusted=True).executors(None) is not local_executors
    if exposed:
        with pytest.raises(ImporterError, match="anybody on the network") as caught:
            OnCluster(cluster=address).executors(None)
        assert "--cluster-trusted" in caught.value.hint
    else:
        assert OnCluster(cluster=address).executors(None) is not local_executors


def test_paths_are_absolute_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    given = Skopeo(authfile="a.json", policy="/etc/policy.json", cert_dir="certs")
    there = for_workers(given, Address.parse("tcp://host:1"))
    assert (there.authfile, there.policy) == ("/usr/a.json", "/etc/policy.json")
    assert there.cert_dir == "/usr/certs"


def test_mirror_sets_in_memory_are_for_workers_here_alone() -> None:
    given = Skopeo(registries_conf="/proc/1/fd/5")
    assert for_workers(given, Address.parse("local:1")) == given
    with pytest.raises(ImporterError, match="mirror sets"):
        for_workers(given, Address.parse("tls://host:1"))


class Counting(Silence):
    """Adds up what a bar is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.counts: list[int] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    @contextmanager
    def blob(self, name: str, size: int) -> Iterator[Advance]:  # noqa: ARG002 - the Protocol's
        yield self.counts.append


def test_a_bar_never_goes_back() -> None:
    """A second attempt begins at 0; what comes after the end is not shown."""
    progress = Counting()
    bar = Bar(progress, "name", 100)
    events: list[dict[str, str | int]]
    events = [{"begin": "w"}, {"bytes": 60}, {"message": "again"}, {"bytes": 10}, {"bytes": 70}]
    for event in events:
        bar.hear(event)
    bar.end(100)
    bar.hear({"message": "late"})
    assert progress.messages == ["again"]
    assert progress.counts == [60, 10, 30]
