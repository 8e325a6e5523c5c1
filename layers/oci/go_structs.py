"""The fields of manifests, indexes and configs that podman, skopeo and CRI-O decode.

Each table is a Go struct: a value of another type in any of these fields makes the whole
document unreadable for these tools. Fields that are not here may hold anything.

Sources: github.com/opencontainers/image-spec v1.1, specs-go/v1/{descriptor,manifest,index,
config}.go; github.com/containers/image v5.34, manifest/docker_schema2.go and
internal/manifest/docker_schema2_list.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.oci.go_json import (
    BASE64,
    BOOLEAN,
    INTEGER,
    NAMES,
    STRING,
    STRING_OR_STRINGS,
    STRINGS,
    TEXTS,
    TIME,
    Many,
    Struct,
)

if TYPE_CHECKING:
    from layers.oci.go_json import GoType

# v1.Platform, which v1.Image has the fields of as well.
_PLATFORM: dict[str, GoType] = {
    "architecture": STRING,
    "os": STRING,
    "os.version": STRING,
    "os.features": STRINGS,
    "variant": STRING,
}
# v1.Descriptor.
_DESCRIPTOR = Struct(
    {
        "mediaType": STRING,
        "digest": STRING,
        "size": INTEGER,
        "urls": STRINGS,
        "annotations": TEXTS,
        "data": BASE64,
        "platform": Struct(_PLATFORM),
        "artifactType": STRING,
    }
)
# v1.Manifest.
OCI_MANIFEST = Struct(
    {
        "schemaVersion": INTEGER,
        "mediaType": STRING,
        "artifactType": STRING,
        "config": _DESCRIPTOR,
        "layers": Many(_DESCRIPTOR),
        "subject": _DESCRIPTOR,
        "annotations": TEXTS,
    }
)
# v1.Index.
OCI_INDEX = Struct(
    {
        "schemaVersion": INTEGER,
        "mediaType": STRING,
        "artifactType": STRING,
        "manifests": Many(_DESCRIPTOR),
        "subject": _DESCRIPTOR,
        "annotations": TEXTS,
    }
)
# v1.Image, into which podman decodes docker's configs, too.
OCI_CONFIG = Struct(
    {
        **_PLATFORM,
        "created": TIME,
        "author": STRING,
        "config": Struct(
            {
                "User": STRING,
                "ExposedPorts": NAMES,
                "Env": STRINGS,
                "Entrypoint": STRINGS,
                "Cmd": STRINGS,
                "Volumes": NAMES,
                "WorkingDir": STRING,
                "Labels": TEXTS,
                "StopSignal": STRING,
                "ArgsEscaped": BOOLEAN,
            }
        ),
        "rootfs": Struct({"type": STRING, "diff_ids": STRINGS}),
        "history": Many(
            Struct(
                {
                    "created": TIME,
                    "created_by": STRING,
                    "author": STRING,
                    "comment": STRING,
                    "empty_layer": BOOLEAN,
                }
            )
        ),
    }
)

# Schema2Descriptor.
_DOCKER_DESCRIPTOR: dict[str, GoType] = {
    "mediaType": STRING,
    "size": INTEGER,
    "digest": STRING,
    "urls": STRINGS,
}
# Schema2.
DOCKER_MANIFEST = Struct(
    {
        "schemaVersion": INTEGER,
        "mediaType": STRING,
        "config": Struct(_DOCKER_DESCRIPTOR),
        "layers": Many(Struct(_DOCKER_DESCRIPTOR)),
    }
)
# Schema2ListPublic.
DOCKER_LIST = Struct(
    {
        "schemaVersion": INTEGER,
        "mediaType": STRING,
        "manifests": Many(
            Struct({**_DOCKER_DESCRIPTOR, "platform": Struct({**_PLATFORM, "features": STRINGS})})
        ),
    }
)
# Schema2HealthConfig; the times are in nanoseconds.
_HEALTHCHECK = Struct(
    {
        "Test": STRINGS,
        "StartPeriod": INTEGER,
        "StartInterval": INTEGER,
        "Interval": INTEGER,
        "Timeout": INTEGER,
        "Retries": INTEGER,
    }
)
# Schema2Config.
_DOCKER_RUN_CONFIG = Struct(
    {
        "Hostname": STRING,
        "Domainname": STRING,
        "User": STRING,
        "AttachStdin": BOOLEAN,
        "AttachStdout": BOOLEAN,
        "AttachStderr": BOOLEAN,
        "ExposedPorts": NAMES,
        "Tty": BOOLEAN,
        "OpenStdin": BOOLEAN,
        "StdinOnce": BOOLEAN,
        "Env": STRINGS,
        "Cmd": STRING_OR_STRINGS,
        "Healthcheck": _HEALTHCHECK,
        "ArgsEscaped": BOOLEAN,
        "Image": STRING,
        "Volumes": NAMES,
        "WorkingDir": STRING,
        "Entrypoint": STRING_OR_STRINGS,
        "NetworkDisabled": BOOLEAN,
        "MacAddress": STRING,
        "OnBuild": STRINGS,
        "Labels": TEXTS,
        "StopSignal": STRING,
        "StopTimeout": INTEGER,
        "Shell": STRING_OR_STRINGS,
    }
)
# Schema2V1Image, into which podman decodes OCI configs, too.
_DOCKER_V1_IMAGE: dict[str, GoType] = {
    "id": STRING,
    "parent": STRING,
    "comment": STRING,
    "created": TIME,
    "container": STRING,
    "container_config": _DOCKER_RUN_CONFIG,
    "docker_version": STRING,
    "author": STRING,
    "config": _DOCKER_RUN_CONFIG,
    "architecture": STRING,
    "variant": STRING,
    "os": STRING,
    "Size": INTEGER,
}
DOCKER_V1_CONFIG = Struct(_DOCKER_V1_IMAGE)
# Schema2Image.
DOCKER_CONFIG = Struct(
    {
        **_DOCKER_V1_IMAGE,
        "rootfs": OCI_CONFIG.fields["rootfs"],
        "history": OCI_CONFIG.fields["history"],
        "os.version": STRING,
        "os.features": STRINGS,
    }
)
