"""The command line of the program for devices."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import List, Optional, Union

from importer.device.configured import Configured
from importer.device.doctor import Diagnosis, diagnosis
from importer.device.folder import DeviceError, printable
from importer.device.heal import ROOT, heal_storage
from importer.device.treatment import Treatment


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a subcommand; return the exit status."""
    given = _parser().parse_args(arguments)
    try:
        result = _result(given)
    except DeviceError as error:
        sys.stderr.write(f"{given.command}: {printable(str(error))}\n")
        return 1
    text = json.dumps(result.document(), indent=2) if given.json else "\n".join(result.lines())
    sys.stdout.write(f"{text}\n")
    return 0 if result.is_well else 1


def _result(given: argparse.Namespace) -> Union[Treatment, Diagnosis]:
    configured = Configured.of(given.store or ())
    if given.command == "doctor":
        return diagnosis(given.root, configured)
    return heal_storage(
        given.root,
        configured,
        dry_run=given.dry_run,
        delete=given.delete,
        timeout=given.lock_timeout,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Look after a device's images and their stores.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    heal = commands.add_parser("heal", help="move images aside that an upgrade broke")
    heal.add_argument("--dry-run", "-n", action="store_true", help="only tell what would be done")
    heal.add_argument("--delete", action="store_true", help="then delete all that is aside")
    waits = "seconds to wait for another program's lock; default 60"
    heal.add_argument("--lock-timeout", type=float, default=60.0, help=waits)
    doctor = commands.add_parser("doctor", help="say what is wrong with the stores; 1 if anything")
    named = "an additional image store; default: all that a configuration names"
    for command in (heal, doctor):
        command.add_argument("--root", type=Path, default=ROOT, help=f"default {ROOT}")
        command.add_argument("--store", type=Path, action="append", help=named)
        command.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser
