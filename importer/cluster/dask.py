"""The only module that imports Dask: a client, workers on this machine, the task on a worker."""

from __future__ import annotations

import logging
import pickle
import ssl
import warnings
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import distributed.client
import distributed.protocol.pickle
from distributed import Client, Future, LocalCluster, get_worker
from distributed.security import Security

from importer.cluster.quiet import quieten
from importer.cluster.told import Told, loads
from importer.errors import ClusterError, ImporterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from importer.cluster.address import Address

_LEAVE = 5  # seconds that the client and workers on this machine may take to end
# How workers send results: as plain data, or as the message that they cannot.
_PLAIN = ["msgpack", "error"]
_LONGEST = 200  # characters of an error that a worker sends
_TLS = "Dask's own config names the files for TLS: distributed.comm.tls"


def _unpickle_nothing() -> None:
    """Have Dask's client read pickles as plain data, for the rest of this process.

    `deserializers` limits results alone: a scheduler may put pickles into any message, and the
    client unpickles some fields itself (distributed 2025.1 to 2026.8, protocol/core.py `loads`,
    core.py `clean_exception`, client.py `_handle_key_in_memory`, `_handle_warn`).
    """
    plain = SimpleNamespace(**{**vars(pickle), "loads": loads})
    for module in (distributed.protocol.pickle, distributed.client):
        module.pickle = plain


class _LocalSecurity(Security):  # type: ignore[misc]  # Dask has no types
    """Certificates for connections that may end without TLS's "close notify", as Dask's do.

    OpenSSL 3 would answer such an end with an alert. If the peer is gone, that fails with EPIPE,
    which Python 3.13 leaves in OpenSSL's queue of errors: the next connection of the thread that
    is read, a worker's say, is then closed with this error. Dask's messages have lengths, so that
    a message that is cut short is noticed.
    """

    __slots__ = Security.__slots__  # Dask reads the names of its fields from here

    def get_connection_args(self, role: str) -> dict[str, object]:
        return _without_close_notify(super().get_connection_args(role))

    def get_listen_args(self, role: str) -> dict[str, object]:
        return _without_close_notify(super().get_listen_args(role))


def _without_close_notify(arguments: dict[str, object]) -> dict[str, object]:
    context = arguments["ssl_context"]
    if isinstance(context, ssl.SSLContext):
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    return arguments


class Dask:
    """A connection to a scheduler. Its methods may be called by several threads."""

    def __init__(self, address: Address) -> None:
        """Connect to the scheduler; for `local:N`, start one here and N workers,
        without waiting for these.

        Raise ClusterError if no scheduler answers.
        """
        self._address = address
        quieten()
        warnings.filterwarnings("ignore", module="distributed")
        with ExitStack() as opened:
            try:
                where = self._local(opened) if address.workers else _reachable(address)
                self._client = Client(
                    where,
                    set_as_default=False,
                    direct_to_workers=False,
                    serializers=_PLAIN,
                    deserializers=_PLAIN,
                )
                opened.callback(self._leave)
            except ImporterError:
                raise
            except Exception as error:  # an answer that is none can end in any
                said = f"the Dask scheduler {address} does not answer: {str(error)[:_LONGEST]}"
                raise ClusterError(said, hint=_hint(address)) from None
            self._opened = opened.pop_all()

    def _local(self, opened: ExitStack) -> LocalCluster:
        """Start a scheduler and workers on this machine, which talk by TLS.

        The certificates are made for this run, so that no other user of this machine can give the
        workers anything to run. Raise ImporterError if the package for certificates is missing.
        """
        try:
            security = _LocalSecurity.temporary()
        except ImportError as error:
            said = f"--cluster={self._address} needs certificates: {error}"
            raise ImporterError(said, hint="pip install 'import-image[cluster]'") from None
        cluster = LocalCluster(
            n_workers=self._address.workers,
            threads_per_worker=1,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        opened.callback(cluster.close, timeout=_LEAVE)
        return cluster

    def close(self) -> None:
        """Close the connection, upon which the scheduler drops our tasks. End the workers that were
        started here. Idempotent."""
        self._opened.close()

    def _leave(self) -> None:
        with suppress(Exception):  # the scheduler may be gone, and then there is nothing to close
            self._client.close(timeout=_LEAVE)

    @property
    def dashboard(self) -> str:
        """Return the dashboard's address, "" if the scheduler has none."""
        with suppress(Exception):  # Dask has no other way to tell that there is none
            return str(self._client.dashboard_link or "")
        return ""

    def workers(self) -> Mapping[str, int]:
        """Return each worker's address and its number of threads."""
        try:
            found: dict[object, object] = dict(self._client.nthreads())
        except Exception:  # Dask raises many kinds of errors for a lost connection
            raise self._gone() from None
        threads = {
            one: n for one, n in found.items() if isinstance(one, str) and isinstance(n, int)
        }
        if len(threads) != len(found):
            raise ClusterError(f"the Dask scheduler {self._address} lists workers that are none")
        return threads

    def everywhere(self, function: Callable[[], bytes]) -> Mapping[str, bytes | BaseException]:
        """Return what the function returns or raises on each worker."""
        try:
            answers: dict[object, object] = self._client.run(function, on_error="return")
        except Exception:  # of many kinds, as above
            raise self._gone() from None
        return {str(worker): _checked(one) for worker, one in answers.items()}

    def listen(self, topic: str, handler: Callable[[object], None]) -> None:
        """Call the handler with each event of the topic, in a thread of Dask's."""
        self._client.subscribe_topic(topic, lambda event: handler(event[1]))

    def submit[T](
        self,
        function: Callable[[T], bytes],
        argument: T,
        key: str,
        priority: int,
        workers: Iterable[str] | None,
    ) -> Running:
        """Queue a task. Tasks of the highest `priority` begin first.

        The task runs on one of the `workers`; on any worker if that is None, or if all of them are
        gone by then.
        """
        try:
            future = self._client.submit(
                function,
                argument,
                key=key,
                priority=priority,
                workers=None if workers is None else sorted(workers),
                allow_other_workers=workers is not None,
                pure=False,
            )
        except (OSError, RuntimeError, AttributeError, CancelledError):
            raise self._gone() from None
        return Running(future, self._gone)

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"the connection to the Dask scheduler {self._address} is lost",
            hint="layers that have their branches stay in the repo, and are not read again",
        )


