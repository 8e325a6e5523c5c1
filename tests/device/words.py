"""Two layers with a deleted file and an opaque directory, for images that run on a device."""

from tests.tools.tarbuild import Entry, opaque, whiteout

WORDS = [
    Entry(b"etc", "dir", mode=0o755),
    Entry(b"etc/word", content=b"word\n"),
    Entry(b"etc/gone", content=b"gone\n"),
    Entry(b"srv", "dir", mode=0o750, uid=33, gid=33),
    Entry(b"srv/old", content=b"old\n"),
]
LATER = [whiteout(b"etc/gone"), opaque(b"srv"), Entry(b"srv/new", uid=33, content=b"new\n")]
