"""Dask, as the importing process sees it, a client, and as a task on a worker sees it."""

from __future__ import annotations

import warnings
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import distributed.client
import distributed.protocol.pickle
from distributed import Client, Future, get_worker
from distributed.security import Security

from importer.cluster.guard import LONGEST, plain_pickle, quieten, task_failure
from importer.cluster.local_cluster import LEAVE, local_cluster
from importer.errors import ClusterError, ImporterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from importer.cluster.address import Address

# How workers send results: as plain data, or as the message that they cannot.
_PLAIN = ["msgpack", "error"]
_TLS = "Dask's own config names the files for TLS: distributed.comm.tls"


def _unpickle_nothing() -> None:
    """Have Dask's client read pickles as plain data, for the rest of this process.

    `deserializers` limits results alone: a scheduler may put pickles into any message, and the
    client unpickles some fields itself (distributed 2025.1 to 2026.8, protocol/core.py `loads`,
    core.py `clean_exception`, client.py `_handle_key_in_memory`, `_handle_warn`).
    """
    distributed.protocol.pickle.pickle = distributed.client.pickle = plain_pickle()


class Dask:
    """A connection to a scheduler. Its methods may be called by several threads."""

    def __init__(self, address: Address) -> None:
        """Connect to the scheduler; for `local:N`, start a scheduler and N workers here, without
        waiting for the workers.

        Raise ClusterError if no scheduler answers.
        """
        self._address = address
        quieten()
        warnings.filterwarnings("ignore", module="distributed")
        with ExitStack() as opened:
            try:
                where = local_cluster(address, opened) if address.workers else _reachable(address)
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
                message = f"the Dask scheduler {address} does not answer: {str(error)[:LONGEST]}"
                raise ClusterError(message, hint=_hint(address)) from None
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the connection; the scheduler then drops our tasks. End the workers that were
        started here. Idempotent."""
        self._opened.close()

    def _leave(self) -> None:
        with suppress(Exception):  # the scheduler may be gone, and then there is nothing to close
            self._client.close(timeout=LEAVE)

    @property
    def dashboard(self) -> str:
        """Return the dashboard's address, "" if the scheduler has none."""
        with suppress(Exception):  # Dask has no other way to tell that there is none
            return str(self._client.dashboard_link or "")
        return ""

    def workers(self) -> Mapping[str, int]:
        """Return each worker's address and its number of threads."""
        try:
            workers: dict[object, object] = dict(self._client.nthreads())
        except Exception:  # Dask raises many kinds of errors for a lost connection
            raise self._gone() from None
        threads = {
            address: count
            for address, count in workers.items()
            if isinstance(address, str) and isinstance(count, int)
        }
        if len(threads) != len(workers):
            raise ClusterError(f"the Dask scheduler {self._address} lists workers that are none")
        return threads

    def everywhere(self, function: Callable[[], bytes]) -> Mapping[str, bytes | BaseException]:
        """Return what the function returns or raises on each worker."""
        try:
            answers: dict[object, object] = self._client.run(function, on_error="return")
        except Exception:  # of many kinds, as above
            raise self._gone() from None
        return {str(worker): _checked(answer) for worker, answer in answers.items()}

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

        The task runs on one of the `workers`; on any worker if `workers` is None, or if all of them
        are gone by then.
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
            answer = _checked(self._future.result())
        except CancelledError:
            if self._stopped:
                raise ImporterError("stopped, since something else failed") from None
            raise self._gone() from None
        except Exception as error:
            answer = error
        if isinstance(answer, bytes):
            return answer
        raise task_failure(answer)

    def forget(self) -> None:
        """Let the worker forget the result."""
        with suppress(Exception):  # the scheduler may be gone; the worker then forgets by itself
            self._future.release()

    def stop(self) -> None:
        """Cancel the task. A task that has begun notices that soon, and stops."""
        self._stopped = True
        with suppress(Exception):  # the scheduler may be gone; the task is then lost anyway
            self._future.cancel(force=True)


def _checked(answer: object) -> bytes | BaseException:
    if isinstance(answer, bytes | BaseException):
        return answer
    raise ImporterError("a worker's answer is malformed: it is no text")


class ThisTask:
    """The task that this thread of a worker runs.

    `worker` is the worker's address, `host` its IP address. `directory` is the worker's own
    directory, which Dask removes with the worker.
    """

    def __init__(self) -> None:
        self._worker = get_worker()
        self._key = self._worker.get_current_task()
        self.worker = str(self._worker.address)
        self.host = urlsplit(self.worker).hostname or ""
        self.directory = str(self._worker.local_directory)

    @property
    def is_forgotten(self) -> bool:
        """Return whether Dask has dropped the task and its result."""
        return self._key not in self._worker.state.tasks

    @property
    def is_unwanted(self) -> bool:
        """Return whether the task is dropped or cancelled (Dask's "Worker State Machine")."""
        task = self._worker.state.tasks.get(self._key)
        return task is None or task.state == "cancelled"

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
