"""The subcommands of image-store for a device's own storage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from importer.cli.finish import Answer, end
from importer.cli.options.given import Given, subcommand
from importer.cli.options.output import Output, Rehearsal
from importer.cli.options.stores import Healing, OwnStorage
from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.device.doctor import Diagnosis
    from importer.device.treatment import Treatment


@subcommand("heal", OwnStorage, Healing, Rehearsal, Output)
def heal(given: Given) -> None:
    """Move images aside that an upgrade broke.

    Moves images out of a device's own storage whose layers an upgrade took away, and brings
    them back when the layers are back. Such an image was pulled beside a store, and had layers
    of the store as its parents; it makes CRI-O list no images at all. Containers stay: those
    that cannot start are named. On a device that has the package import-image-device alone,
    /usr/libexec/import-image/device heal does the same.
    """

    def answer() -> Answer:
        from importer.device.configured import Configured
        from importer.device.heal import heal_storage

        own, changes = given(OwnStorage), given(Healing)
        healed = heal_storage(
            own.root,
            Configured.of(own.stores),
            dry_run=given(Rehearsal).dry_run,
            delete=changes.delete,
            timeout=changes.lock_timeout,
        )
        return _answer(given, healed)

    _end(answer, given)


@subcommand("doctor", OwnStorage, Output)
def doctor(given: Given) -> None:
    """Say what is wrong with a device's stores.

    Tells which stores podman and CRI-O read, and which file names each. Looks whether records,
    links and lower layers fit each other; whether deleted files of images are there again, as
    below systemd-sysext; whether containers can start, with user namespaces too; whether
    labels are right where SELinux is enforcing; and what heal would move aside. Changes
    nothing. Exit status 1 if anything is wrong. On a device that has the package
    import-image-device alone, /usr/libexec/import-image/device doctor does the same.
    """

    def answer() -> Answer:
        from importer.device.configured import Configured
        from importer.device.doctor import diagnosis

        own = given(OwnStorage)
        return _answer(given, diagnosis(own.root, Configured.of(own.stores)))

    _end(answer, given)


def _answer(given: Given, result: Treatment | Diagnosis) -> Answer:
    lines, document = result.lines(), result.document()
    text = json.dumps(document, indent=2) if given(Output).as_json else "\n".join(lines)
    return Answer(text, 0 if result.is_well else 1)


def _end(answer: Callable[[], Answer], given: Given) -> None:
    from importer.device.folder import DeviceError

    def explained() -> Answer:
        try:
            return answer()
        except DeviceError as error:
            raise ImporterError(str(error)) from None

    end(explained, log_json=given(Output).log_json)
