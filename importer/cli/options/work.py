"""Options on how much a command does at once, here or on a cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from importer.cli.options.declare import Heading, OptionGroup, flag, option, setting
from importer.cli.options.rules import explicit, needs, refuse
from importer.cli.options.types import Number, Parsed, Seconds, Size
from importer.errors import ImporterError
from importer.ingest.budget import Budget

if TYPE_CHECKING:
    from importer.cluster.address import Address
    from importer.ingest.executor import OpenExecutors


_DEFAULT = Budget()


class Jobs(OptionGroup, heading=Heading.WORK):
    """The processors that a command uses."""

    COMMON = ("jobs",)

    jobs: int | None = option(
        Number(1, 1024),
        "-j",
        help="Keep this many processors busy: read, unpack or compress so many layers (import-tree:"
        " files) at once. Without it, all processors that this process may use.",
    )

    @property
    def count(self) -> int:
        """Return how many layers or files to work on at once."""
        return _DEFAULT.jobs if self.jobs is None else self.jobs


class Downloads(OptionGroup, heading=Heading.WORK):
    """The connections of a command that fetches blobs, and the room for blobs that wait."""

    RULES = (
        refuse(
            explicit("max_parallel_downloads"),
            "cluster",
            error="--max-parallel-downloads is not for --cluster, whose workers fetch themselves",
        ),
    )

    max_parallel_downloads: int = option(
        Number(1, 1024), default=_DEFAULT.downloads, help="Fetch at most this many blobs at once."
    )
    spool_size: int = setting(Size(), default=_DEFAULT.spool)


class ClusterAddress(Parsed["Address"]):
    """`local:N`, or the address of a Dask scheduler."""

    name = "ADDRESS"

    def parse(self, text: str) -> Address:
        from importer.cluster.address import Address

        try:
            return Address.parse(text)
        except ImporterError as error:
            raise ValueError(f"{error}; it is {error.hint}") from None


class OnCluster(OptionGroup, heading=Heading.WORK):
    """A Dask cluster, which needs the extra import-image[cluster]."""

    RULES = (
        needs("cluster_wait", "cluster", error="--cluster-wait needs --cluster"),
        needs("collect", "cluster", error="--collect needs --cluster"),
        needs("trusted", "cluster", error="--cluster-trusted needs --cluster"),
    )

    cluster: Address | None = option(
        ClusterAddress(),
        help="Have the layers read by the workers of a Dask cluster: the scheduler's tls://HOST:PORT,"
        " or local:N for N workers here. Without --collect all workers have the repo at the same"
        " path. --jobs is how many layers they are given at once.",
    )
    trusted: bool = flag(
        "--cluster-trusted",
        help="Take tcp://HOST:PORT for --cluster beyond this machine: whoever reaches the scheduler"
        " can run programs on the workers, and write into the repo.",
    )
    cluster_wait: float | None = option(
        Seconds(), help="How many seconds the cluster may be without any worker; without it, 300."
    )

    collect: bool = flag(
        help="With --cluster: the workers do not see the repo. Each keeps a layer's files in a repo"
        " of its own until they are pulled, by HTTP."
    )

    def executors(self, jobs: int | None) -> OpenExecutors:
        """Return what opens the executors that read layers; `jobs` is the value of --jobs."""
        if self.cluster is None:
            from importer.ingest.executor import local_executors

            return local_executors
        if self.cluster.is_exposed and not self.trusted:
            raise ImporterError(
                f"--cluster={self.cluster}: anybody on the network could answer for the scheduler,"
                " or run programs on its workers",
                hint="give it tls://, see docs/how-to/cluster.md; or, if nobody else reaches this"
                " network, --cluster-trusted",
            )
        from importer.cluster.address import Cluster
        from importer.cluster.executor import cluster_executors

        default = Cluster(self.cluster)
        wait = default.wait if self.cluster_wait is None else self.cluster_wait
        return partial(cluster_executors, Cluster(self.cluster, jobs, wait, self.collect))
