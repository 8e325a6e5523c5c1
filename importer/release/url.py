"""URLs as people may see them: without passwords."""

from __future__ import annotations

import re
from urllib.parse import unquote

_USER = re.compile(r"(https?://)([^/?#]*)@")


def shown(text: str) -> str:
    """Return a text with every URL in it freed of its user and password."""
    return _USER.sub(r"\1", text)


def scrubbed(said: str, url: str) -> str:
    """Return what a library says of a URL, without the password of the URL."""
    match = _USER.search(url)
    password = match[2].partition(":")[2] if match else ""
    for spelling in {password, unquote(password)} - {""}:
        said = said.replace(spelling, "***")
    return shown(said)
