"""Credentials reach the workers by Dask's encrypted channel, and are in nobody's log."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.tools.certificate import self_signed
from tests.tools.dask import DaskCluster
from tests.tools.image import build_oci
from tests.tools.importimage import run_import
from tests.tools.ostreerepo import fsck
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

PASSWORD = "a-rather-long-secret"  # noqa: S105 - a test's
AUTH = ("user", PASSWORD)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Dask's settings, with one certificate for all sides."""
    made = self_signed(tmp_path_factory.mktemp("certificate"))
    prefix = "DASK_DISTRIBUTED__COMM__TLS"
    sides = ("SCHEDULER", "WORKER", "CLIENT")
    certs = {f"{prefix}__{side}__CERT": str(made.certificate) for side in sides}
    keys = {f"{prefix}__{side}__KEY": str(made.key) for side in sides}
    return {f"{prefix}__CA_FILE": str(made.certificate), **certs, **keys}


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory, tls: Mapping[str, str]) -> Iterator[DaskCluster]:
    """A scheduler that speaks TLS, and a worker."""
    with DaskCluster(tmp_path_factory.mktemp("dask"), tls) as running:
        running.add()
        yield running


def test_over_tls(dask: DaskCluster, tls: Mapping[str, str], repo: Path, layout: Path) -> None:
    """The right ones, the wrong ones, and what everybody has logged by then."""
    assert dask.address.startswith("tls://")
    flags = ["--branch=os/images", f"--cluster={dask.address}", "--verbose"]
    with Registry(auth=AUTH) as registry:
        reference = registry.push(build_oci(layout, "t", [[Entry(b"a", content=b"a")]]), "a:t")
        done = run_import(repo, *flags, f"--creds={':'.join(AUTH)}", reference, env=tls)
    assert done.status == 0, done.stderr
    fsck(repo)
    logs = [one.log.read_text() for one in (dask.scheduler, *dask.workers)]
    secrets = (PASSWORD, b64encode(":".join(AUTH).encode()).decode())
    assert [text for text in (*logs, done.stderr) if any(one in text for one in secrets)] == []


def test_over_tls_without_dasks_files(
    dask: DaskCluster, registry: Registry, repo: Path, layout: Path
) -> None:
    reference = registry.push(build_oci(layout, "t", [[Entry(b"a")]]), "b:t")
    outcome = run_import(repo, "--branch=os/images", f"--cluster={dask.address}", reference)
    assert outcome.status == 1
    assert outcome.said("error") == [f"Dask has no certificates to reach {dask.address}"]
    assert "distributed.comm.tls" in outcome.said("hint")[0]
