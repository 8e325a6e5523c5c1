"""The image config: the layers' diffIDs and commands, and when and for which platform the image was
made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.digest import Digest
from layers.document import Document, array, mapping, parse_document, string
from layers.errors import LayerError, within
from layers.frozen import frozen
from layers.moment import parse_time

if TYPE_CHECKING:
    from layers.oci.manifest import Manifest

# How docker's classic builder writes an instruction that no shell ran.
_NOT_RUN = "/bin/sh -c #(nop) "


@frozen
class ImageConfig:
    """A parsed config. `diff_ids` base first; `created` as written, or ""; `raw` the original
    bytes."""

    raw: bytes
    diff_ids: tuple[Digest, ...]
    created: str
    architecture: str
    os: str
    variant: str

    @property
    def created_seconds(self) -> int:
        """Return `created` in whole seconds since 1970; 0 where the config has none."""
        return parse_time(self.created) if self.created else 0


def parse_config(raw: bytes, manifest: Manifest) -> ImageConfig:
    """Parse the config of a manifest. Raise LayerError, with its digest, if the two do not fit
    together.

    Format: image-spec config.md; docker's v1.2 image JSON has the same fields.
    `layers.oci.readable` checks the fields that are not read here.
    """
    with within(digest=str(manifest.config.digest)):
        document = parse_document(manifest.config.digest.check(raw, "the config"), "the config")
        config = _config(raw, document)
        if len(config.diff_ids) != len(manifest.layers):
            raise LayerError(
                f"the config has {len(config.diff_ids)} diff_ids,"
                f" the manifest {len(manifest.layers)} layers"
            )
    return config


def parse_diff_ids(raw: bytes) -> tuple[Digest, ...]:
    """Return the diffIDs of a config without a manifest, base first."""
    return _diff_ids(parse_document(raw, "the config"))


def _diff_ids(document: Document) -> tuple[Digest, ...]:
    rootfs = mapping(document, "rootfs", "the config")
    if rootfs.get("type") != "layers":
        raise LayerError("the config's rootfs is not of type 'layers'")
    try:
        return tuple(Digest.parse(d) for d in array(rootfs, "diff_ids", "the config", []))
    except LayerError as error:
        raise LayerError(f"the config's diff_ids: {error.message}", hint=error.hint) from None


def _config(raw: bytes, document: Document) -> ImageConfig:
    diff_ids = _diff_ids(document)
    created = string(document, "created", "the config", "")
    if created:
        parse_time(created)
    return ImageConfig(
        raw,
        diff_ids,
        created,
        string(document, "architecture", "the config", ""),
        string(document, "os", "the config", ""),
        string(document, "variant", "the config", ""),
    )


def layer_commands(config: ImageConfig) -> tuple[str, ...]:
    """Return the history's `created_by` for each layer, base first; "" where the history does not
    fit the layers.

    Format: image-spec config.md, "history". The history is optional, and some builders write one
    that covers only their own layers, the topmost ones. A history that is no array, as an old store
    may have, counts as none.
    """
    entries = parse_document(config.raw, "the config").get("history")
    if not isinstance(entries, list):
        entries = []
    commands = [
        str(entry.get("created_by") or entry.get("comment") or "")
        for entry in entries
        if isinstance(entry, dict) and not entry.get("empty_layer")
    ]
    missing = len(config.diff_ids) - len(commands)
    if missing < 0:
        return ("",) * len(config.diff_ids)
    return ("",) * missing + tuple(commands)


def shown_command(command: str) -> str:
    """Return a command on one line, without the words that docker's builders put around it."""
    line = " ".join(command.split())
    if line.startswith(_NOT_RUN):
        return line.removeprefix(_NOT_RUN).strip()
    return line.removeprefix("/bin/sh -c ").removesuffix("# buildkit").strip()
