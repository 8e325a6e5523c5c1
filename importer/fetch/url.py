"""Remove passwords from URLs in messages."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Of a URL, or at the beginning of what should be an image's reference.
_USER = re.compile(r"((?:https?|docker)://|^(?=[^/?#]*:))([^/?#]*)@")


def shown(text: str) -> str:
    """Return the text without the user and password of any URL in it."""
    return _USER.sub(r"\1", text)


def scrubbed(said: str, url: str) -> str:
    """Return a library's message about a URL, without the URL's password."""
    match = _USER.search(url)
    password = match[2].partition(":")[2] if match else ""
    for spelling in {password, unquote(password)} - {""}:
        said = said.replace(spelling, "***")
    return shown(said)
