"""Manifests and configs with each field that podman decodes, right and wrong.

The tables of `layers.oci.go_structs` say which fields there are; whether they are the right
ones is what podman is asked.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from layers.oci import go_structs
from layers.oci.go_json import GoType, Keyed, Many, Scalar, Struct
from tests.tools.layout import digest_of, json_bytes
from tests.tools.mediatype import DOCKER, OCI, family

type Path = tuple[str | int, ...]
type Document = dict[str, Any]
#: How a field that may be left out is written: with a value, or in one of three ways without.
Spelling = Literal["full", "empty", "null", "missing"]
SPELLINGS: tuple[Spelling, ...] = ("full", "empty", "null", "missing")

SAMPLES: dict[str, tuple[object, object]] = {
    # By the type's name: a value, and the empty one.
    "a string": ("x", ""),
    "a whole number of 64 bits": (1, 0),
    "true or false": (True, False),
    "an RFC 3339 time": ("2024-05-06T07:08:09.123456789+02:00", None),
    "a base64 string": ("aGVsbG8=", ""),
    "a string or an array of strings": (["x"], []),
}
WRONG: dict[str, object] = {
    "a string": 5,
    "a whole number of 64 bits": 2.0,
    "true or false": "true",
    "an RFC 3339 time": "",
    "a base64 string": "!",
    "a string or an array of strings": {},
    "an array": "x",
    "an object": ["x"],
}
#: Values with which a container starts.
RUNNABLE = {
    "User": "0:0",
    "ExposedPorts": {"80/tcp": {}},
    "Env": ["A=b"],
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo started"],
    "Volumes": {"/volume": {}},
    "WorkingDir": "/tmp",
    "StopSignal": "SIGTERM",
    "Shell": ["/bin/sh"],
}


@dataclass(frozen=True)
class OddImage:
    """A manifest and a config as bytes. `name` says what is odd about them."""

    name: str
    manifest: bytes
    config: bytes

    @property
    def id(self) -> str:
        """podman's image id."""
        return digest_of(self.config).partition(":")[2]


@dataclass(frozen=True)
class Base:
    """The layer that the images have: its blob and diffID."""

    digest: str
    size: int
    diff_id: str


def config_table(docker: bool) -> Struct:
    """All fields of a config that podman decodes; it decodes each config into two structs."""
    other = go_structs.DOCKER_CONFIG if docker else go_structs.DOCKER_V1_CONFIG
    fields = {**go_structs.OCI_CONFIG.fields, **other.fields}
    inner: dict[str, GoType] = {}
    for table in (other, go_structs.OCI_CONFIG):
        run = table.fields["config"]
        assert isinstance(run, Struct)
        inner |= run.fields
    return Struct({**fields, "config": Struct(inner)})


def manifest_table(docker: bool) -> Struct:
    """All fields of a manifest that podman decodes."""
    return go_structs.DOCKER_MANIFEST if docker else go_structs.OCI_MANIFEST


def right(base: Base, docker: bool, spelling: Spelling) -> OddImage:
    """An image with every field, in one of the spellings."""
    name = f"{'docker' if docker else 'oci'} {spelling}"
    config = _config(base, docker, spelling, name)
    return _image(name, _manifest(base, docker, spelling, config), config)


def wrong(base: Base, docker: bool) -> Iterator[OddImage]:
    """An image for each field, in which that field has a value of another type."""
    kind = "docker" if docker else "oci"
    for path, go_type in fields(manifest_table(docker)):
        name = f"{kind} manifest {spelled(path)}"
        config = _config(base, docker, "full", name)
        yield _image(name, changed(_manifest(base, docker, "full", config), path, go_type), config)
    for path, go_type in fields(config_table(docker)):
        name = f"{kind} config {spelled(path)}"
        config = _config(base, docker, "full", name)
        config = changed(config, path, go_type)
        yield _image(name, _manifest(base, docker, "full", config), config)


def edited(name: str, base: Base, docker: bool, **manifest: Any) -> OddImage:
    """An image with some of its manifest's fields changed; None removes one."""
    config = _config(base, docker, "missing", name)
    document = _manifest(base, docker, "missing", config)
    for key, value in manifest.items():
        if value is None:
            del document[key]
        else:
            document[key] = value
    return _image(name, document, config)


