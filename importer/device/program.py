"""Pack this package into one program: a zip archive, which Python runs
(docs.python.org/3/library/zipapp.html). The same source always gives the same bytes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_HERE = Path(__file__).parent
_MAIN = """\
from importer.device.main import main

raise SystemExit(main())
"""
_PACKAGES = ("importer", "layers", "layers/storage")
_SHARED = "layers/storage/holders.py"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def program() -> bytes:
    """Return the program."""
    contents = {"__main__.py": _MAIN.encode()}
    contents.update((f"{package}/__init__.py", b"") for package in _PACKAGES)
    contents[_SHARED] = (_HERE.parents[1] / _SHARED).read_bytes()
    for source in sorted(_HERE.glob("*.py")):
        contents[f"importer/device/{source.name}"] = source.read_bytes()
    file = BytesIO(b"#!/usr/bin/python3\n")
    file.seek(0, 2)
    with ZipFile(file, "a", ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            member = ZipInfo(name, _EPOCH)
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, ZIP_DEFLATED)
    return file.getvalue()


def unit(name: str) -> bytes:
    """Return a service of systemd that runs the program, `heal` or `doctor`."""
    return (_HERE / f"import-image-{name}.service").read_bytes()
