"""Indexes with each field that skopeo and podman decode, right and wrong; `gofields` has images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from layers.oci import go_structs
from layers.oci.go_json import Struct
from tests.tools.gofields import Spelling, built, changed, fields, spelled
from tests.tools.layout import digest_of, json_bytes
from tests.tools.mediatype import family


@dataclass(frozen=True)
class OddIndex:
    """An index as bytes. `name` says what is odd about it."""

    name: str
    raw: bytes


def index_table(docker: bool) -> Struct:
    """All fields of an index that skopeo decodes."""
    return go_structs.DOCKER_LIST if docker else go_structs.OCI_INDEX


def right_index(manifest: bytes, docker: bool, spelling: Spelling) -> OddIndex:
    """An index of this manifest with every field, in one of the spellings."""
    name = f"{'docker' if docker else 'oci'} {spelling}"
    return OddIndex(name, json_bytes(_index(manifest, docker, spelling)))


def wrong_indexes(manifest: bytes, docker: bool) -> Iterator[OddIndex]:
    """An index for each field, in which that field has a value of another type."""
    whole = _index(manifest, docker, "full")
    for path, go_type in fields(index_table(docker)):
        name = f"{'docker' if docker else 'oci'} index {spelled(path)}"
        yield OddIndex(name, json_bytes(changed(whole, path, go_type)))


def _index(manifest: bytes, docker: bool, spelling: Spelling) -> dict[str, Any]:
    names = family(docker)
    member = {
        "mediaType": names.manifest,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "platform": {"architecture": "amd64", "os": "linux", "variant": ""},
    }
    required = {"schemaVersion": 2, "mediaType": names.index, "manifests": [member]}
    return dict(built(index_table(docker), required, spelling))
