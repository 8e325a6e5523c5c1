"""HTTP with a server that fails, stalls and lies; what is asked, and what is said of it."""

from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace

import pytest

from importer.errors import FetchError, ImporterError
from importer.release.http import Http, chosen
from layers.errors import Fault, LayerError
from layers.release.source import Answer
from tests.tools.controller import Controller, Reply

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
    return Http(retries, timeout, said.append).get(url), said


def refused(url: str, retries: int = 0, timeout: float = 30) -> Fault:
    with pytest.raises(Fault) as caught:
        get(url, retries, timeout)
    assert str(caught.value).startswith(f"{url}: ")
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


def test_an_answer_that_drips_is_left(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by ten seconds with each look, so that nobody waits so long."""
    clock = SimpleNamespace(monotonic=count(step=10).__next__)
    monkeypatch.setattr("importer.release.http.time", clock)
    url = controller.serve("/drip", Reply(b" " * 1000, drip=0.02))
    assert str(refused(url, timeout=30)) == f"{url}: the answer takes longer than 120 s"


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
    assert "longer than 4194304 bytes" in str(error)


def test_a_redirect_is_followed_and_a_loop_ends(controller: Controller) -> None:
    good = controller.serve("/moved-to", GOOD)
    url = controller.serve("/moved", Reply(b"", 302, {"Location": good}))
    assert get(url)[0] == GOOD.body
    loop = controller.serve("/loop", Reply(b"", 302, {"Location": "/loop"}))
    assert "redirects" in str(refused(loop))


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
    rejected, ready = Answer("3", "Rejected", "r"), Answer("2", "Ready", "r")
    accepted, old = Answer("1", "Accepted", "r"), Answer("0", "Accepted", "r")
    answers = (rejected, ready, accepted, old)
    assert chosen(answers, frozenset(["Accepted"]), "URL") is accepted
    assert chosen(answers, frozenset(["Accepted", "Ready"]), "URL") is ready


def test_no_release_of_a_wanted_phase_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(ImporterError) as caught:
        chosen((Answer("3", "Rejected", "r"),), frozenset(["Accepted"]), "URL")
    assert str(caught.value) == "URL: no release is Accepted: 3 is Rejected"
    assert caught.value.hint == "--phase allows another"
