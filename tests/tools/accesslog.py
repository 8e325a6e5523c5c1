"""The registry's access log, in Apache's "combined" format."""

import re
from dataclasses import dataclass

LINE = re.compile(rb'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[0-9.]+" (?P<status>\d+) ')
BLOB_PATH = re.compile(r"/v2/.+/blobs/(?P<digest>sha256:[0-9a-f]{64})$")


@dataclass(frozen=True)
class Request:
    """A request the registry has answered."""

    method: str
    path: str
    status: int

    def downloaded_blob(self) -> str | None:
        """The digest of the blob, if this request downloaded one."""
        found = BLOB_PATH.match(self.path)
        sent = self.method == "GET" and self.status in (200, 206)
        return found["digest"] if found and sent else None


def parse_requests(log: bytes) -> list[Request]:
    """The requests a piece of the log tells of; other lines are passed over."""
    return [
        Request(match["method"].decode(), match["path"].decode(), int(match["status"]))
        for match in LINE.finditer(log)
    ]
