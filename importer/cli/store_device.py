"""The subcommand of image-store for a device's own storage."""

from __future__ import annotations

import json
from contextlib import ExitStack

from importer.cli.finish import Answer, end
from importer.cli.options.declare import Given, subcommand
from importer.cli.options.output import Document, Messages
from importer.cli.options.stores import OwnStorage
from importer.errors import ImporterError


@subcommand("heal", OwnStorage, Messages, Document)
def heal(given: Given) -> None:
    """Move images aside that an upgrade broke.

    Moves images out of a device's own storage whose layers an upgrade took away, and brings
    them back when the layers are back. Such an image was pulled beside a store, and had layers
    of the store as its parents; it makes CRI-O list no images at all. Containers stay: those
    that cannot start are named. importer/device does the same on a device without this package.
    """

    def answer() -> Answer:
        from importer.device.configured import Configured, configured_stores
        from importer.device.folder import DeviceError
        from importer.device.heal import heal_storage
        from importer.device.stores import opened_stores

        own = given(OwnStorage)
        named = Configured.of(own.stores) if own.stores else configured_stores()
        try:
            with ExitStack() as held:
                healed = heal_storage(
                    own.root,
                    opened_stores(named, held),
                    dry_run=own.dry_run,
                    delete=own.delete,
                    timeout=own.lock_timeout,
                )
        except DeviceError as error:
            raise ImporterError(str(error)) from None
        status = 0 if healed.is_well else 1
        if given(Document).as_json:
            return Answer(json.dumps(healed.document(), indent=2), status)
        return Answer("\n".join(healed.lines()), status)

    end(answer, log_json=given(Messages).log_json)
