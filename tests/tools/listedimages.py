"""Images whose layers list their directories: of one that is not listed, Docker and podman make
mode 0755, and umoci and we what a lower layer has."""

from collections.abc import Mapping, Sequence

from tests.tools.entry import Entry, opaque, whiteout
from tests.tools.treecommit import CAPABILITY

IMAGES: Mapping[str, Sequence[Sequence[Entry]]] = {
    "deletions": [
        [
            *(Entry(name, "dir") for name in (b"etc", b"usr", b"usr/doc")),
            Entry(b"srv", "dir", mode=0o750, uid=33, gid=33),
            *(Entry(name, content=name) for name in (b"etc/keep", b"etc/gone", b"etc/again")),
            *(Entry(name, content=name) for name in (b"usr/doc/a", b"srv/page")),
            Entry(b"etc/link", "symlink", link=b"keep"),
            Entry(b"etc/caps", mode=0o755, xattrs={b"security.capability": CAPABILITY}),
        ],
        [
            Entry(b"etc", "dir"),
            Entry(b"usr", "dir"),
            Entry(b"srv", "dir", mode=0o750, uid=33, gid=33),
            *map(whiteout, (b"etc/gone", b"etc/again", b"etc/link", b"usr/doc", b"srv/page")),
        ],
        [Entry(b"etc", "dir"), Entry(b"etc/again", content=b"second")],
    ],
    "opaque": [
        [
            *(Entry(name, "dir") for name in (b"etc", b"app", b"app/conf", b"app/conf/deep")),
            *(Entry(name, content=name) for name in (b"app/old", b"app/conf/deep/old")),
        ],
        [
            Entry(b"app", "dir", mode=0o711),
            opaque(b"app"),
            Entry(b"app/conf", "dir"),
            Entry(b"app/conf/deep", "dir"),
            Entry(b"app/conf/deep/new", content=b"new"),
        ],
        [
            Entry(b"app", "dir", mode=0o711),
            Entry(b"app/conf", content=b"now a file"),
            Entry(b"app/conf.d", "dir", mode=0o700),
        ],
    ],
}
