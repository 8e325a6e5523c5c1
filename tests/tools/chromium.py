"""Headless Chromium, told what to do through a pipe (Chrome DevTools Protocol)."""

import base64
import json
import os
import select
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from tests.tools import patience
from tests.tools.lacking import need

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
Message = dict[str, Any]
Scheme = Literal["light", "dark"]


class PageError(AssertionError):
    """The page or the browser said that something is wrong."""


@dataclass
class Page:
    """A tab. `requests` are the URLs that it asked for, `errors` what its console said."""

    browser: "Chromium"
    session: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    loads: int = 0

    def call(self, method: str, **parameters: Any) -> Message:
        """A command of the protocol; its result."""
        return self.browser.call(method, self.session, parameters)

    def open(self, path: Path) -> None:
        """Loads a file, to the end of its scripts."""
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")
        self.loads = 0
        self.call("Page.navigate", url=path.as_uri())
        while not self.loads:
            self.browser.wait()

    def texts(self) -> list[str]:
        """All texts that a screen reader finds, in order; also where scripts do not run."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        kept = [node for node in nodes if not node["ignored"]]
        return [n["name"]["value"] for n in kept if n["role"]["value"] == "StaticText"]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise PageError(json.dumps(found["exceptionDetails"]))
        return found["result"].get("value")

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """The viewport, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        # A page in the background draws no frames, so that there is nothing to wait for. In the
        # first one here it learns of its size, and what it makes of that is there in the second.
        self.call("Page.bringToFront")
        frame = "await new Promise(done => requestAnimationFrame(done));"
        self.evaluate(f"(async () => {{ {frame} {frame} }})()")

    def prefer(self, scheme: Scheme) -> None:
        """The user's colour scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def press(self, key: str) -> None:
        """A key, pressed and let go; names as in KeyboardEvent.key."""
        text = {"text": "\r"} if key == "Enter" else {}
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38,
                 "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip
        values = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def screenshot(self, path: Path) -> None:
        """The whole page, as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


class Chromium:
    """`with Chromium(DIR) as browser:` keeps its profile in DIR; it is gone afterwards."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._number = 0
        self._buffer = b""
        self._pages: dict[str, Page] = {}

    def __enter__(self) -> Self:
        need("chromium")
        to_browser, self._sink = os.pipe()
        self._source, from_browser = os.pipe()
        # The browser reads from descriptor 3 and writes to descriptor 4. dash knows only one digit.
        script = f'exec chromium "$@" 3<&{to_browser} 4>&{from_browser}'
        flags = [*FLAGS, f"--user-data-dir={self._home / 'profile'}"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *flags, "about:blank"],
            pass_fds=(to_browser, from_browser),
            env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close", "", {})
            self._process.wait(20)
        except (OSError, PageError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._sink)
        os.close(self._source)

    def page(self) -> Page:
        """A new tab."""
        target = self.call("Target.createTarget", "", {"url": "about:blank"})["targetId"]
        attach = {"targetId": target, "flatten": True}
        session: str = self.call("Target.attachToTarget", "", attach)["sessionId"]
        self._pages[session] = Page(self, session)
        return self._pages[session]

    def call(self, method: str, session: str, parameters: Message) -> Message:
        """Sends a command and waits for its answer; what comes before that goes to the pages."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._sink, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']}")
                result: Message = answer["result"]
                return result
            self._note(answer)

    def wait(self) -> None:
        """For the next event."""
        self._note(self._receive())

    def _receive(self) -> Message:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._source], [], [], patience.SECONDS)
            if not ready:
                raise PageError(f"the browser has said nothing for {patience.SECONDS} seconds")
            piece = os.read(self._source, 1 << 16)
            if not piece:
                raise PageError("the browser went away")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: Message = json.loads(message)
        return found

    def _note(self, event: Message) -> None:
        page = self._pages.get(event.get("sessionId", ""))
        method, values = event.get("method"), event.get("params", {})
        if page is None:
            return
        if method == "Network.requestWillBeSent":
            page.requests.append(values["request"]["url"])
        elif method == "Page.loadEventFired":
            page.loads += 1
        elif method == "Runtime.exceptionThrown":
            page.errors.append(json.dumps(values["exceptionDetails"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            page.errors.append(values["entry"]["text"])
