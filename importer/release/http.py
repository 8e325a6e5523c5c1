"""HTTP for what release controllers and file servers say."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from importer.errors import FetchError, ImporterError
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layers.release.source import Answer, Answers

# `{suffix}` is "-ARCH" on all architectures but amd64, whose streams have none.
OPENSHIFT = (
    "https://{arch}.ocp.releases.ci.openshift.org/api/v1/releasestream/{stream}{suffix}/latest"
)
# Answers that a server, or a proxy before it, gives while it is in trouble.
_TEMPORARY = (429, 500, 502, 503, 504)
_LONGEST_WAIT = 60
_CHUNK = 1 << 16
# How urllib3 begins what it says of a connection.
_OBJECT = re.compile(r"HTTPS?Connection(?:Pool)?\(.*?\): ")


class Http:
    """Gets small documents; each try is bounded in time and size.

    `timeout` is in seconds: for each silence of the server, and four times that for the
    whole answer, so that one that comes byte by byte ends as well.
    """

    def __init__(self, retry_times: int, timeout: float, message: Callable[[str], None]) -> None:
        self._retry_times = retry_times
        self._timeout = timeout
        self._message = message
        self._session = requests.Session()
        # What fails before the answer begins; what fails within is tried again in `get`.
        patience = Retry(
            retry_times,
            status_forcelist=_TEMPORARY,
            allowed_methods=("GET",),
            backoff_factor=0.5,
            backoff_max=_LONGEST_WAIT,
            retry_after_max=_LONGEST_WAIT,
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=patience))
        self._session.headers["Accept"] = "application/json"

    def get(self, url: str) -> bytes:
        """The document; FetchError if it cannot be had, LayerError if it is too long."""
        for retry in range(self._retry_times):
            try:
                return self._get(url)
            except _BrokenOff as error:
                delay = 0.5 * 2**retry
                self._message(f"{error}; trying again in {delay} s")
                time.sleep(delay)
        return self._get(url)

    def _get(self, url: str) -> bytes:
        try:
            with self._session.get(url, timeout=self._timeout, stream=True) as answer:
                if not answer.ok:
                    raise _refusal(url, answer)
                return self._body(url, answer)
        except requests.RequestException as error:
            said = _said(error)
            raise FetchError(f"{url}: {said}", hint=_hint(error, said)) from None

    def _body(self, url: str, answer: requests.Response) -> bytes:
        deadline = time.monotonic() + 4 * self._timeout
        body = bytearray()
        for chunk in _chunks(url, answer):
            body += chunk
            if len(body) > MAX_DOCUMENT_SIZE:
                raise LayerError(f"{url}: the answer is longer than {MAX_DOCUMENT_SIZE} bytes")
            if time.monotonic() > deadline:
                raise _BrokenOff(f"{url}: the answer takes longer than {4 * self._timeout:g} s")
        return bytes(body)


class _BrokenOff(FetchError):
    """An answer that began and did not end."""


def _chunks(url: str, answer: requests.Response) -> Iterator[bytes]:
    """As they come: `iter_content` would wait for a whole chunk, however slowly it fills."""
    try:
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            yield chunk
    except HTTPError as error:
        raise _BrokenOff(f"{url}: the answer breaks off: {_said(error)}") from None


def _refusal(url: str, answer: requests.Response) -> ImporterError:
    status = f"{answer.status_code} {answer.reason or ''}".strip()[:200]
    kind = FetchError if answer.status_code in _TEMPORARY else ImporterError
    hints = {
        401: "requests takes credentials from ~/.netrc",
        403: "requests takes credentials from ~/.netrc",
        404: "is the stream's name right, for this architecture?",
    }
    return kind(f"{url}: {status}", hint=hints.get(answer.status_code, ""))


def _said(error: Exception) -> str:
    """The innermost reason, as requests and urllib3 wrap it several times."""
    inner = getattr(error, "reason", None)
    for one in error.args:
        inner = one if isinstance(one, Exception) else inner
    if isinstance(inner, Exception):
        return _said(inner)
    line = " ".join(str(error).split()).rpartition(">: ")[2]
    return _OBJECT.sub("", line)[:300] or type(error).__name__


def _hint(error: requests.RequestException, said: str) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "REQUESTS_CA_BUNDLE names the CA's file"
    if "timed out" in said:
        return "--timeout gives it more seconds"
    if "Connection refused" in said:
        return "nothing listens there; is the server up?"
    if "Failed to resolve" in said:
        return "the server's host name does not resolve"
    return ""


def stream_url(template: str, stream: str, arch: str) -> str:
    """The controller's URL of a stream; ImporterError if the template has unknown fields."""
    suffix = "" if arch == "amd64" or stream.endswith(f"-{arch}") else f"-{arch}"
    url = template
    for field, value in (("arch", arch), ("stream", stream), ("suffix", suffix)):
        url = url.replace(f"{{{field}}}", value)
    if not template.startswith(("http://", "https://")) or "{" in url or "}" in url:
        raise ImporterError(
            f"{template!r} is no template of a URL", hint="its fields are {arch} {stream} {suffix}"
        )
    return url


def chosen(answers: Answers, phases: frozenset[str], origin: str) -> Answer:
    """The newest release in one of these phases; ImporterError if there is none."""
    for answer in answers:
        if answer.phase in phases:
            return answer
    found = ", ".join(f"{one.name} is {one.phase}" for one in answers[:3]) or "it names none"
    raise ImporterError(
        f"{origin}: no release is {' or '.join(sorted(phases))}: {found}",
        hint="--phase allows another",
    )