def mixed(base: Base) -> list[OddImage]:
    """Manifests that are of two kinds at once."""
    layer = {"digest": base.digest, "size": base.size}
    types = (OCI.of_layer("gzip"), OCI.of_layer("zstd"), DOCKER.of_layer("zstd"))
    return [
        edited("fsLayers", base, docker=False, fsLayers=[]),
        edited("history", base, docker=True, history=[]),
        edited("HISTORY", base, docker=False, HISTORY=[]),
        edited("Manifests", base, docker=False, Manifests=[]),
        edited("an OCI manifest of a docker image", base, docker=True, mediaType=OCI.manifest),
        edited("a docker manifest of OCI layers", base, docker=False, mediaType=DOCKER.manifest),
        edited("a docker image without a type", base, docker=True, mediaType=None),
        *(
            edited(f"docker, {one}", base, docker=True, layers=[{"mediaType": one, **layer}])
            for one in types
        ),
    ]


def fields(go_type: GoType, at: Path = ()) -> Iterator[tuple[Path, GoType]]:
    """Every field of a table, those of its structs, and the elements of arrays and maps."""
    if at:
        yield at, go_type
    match go_type:
        case Struct():
            for name, inner in go_type.fields.items():
                yield from fields(inner, (*at, name))
        case Many():
            yield from fields(go_type.element, (*at, 0))
        case Keyed():
            yield from fields(go_type.value, (*at, "a"))
        case _:
            pass


def spelled(path: Path) -> str:
    """`config.Env[0]`."""
    parts = (f"[{one}]" if isinstance(one, int) else f".{one}" for one in path)
    return "".join(parts).removeprefix(".")


def _image(name: str, manifest: Document, config: Document) -> OddImage:
    return OddImage(name, json_bytes(manifest), json_bytes(config))


def changed(document: Document, path: Path, go_type: GoType) -> Document:
    """The document with a value of another type in a field."""
    copied: Any = copy.deepcopy(document)
    place = copied
    for one in path[:-1]:
        place = place[one]
    place[path[-1]] = WRONG[go_type.name]
    return dict(copied)


def _config(base: Base, docker: bool, spelling: Spelling, name: str) -> Document:
    required: Document = {
        "rootfs": {"type": "layers", "diff_ids": [base.diff_id]},
        "config": RUNNABLE if spelling == "full" else {"Cmd": ["/bin/echo", "started"]},
        # So that each config has a digest of its own.
        "test": name,
    }
    if spelling == "full":
        required |= {"architecture": "amd64", "os": "linux", "variant": ""}
        required["config"] = RUNNABLE | {"Labels": {"a": "x"}}
        required["history"] = [{"empty_layer": False}]
    return dict(built(config_table(docker), required, spelling))


def _manifest(base: Base, docker: bool, spelling: Spelling, config: Document) -> Document:
    names, raw = family(docker), json_bytes(config)
    required: Document = {
        "schemaVersion": 2,
        "config": {"mediaType": names.config, "digest": digest_of(raw), "size": len(raw)},
        "layers": [{"mediaType": names.of_layer("gzip"), "digest": base.digest, "size": base.size}],
    }
    if docker or spelling == "full":
        required["mediaType"] = names.manifest
    if spelling == "full" and not docker:
        required["subject"] = {"digest": digest_of(b"x"), "size": 1}
    return dict(built(manifest_table(docker), required, spelling))


def built(go_type: GoType, required: Any, spelling: Spelling) -> Any:
    """A value of this type: what is required, and all other fields in this spelling."""
    match go_type:
        case Struct() if isinstance(required, Mapping):
            found = {
                name: built(inner, required.get(name), spelling)
                for name, inner in go_type.fields.items()
                if spelling != "missing" or name in required
            }
            return found | {k: v for k, v in required.items() if k not in go_type.fields}
        case Many() if isinstance(required, list):
            return [built(go_type.element, one, spelling) for one in required]
        case _ if required is not None:
            return required
    if spelling == "full":
        return _sample(go_type)
    return _empty(go_type) if spelling == "empty" else None


def _sample(go_type: GoType) -> Any:
    match go_type:
        case Scalar():
            return SAMPLES[go_type.name][0]
        case Many():
            return [_sample(go_type.element)]
        case Keyed():
            return {"a": _sample(go_type.value)}
        case Struct():
            return {name: _sample(inner) for name, inner in go_type.fields.items()}


def _empty(go_type: GoType) -> Any:
    match go_type:
        case Scalar():
            return SAMPLES[go_type.name][1]
        case Many():
            return []
        case Keyed() | Struct():
            return {}
