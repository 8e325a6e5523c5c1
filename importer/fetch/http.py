"""Get small documents by HTTP, such as lists of releases and signatures.

Servers may fail, stall or lie. So everything that a server sends has a bound in size and time,
headers and the bodies of errors and redirects included.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from importer.errors import FetchError, ImporterError
from importer.fetch.complaint import scrubbed, shown
from importer.fetch.deadline import Deadline, session
from layers.chunks import joined
from layers.document import MAX_DOCUMENT_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Status codes of temporary failures, from a server or a proxy before it.
_TEMPORARY = (429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_LONGEST_WAIT = 60
_FIRST_WAIT = 0.5
_CHUNK = 1 << 16
# The object's name with which urllib3 begins a message about a connection.
_OBJECT = re.compile(r"(?:(?:Watched)?HTTPS?Connection(?:Pool)?|PlainPool|SecurePool)\([^)]*\): ")


class Http:
    """Get documents of at most 4 MiB, with up to `retry_times` retries.

    `timeout` is the longest silence of a server, in seconds. A try takes at most four times as
    long, so that an answer which comes byte by byte ends as well.
    """

    def __init__(
        self, retry_times: int, timeout: float, message: Callable[[str], None], accept: str = "*/*"
    ) -> None:
        """`accept` is the media type to ask for."""
        self._headers = {"Accept": accept, "Accept-Encoding": "identity"}
        self._retry_times = retry_times
        self._timeout = timeout
        self._message = message

    def find(self, url: str) -> bytes | None:
        """Return the document, or None if the server has none. Raise as `get` does."""
        try:
            return self.get(url)
        except _NotFoundError:
            return None

    def get(self, url: str) -> bytes:
        """Return the document. Raise FetchError if a later try may help, ImporterError if not.
        Raise LayerError if the document is too long."""
        for retry in range(self._retry_times):
            try:
                return self._try(url)
            except _TemporaryError as error:
                delay = min(
                    _FIRST_WAIT * 2**retry if error.wait is None else error.wait, _LONGEST_WAIT
                )
                self._message(f"{error}; trying again in {delay:g} s")
                time.sleep(delay)
        return self._try(url)

    def _try(self, url: str) -> bytes:
        longest = 4 * self._timeout
        with Deadline(longest) as deadline:
            try:
                return self._follow(url, deadline)
            finally:
                # Replaces the error of the connection that the deadline has shut down.
                if deadline.over:
                    message = f"{shown(url)}: the answer takes longer than {longest:g} s"
                    raise _TemporaryError(message, hint=_SLOW) from None

    def _follow(self, url: str, deadline: Deadline) -> bytes:
        """Get the document, following redirects. Raise ImporterError for too many of them."""
        at = url
        with session(deadline) as asking:
            asking.headers.update(self._headers)
            for _ in range(_MAX_REDIRECTS + 1):
                answer = self._ask(asking, at, url)
                if isinstance(answer, bytes):
                    return answer
                at = answer
        raise ImporterError(f"{shown(url)}: more than {_MAX_REDIRECTS} redirects")

    def _ask(self, asking: requests.Session, at: str, first: str) -> bytes | str:
        """Return the document at this URL, or the URL that it redirects to."""
        try:
            # Credentials, of the URL or ~/.netrc, are sent only to the server that the user named.
            auth = None if _server(at) == _server(first) else _no_credentials
            with asking.get(at, timeout=self._timeout, stream=True, auth=auth) as answer:
                if answer.status_code in _MOVED and "Location" in answer.headers:
                    return _target(at, answer.headers["Location"])
                if not 200 <= answer.status_code < 300:
                    raise _refusal(at, answer)
                return _body(at, answer)
        except requests.RequestException as error:
            raise _failure(at, error) from None
        except (UnicodeError, ValueError) as error:
            raise ImporterError(f"{shown(at)}: {scrubbed(str(error), at)}") from None


class _TemporaryError(FetchError):
    """An error that a retry may help; `wait` seconds are those of the server's Retry-After."""

    wait: float | None = None


class _NotFoundError(ImporterError):
    """The server has no such document."""


_SLOW = "--timeout gives it more seconds"


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request as it is. With auth=None, requests would read ~/.netrc."""
    return request


def _target(url: str, location: str) -> str:
    """Return a redirect's URL. Raise ImporterError if its scheme is not HTTP's, or if it leaves
    HTTPS for HTTP."""
    # requests decodes headers as Latin-1; servers send UTF-8, if anything but ASCII.
    target = urljoin(url, location.encode("latin-1", "replace").decode("utf-8", "replace"))
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImporterError(f"{shown(url)}: it redirects to {shown(target)[:200]!r}")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise ImporterError(
            f"{shown(url)}: it redirects to {shown(target)[:200]}, which is not encrypted",
            hint="give that URL itself, if you trust the network",
        )
    if _server(target) != _server(url):
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return target


def _body(url: str, answer: requests.Response) -> bytes:
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        # We asked for identity; a few compressed bytes may unpack to any size.
        raise ImporterError(f"{shown(url)}: the answer is packed with {encoding[:40]!r}")
    return joined(_chunks(url, answer), MAX_DOCUMENT_SIZE, f"{shown(url)}: the answer")


def _chunks(url: str, answer: requests.Response) -> Iterator[bytes]:
    """Yield bytes as they arrive; `iter_content` would wait until a whole chunk is full."""
    try:
        while chunk := answer.raw.read1(_CHUNK, decode_content=False):
            yield chunk
    except HTTPError as error:
        message = scrubbed(_innermost(error), url)
        raise _TemporaryError(f"{shown(url)}: the answer breaks off: {message}") from None


def _refusal(url: str, answer: requests.Response) -> ImporterError:
    status = f"{answer.status_code} {answer.reason or ''}".strip()[:200]
    message = f"{shown(url)}: {status}"
    if answer.status_code in _TEMPORARY:
        error = _TemporaryError(message)
        error.wait = _retry_after(answer)
        return error
    hints = {
        401: "requests takes credentials from ~/.netrc",
        403: "requests takes credentials from ~/.netrc",
        404: "is the stream's name right, for this architecture?",
    }
    kind = _NotFoundError if answer.status_code == requests.codes.not_found else ImporterError
    return kind(message, hint=hints.get(answer.status_code, ""))


def _retry_after(answer: requests.Response) -> float | None:
    try:
        return Retry().parse_retry_after(answer.headers["Retry-After"])
    except (KeyError, HTTPError, ValueError, OverflowError):
        return None


def _failure(url: str, error: requests.RequestException) -> ImporterError:
    message = _innermost(error)
    # An error of requests' own checks, such as a URL without a host, is also a ValueError.
    final = isinstance(error, ValueError | requests.exceptions.SSLError)
    kind = ImporterError if final else _TemporaryError
    return kind(f"{shown(url)}: {scrubbed(message, url)}", hint=_hint(error, message))


def _innermost(error: Exception) -> str:
    """Return the innermost error's message; requests and urllib3 wrap errors several times."""
    inner = getattr(error, "reason", None)
    for argument in error.args:
        inner = argument if isinstance(argument, Exception) else inner
    if isinstance(inner, Exception):
        return _innermost(inner)
    line = " ".join(str(error).split()).rpartition(">: ")[2]
    return _OBJECT.sub("", line)[:300] or type(error).__name__


def _hint(error: requests.RequestException, message: str) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "REQUESTS_CA_BUNDLE names the CA's file"
    if "timed out" in message:
        return _SLOW
    if "Connection refused" in message:
        return "nothing listens there; is the server up?"
    if "Failed to resolve" in message:
        return "the server's host name does not resolve"
    return ""
