"""HTTP with a server that fails, stalls and lies; what is asked, and what is said of it."""

import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from importer.errors import FetchError, ImporterError
from importer.fetch.http import Http, _target
from importer.release.sources import chosen
from layers.errors import Fault, LayerError
from layers.release.source import ControllerAnswer
from tests.tools.controller import Controller, Reply
from tests.tools.rawserver import Script, dripping, endless, once, raw_server

GOOD = Reply(b'{"good": true}')


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    with Controller() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def get(url: str, retries: int = 0, timeout: float = 30) -> tuple[bytes, list[str]]:
    """The answer, and what was said meanwhile."""
    said: list[str] = []
    return Http(retries, timeout, said.append, "application/json").get(url), said


def refused(url: str, retries: int = 0, timeout: float = 30) -> Fault:
    with pytest.raises(Fault) as caught:
        get(url, retries, timeout)
    assert str(caught.value).startswith(f"{url}: ")
    assert "Pool(" not in str(caught.value)
    return caught.value


def test_an_answer_is_returned_as_it_is(controller: Controller) -> None:
    assert get(controller.serve("/good", GOOD)) == (GOOD.body, [])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(controller: Controller, status: int) -> None:
    path = f"/trouble/{status}"
    url = controller.serve(path, Reply(b"oops", status, {"Retry-After": "0"}), GOOD)
    assert get(url, retries=1)[0] == GOOD.body
    assert controller.requests.count(path) == 2


def test_it_is_asked_as_often_as_the_user_says(controller: Controller) -> None:
    url = controller.serve("/always", Reply(b"oops", 503, {"Retry-After": "0"}))
    error = refused(url, retries=2)
    assert isinstance(error, FetchError)
    assert str(error) == f"{url}: 503 Service Unavailable"
    assert controller.requests.count("/always") == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(controller: Controller, status: int) -> None:
    path = f"/refused/{status}"
    error = refused(controller.serve(path, Reply(b"no", status)), retries=3)
    assert f": {status} " in str(error)
    assert controller.requests.count(path) == 1


def test_a_server_that_says_nothing_is_left(controller: Controller) -> None:
    url = controller.serve("/stall", Reply(b"{}", stall=300))
    error = refused(url, timeout=0.3)
    assert "Read timed out" in str(error)
    assert error.hint == "--timeout gives it more seconds"


def test_a_stall_is_tried_again(controller: Controller) -> None:
    """More often than once, as a machine may be too slow for the good answer, too."""
    url = controller.serve("/stall-once", Reply(b"{}", stall=300), GOOD)
    assert get(url, retries=5, timeout=2)[0] == GOOD.body
    assert controller.requests.count("/stall-once") >= 2


def test_an_answer_that_drips_is_left(controller: Controller) -> None:
    """No silence is as long as the timeout, and the whole still ends."""
    url = controller.serve("/drip", Reply(b" " * 100_000, drip=0.05))
    error = refused(url, timeout=0.5)
    assert str(error) == f"{url}: the answer takes longer than 2 s"
    assert error.hint == "--timeout gives it more seconds"


def test_an_answer_that_breaks_off_is_tried_again(controller: Controller) -> None:
    url = controller.serve("/cut", Reply(b"x" * 1000, cut=10), GOOD)
    body, said = get(url, retries=1)
    assert body == GOOD.body
    assert len(said) == 1
    assert said[0].startswith(f"{url}: the answer breaks off: ")
    assert said[0].endswith("; trying again in 0.5 s")


def test_an_answer_that_always_breaks_off_is_an_error(controller: Controller) -> None:
    url = controller.serve("/cut-always", Reply(b"x" * 1000, cut=10))
    assert "the answer breaks off" in str(refused(url))


def test_an_answer_without_end_is_not_read_to_it(controller: Controller) -> None:
    url = controller.serve("/huge", Reply(b" " * ((4 << 20) + 1)))
    error = refused(url)
    assert isinstance(error, LayerError)
    assert "more than 4194304 bytes" in str(error)


def test_a_redirect_is_followed_and_a_loop_ends(controller: Controller) -> None:
    good = controller.serve("/moved-to", GOOD)
    url = controller.serve("/moved", Reply(b"", 302, {"Location": good}))
    assert get(url)[0] == GOOD.body
    loop = controller.serve("/loop", Reply(b"", 302, {"Location": "/loop"}))
    assert "redirects" in str(refused(loop))


# -- servers that lie --

OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /there\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


