"""The subcommand of image-store for a device's own storage."""

from __future__ import annotations

import json

from importer.cli.finish import Answer, end
from importer.cli.options.declare import Given, subcommand
from importer.cli.options.output import Document, Messages
from importer.cli.options.stores import OwnStorage
from importer.errors import ImporterError


@subcommand("heal", OwnStorage, Messages, Document)
def heal(given: Given) -> None:
    """Remove images that an upgrade broke.

    Removes images from a device's own storage whose layers an upgrade took away. Such an
    image was pulled beside a store, and had layers of the store as its parents; it makes
    CRI-O list no images at all. Containers are not removed: those that cannot start are
    named. importer/device/heal.py does the same on a device without this package.
    """

    def answer() -> Answer:
        from importer.device.heal import HealError, configured_stores, heal_storage

        own = given(OwnStorage)
        stores = own.stores or tuple(configured_stores())
        try:
            healed = heal_storage(own.root, stores, dry_run=own.dry_run, timeout=own.lock_timeout)
        except HealError as error:
            raise ImporterError(str(error)) from None
        except OSError as error:
            raise ImporterError(f"{error.filename}: {error.strerror}") from error
        if given(Document).as_json:
            return Answer(json.dumps(healed.document(), indent=2), 0)
        return Answer("\n".join(healed.lines()), 0)

    end(answer, log_json=given(Messages).log_json)
