"""Keep the names that the user gave images in the metadata of their commit.

One name is enough if the commit has it for all of its references; otherwise a JSON object has the
names by reference. References are those of the commit's body.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from importer.repo.commit_keys import NAME, NAMES
from layers.document import parse_document, strings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# ostree-core.h, OSTREE_MAX_METADATA_SIZE is 128 MiB for a whole commit.
_LIMIT = 64 << 20


def names_metadata(names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the keys and values that record the given names of each reference."""
    given = {reference: sorted(found) for reference, found in names.items() if found}
    if not given:
        return {}
    found = list(given.values())
    if len(given) == len(names) and all(one == found[0][:1] for one in found):
        return {NAME: found[0][0]}
    return {NAMES: json.dumps(given, sort_keys=True, separators=(",", ":"))}


def names_of(facts: Mapping[str, object], references: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the given names by reference; `references` are those of the commit's body.

    Raise LayerError if the record is malformed.
    """
    text, name = facts.get(NAMES), facts.get(NAME)
    if isinstance(text, str):
        origin = f"the commit's {NAMES}"
        found = parse_document(text.encode(), origin, _LIMIT)
        return {one: strings({one: found[one]}, one, origin) for one in found}
    return dict.fromkeys(references, (name,)) if isinstance(name, str) else {}
