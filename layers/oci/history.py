"""Tell which command made which layer, from an image's config.

Format: image-spec config.md, "history". An entry with `empty_layer` made no layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.document import parse_document

if TYPE_CHECKING:
    from layers.oci.config import ImageConfig

# How docker's classic builder writes what no shell ran.
_NOT_RUN = "/bin/sh -c #(nop) "


def layer_commands(config: ImageConfig) -> tuple[str, ...]:
    """Return `created_by` for each layer, base first; "" where the history does not fit the layers.

    The history is optional, and some builders write one that covers only their own layers;
    then its entries are those of the topmost layers. A history that is no array, as an old store
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