class Running:
    """A task that is queued or under way."""

    def __init__(self, future: Future[bytes], gone: Callable[[], ClusterError]) -> None:
        self._future = future
        self._gone = gone
        self._stopped = False

    def result(self) -> bytes:
        """Wait for the task's result.

        Raise ClusterError if the scheduler is lost. Raise ImporterError if the task was stopped, if
        several workers died while they ran it, or if it failed otherwise.
        """
        try:
            found = _checked(self._future.result())
        except CancelledError:
            if self._stopped:
                raise ImporterError("stopped, since something else failed") from None
            raise self._gone() from None
        except Exception as error:
            found = error
        if isinstance(found, bytes):
            return found
        raise _failure(found)

    def forget(self) -> None:
        """Let the worker forget the result."""
        with suppress(Exception):  # the scheduler may be gone; the worker then forgets by itself
            self._future.release()

    def stop(self) -> None:
        """Cancel the task; one that has begun notices that soon, and stops."""
        self._stopped = True
        with suppress(Exception):  # the scheduler may be gone; the task is then lost anyway
            self._future.cancel(force=True)


def _checked(answer: object) -> bytes | BaseException:
    if isinstance(answer, bytes | BaseException):
        return answer
    raise ImporterError("a worker's answer is malformed: it is no text")


def _failure(error: BaseException) -> ImporterError:
    """Return the error of a task as one of ours."""
    name, text = _name(error), str(error)[:_LONGEST]
    if name == "KilledWorker":
        said = f"several workers died while they read the layer; the last was {_last(error)}"
        return ImporterError(said, hint="see the workers' logs; often memory is short")
    if name == "ImportError" or "ModuleNotFoundError" in (name, text.partition("(")[0]):
        said = f"a worker cannot load import-image: {text}"
        return ImporterError(said, hint="install the same version of it there")
    return ImporterError(f"a worker cannot read the layer: {name}: {text}")


def _name(error: BaseException) -> str:
    return error.name if isinstance(error, Told) else type(error).__name__


def _last(error: BaseException) -> str:
    """Return the address in a KilledWorker's second argument, a WorkerState."""
    match error.args:
        case (_, Told(state=(_, {"address": address})), *_):
            return str(address)[:_LONGEST]
        case (_, worker, *_):
            return str(getattr(worker, "address", "unknown"))
    return "unknown"


class ThisTask:
    """The task that this thread of a worker runs."""

    def __init__(self) -> None:
        self._worker = get_worker()
        self._key = self._worker.get_current_task()

    @property
    def worker(self) -> str:
        """Return the worker's address."""
        return str(self._worker.address)

    @property
    def host(self) -> str:
        """Return the worker's IP address."""
        return urlsplit(self.worker).hostname or ""

    @property
    def directory(self) -> str:
        """Return the worker's own directory, which Dask removes with the worker."""
        return str(self._worker.local_directory)

    @property
    def is_forgotten(self) -> bool:
        """Return whether Dask has dropped the task and its result."""
        return self._key not in self._worker.state.tasks

    @property
    def is_unwanted(self) -> bool:
        """Return whether the task is dropped or cancelled (Dask's "Worker State Machine")."""
        known = self._worker.state.tasks.get(self._key)
        return known is None or known.state == "cancelled"

    def tell(self, topic: str, event: Mapping[str, str | int]) -> None:
        """Send an event to the processes that listen to the topic."""
        self._worker.log_event(topic, dict(event))


def _reachable(address: Address) -> str:
    """Return the scheduler's address, and prepare for answers of strangers. Raise ClusterError if
    Dask lacks its files for TLS."""
    is_tls = address.text.startswith("tls://")
    if is_tls and Security().get_connection_args("client").get("ssl_context") is None:
        raise ClusterError(f"Dask has no certificates to reach {address}", hint=_TLS)
    _unpickle_nothing()
    return address.text


def _hint(address: Address) -> str:
    if address.text.startswith("tls://"):
        return f"check that it runs there. {_TLS}"
    if address.workers:
        return "the scheduler starts on this machine: -v shows Dask's own messages"
    return "start one with `dask scheduler`, and workers with `dask worker ADDRESS`"
