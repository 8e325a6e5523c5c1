"""Write the lists of --from again, by --pin, with what import-release resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import ImporterError

if TYPE_CHECKING:
    from importer.cli.options.images import Lists
    from importer.files.image_lists import Pinning
    from importer.run.result import Result


def pinning_for(options: Lists) -> Pinning | None:
    """Return what writes the pinned files, None without --pin.

    Raise ImporterError if a list cannot be read, or its pinned file cannot be written.
    """
    if options.pin is None:
        return None
    from importer.files.image_lists import Pinning, read_image_lists

    lists = [one for path in options.lists for one in read_image_lists(path, options.max_list_size)]
    return Pinning(lists, options.pin)


def pinned(result: Result) -> dict[str, str]:
    """Return the components' references by digest, by their pullspecs.

    Raise ImporterError if a tag is at two digests, as that of two architectures can be.
    """
    from layers.digest import Digest

    found: dict[str, str] = {}
    for _, outcome in result.releases:
        for component in outcome.difference.release.components.values():
            digest = Digest.parse(component.digest)
            text = component.reference.by_digest(digest)
            if found.setdefault(component.pullspec, text) != text:
                raise ImporterError(
                    f"{component.pullspec} is another image for each architecture",
                    hint="pin the list for one architecture",
                )
    return found
