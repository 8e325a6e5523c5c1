"""Keep the names that the user gave images in the metadata of their commit.

One name is enough if the commit has it for all of its references; otherwise a JSON object says
which reference has which name. References are those of the commit's body.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from importer.repo.commit_keys import NAME, NAMES
from layers.document import parse_document
from layers.errors import LayerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# ostree-core.h, OSTREE_MAX_METADATA_SIZE is 128 MiB for a whole commit.
_LIMIT = 64 << 20


def names_metadata(names: Mapping[str, str]) -> dict[str, str]:
    """Return the keys and values that record these names by reference, "" where none was given."""
    given = {reference: name for reference, name in names.items() if name}
    if not given:
        return {}
    if len(given) == len(names) and len(set(given.values())) == 1:
        return {NAME: next(iter(given.values()))}
    return {NAMES: json.dumps(given, sort_keys=True, separators=(",", ":"))}


def names_of(facts: Mapping[str, object], references: Sequence[str]) -> dict[str, str]:
    """Return the given names by reference; `references` are those of the commit's body.

    Raise LayerError if the record is malformed.
    """
    text, name = facts.get(NAMES), facts.get(NAME)
    if isinstance(text, str):
        origin = f"the commit's {NAMES}"
        found = parse_document(text.encode(), origin, _LIMIT)
        if not all(isinstance(one, str) for one in found.values()):
            raise LayerError(f"{origin} is not an object of strings")
        return found
    return dict.fromkeys(references, name) if isinstance(name, str) else {}
