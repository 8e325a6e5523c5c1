"""The mirrors that skopeo uses: a registries.conf, or one made from OpenShift's mirror sets."""

from __future__ import annotations

import os
from pathlib import Path

from importer.errors import ImporterError
from importer.files.replacement import read_file
from layers.document import MAX_DOCUMENT_SIZE
from layers.errors import LayerError
from layers.oci.mirror_sets import registries_conf


def registries_file(path: Path) -> str:
    """Return the path of a registries.conf for skopeo's --registries-conf.

    Mirror sets are translated into a file in memory, which exists as long as this process. Raise
    ImporterError if the file cannot be read, or has neither format.
    """
    try:
        made = registries_conf(read_file(path, MAX_DOCUMENT_SIZE), str(path))
    except LayerError as error:
        raise ImporterError(str(error), hint=error.hint) from None
    if made is None:
        return str(path)
    descriptor = os.memfd_create("registries.conf")
    os.write(descriptor, made)
    return f"/proc/{os.getpid()}/fd/{descriptor}"