@pytest.mark.parametrize(
    "script",
    [
        dripping(OK, b"x"),
        dripping(OK, b"X-Header: x\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
        dripping(OK + CHUNKED, b"1\r\nx\r\n"),
    ],
    ids=["a header", "headers", "100 Continue", "the body", "chunks"],
)
def test_whatever_drips_there_is_one_deadline_over_all(script: Script) -> None:
    with raw_server(script) as server:
        error = refused(f"{server.url}/x", timeout=0.3)
    assert "takes longer than 1.2 s" in str(error) or "headers" in str(error)


@pytest.mark.parametrize(
    "script",
    [
        endless(OK, b"X-Header: x\r\n"),
        endless(OK, b"x" * 0x10000),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(OK + CHUNKED, CHUNK),
    ],
    ids=["headers", "a header", "100 Continue", "chunks"],
)
def test_what_has_no_end_is_not_kept(script: Script) -> None:
    with raw_server(script) as server:
        tracemalloc.start()
        try:
            refused(f"{server.url}/x", timeout=0.3)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 40 << 20


@pytest.mark.parametrize("head", [MOVED, BUSY], ids=["of a redirect", "of an error"])
@pytest.mark.parametrize("pace", [dripping, endless])
def test_a_body_that_nobody_wants_is_not_read(
    head: bytes, pace: Callable[[bytes, bytes], Script]
) -> None:
    """Neither drained, which may take for ever, nor unpacked, which may take all memory."""
    packed = b"Content-Encoding: gzip\r\n" + CHUNKED
    with raw_server(pace(head + packed, CHUNK)) as server:
        error = refused(f"{server.url}/x", retries=1, timeout=30)
    assert "503" in str(error) or "redirects" in str(error)
    assert server.sent < 30 << 20  # what the kernel took in for us, six times


def test_an_answer_that_is_packed_is_refused(controller: Controller) -> None:
    """Nobody asked for that, and what it unpacks to has no bound."""
    bomb = gzip.compress(bytes(64 << 20))
    url = controller.serve("/bomb", Reply(bomb, headers={"Content-Encoding": "gzip"}))
    assert "packed with 'gzip'" in str(refused(url))


# -- redirects --


def test_a_redirect_without_tls_from_one_with_it_is_not_followed() -> None:
    with pytest.raises(ImporterError, match="which is not encrypted") as caught:
        _target("https://a.example.org/x", "http://b.example.org/y")
    assert "give that URL itself" in caught.value.hint


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://a/b", "http://@/x"])
def test_a_redirect_to_no_web_server_is_not_followed(location: str) -> None:
    with pytest.raises(ImporterError, match="redirects to"):
        _target("http://a.example.org/x", location)


def test_credentials_are_not_sent_to_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of the URL, nor those that ~/.netrc has for the other one."""
    with raw_server(once(OK + b"Content-Length: 2\r\n\r\n{}")) as other:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password of-netrc\n")
        monkeypatch.setenv("NETRC", str(netrc))
        there = other.url.replace("127.0.0.1", "localhost")
        netrc.write_text("machine localhost login me password of-netrc\n")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        moved = b"HTTP/1.1 302 Found\r\nLocation: " + there.encode() + b"/y\r\n\r\n"
        with raw_server(once(moved)) as first:
            url = first.url.replace("http://", "http://me:of-the-url@") + "/x"
            assert get(url)[0] == b"{}"
    assert "\r\nAuthorization: Basic" in first.asked[0]
    assert "authorization" not in other.asked[0].lower()


def test_credentials_are_sent_again_to_the_same_server(controller: Controller) -> None:
    url = controller.serve("/here", Reply(b"", 302, {"Location": "/there"}))
    controller.serve("/there", GOOD)
    assert get(url.replace("http://", "http://me:secret@"))[0] == GOOD.body


@pytest.mark.parametrize(
    "reply", [Reply(b"", 404), Reply(b"x" * 9, cut=1), Reply(b"", 302, {"Location": "ftp://x"})]
)
def test_no_password_is_told(controller: Controller, reply: Reply) -> None:
    url = controller.serve("/password", reply).replace("http://", "http://me:sec%40ret@")
    with pytest.raises(Fault) as caught:
        get(url)
    assert "sec" not in str(caught.value)
    assert str(caught.value).startswith(f"{controller.url}/password: ")


@pytest.mark.parametrize(
    "url", ["http://me:secret@[/x", "http://me:secret@/x", "http://me:secret@a:b/"]
)
def test_no_password_of_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(Fault) as caught:
        get(url)
    assert "secret" not in str(caught.value)


def test_nobody_there_is_an_error_of_one_line(controller: Controller) -> None:
    with Controller() as gone:
        url = gone.url + "/x"
    error = refused(url)
    assert str(error).startswith(f"{url}: Failed to establish a new connection")
    assert error.hint == "nothing listens there; is the server up?"
    assert "\n" not in str(error)


@pytest.mark.parametrize("url", ["http://", "http://[", "http://nowhere.invalid/x"])
def test_a_url_that_leads_nowhere_is_an_error(url: str) -> None:
    refused(url)


def test_the_newest_release_of_a_wanted_phase_is_chosen() -> None:
    rejected, ready = ControllerAnswer("3", "Rejected", "r"), ControllerAnswer("2", "Ready", "r")
    accepted, old = ControllerAnswer("1", "Accepted", "r"), ControllerAnswer("0", "Accepted", "r")
    answers = (rejected, ready, accepted, old)
    assert chosen(answers, frozenset(["Accepted"]), "URL") is accepted
    assert chosen(answers, frozenset(["Accepted", "Ready"]), "URL") is ready


def test_no_release_of_a_wanted_phase_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(ImporterError) as caught:
        chosen((ControllerAnswer("3", "Rejected", "r"),), frozenset(["Accepted"]), "URL")
    assert str(caught.value) == "URL: no release is Accepted: 3 is Rejected"
    assert caught.value.hint == "--phase allows another"
