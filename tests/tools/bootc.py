"""bootc's import of a container image, by the commands that it runs itself.

Source: bootc, crates/ostree-ext/src/tar/write.rs (each layer's tar, filtered, through
`ostree commit --tree=tar`) and container/store.rs (`write_merge_commit_impl`: the layers checked
out over the base with whiteouts, committed again). bootc is not in Debian, and its base layers
are ostree objects; here the base is a commit that is there already.
"""

import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.tools.image import BuiltImage
from tests.tools.layout import Layout
from tests.tools.ostreerepo import ostree, rev_parse
from tests.tools.tarread import unpacked_blob

#: With the version of ostree-ext where bootc has the crate's.
FLAGS = (
    "--add-metadata-string=ostree.importer.version=0.15.3",
    "--no-bindings",
    "--tar-autocreate-parents",
    "--tree=tar=/proc/self/fd/0",
)
#: EXCLUDED_TOPLEVEL_PATHS, where a build leaves directories that it has mounted.
NOT_TAKEN = ("run", "tmp", "proc", "sys", "dev")


def derived_layers(layout: Path, tag: str, base: BuiltImage) -> list[bytes]:
    """The tars of the layers that an image has on top of its base's."""
    manifest = manifest_of(layout, tag)
    blobs = manifest["layers"][len(base.layers) :]
    return [
        unpacked_blob(Layout(layout).blob_path(one["digest"]).read_bytes(), one["mediaType"])
        for one in blobs
    ]


def manifest_of(layout: Path, tag: str) -> dict[str, Any]:
    """The manifest of a tag."""
    for one in json.loads((layout / "index.json").read_bytes())["manifests"]:
        if one["annotations"]["org.opencontainers.image.ref.name"] == tag:
            found: dict[str, Any] = json.loads(Layout(layout).blob_path(one["digest"]).read_bytes())
            return found
    raise AssertionError(f"no tag {tag} in {layout}")


def import_image(repo: Path, base: str, tars: list[bytes], work: Path, branch: str) -> str:
    """Imports the layers onto a commit of a bare repo, and commits the whole to a branch."""
    policy = work / "policy"
    (policy / "usr").mkdir(parents=True)
    ostree(repo, "checkout", "-U", "--subpath=/usr/etc", base, policy / "usr/etc")
    layers = [
        _commit_layer(repo, f"{branch}-{number}", tar, policy) for number, tar in enumerate(tars)
    ]
    root = work / "root"
    union = ("--union", "--force-copy-zerosized")
    ostree(repo, "checkout", *union, base, root)
    for layer in layers:
        ostree(repo, "checkout", *union, "--whiteouts", layer, root)
    labels = (f"--selinux-policy={root}",) if (root / "usr/etc/selinux").exists() else ()
    flags = (f"--parent={rev_parse(repo, base)}", f"--branch={branch}", "--bootable", *labels)
    return ostree(repo, "commit", *flags, f"--tree=dir={root}").strip()


def _commit_layer(repo: Path, branch: str, tar: bytes, policy: Path) -> str:
    argv = ["ostree", "commit", f"--repo={repo}", f"--selinux-policy={policy}", *FLAGS]
    done = subprocess.run(
        [*argv, "--branch", branch], input=_filtered(tar), check=True, capture_output=True
    )
    return done.stdout.decode().strip()


def _filtered(tar: bytes) -> bytes:
    """The tar as bootc's `filter_tar` writes it: `./` before each path, /etc as /usr/etc."""
    check_records(tar)
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar)) as source,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as dest,
    ):
        for member in source:
            top = member.name.partition("/")[0]
            if top in NOT_TAKEN:
                continue
            assert top in ("usr", "etc"), f"bootc leaves out {member.name}"
            member.name = f"./usr/{member.name}" if top == "etc" else f"./{member.name}"
            content = source.extractfile(member) if member.isreg() else None
            dest.addfile(member, content)
    return out.getvalue()


def check_records(tar: bytes) -> None:
    """Reads the PAX records of our tars as tar-rs does (src/pax.rs, 0.4.46): split at newlines."""
    at = 0
    while any(block := tar[at : at + 512]):
        size = int(block[124:135], 8)
        data = tar[at + 512 : at + 512 + size]
        for line in data.split(b"\n")[:-1] if block[156:157] == b"x" else ():
            match = re.fullmatch(rb"([0-9]+) ([^=]*)=.*", line, re.DOTALL)
            assert match, f"malformed pax extension {line!r}"
            assert int(match[1]) == len(line) + 1, f"malformed pax extension {line!r}"
            match[2].decode()
        at += 512 + size + -size % 512
