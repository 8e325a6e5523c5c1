"""The options that the commands share, spelled as skopeo, podman and ostree spell them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from importer.branches import why_no_branch
from importer.layer import LayerOptions
from importer.pipeline import Form, Signing
from importer.skopeo import Skopeo
from layers.limits import Limits
from layers.tree import DeviceNodes

type Command = Callable[..., Any]

_LIMITS = Limits()
_SIZE = re.compile(r"(\d+)([KMGT]?)i?B?", re.IGNORECASE)


class Timestamp(click.ParamType[int]):
    """Seconds since 1970: `@SECONDS`, or an ISO 8601 time."""

    name = "TIMESTAMP"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """To seconds; a usage error for anything else."""
        if isinstance(value, int):
            return value
        try:
            seconds = int(value[1:]) if value.startswith("@") else _seconds(value)
        except ValueError:
            seconds = -1
        if seconds < 0:
            self.fail(f"{value!r} is neither @SECONDS nor an ISO 8601 time after 1970", param, ctx)
        return seconds


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.astimezone()).timestamp())


class Branch(click.ParamType[str]):
    """A branch for images."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is; a usage error for what cannot be one."""
        why = why_no_branch(str(value))
        if why:
            self.fail(f"{value!r}: {why}", param, ctx)
        return str(value)


class Size(click.ParamType[int]):
    """A number of bytes, with K, M, G or T for powers of 1024."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """To bytes; a usage error for anything else."""
        match = _SIZE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a size such as 64G", param, ctx)
        return int(int(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


_REPO = [
    click.option(
        "--repo",
        envvar="OSTREE_REPO",
        required=True,
        type=click.Path(path_type=Path),
        help="The ostree repo; made in bare-user mode where there is none.  [OSTREE_REPO]",
    ),
    click.option("--branch", type=Branch(), help="The branch to commit to."),
    click.option("--subject", metavar="TEXT", help="The commit's subject."),
    click.option(
        "--timestamp",
        type=Timestamp(),
        help="The commit's time, @SECONDS or ISO 8601; else the newest image's.",
    ),
    click.option("--gpg-sign", metavar="KEY", help="Sign the commit with this GPG key."),
    click.option("--gpg-homedir", metavar="DIR", help="Where that key is."),
]
_CONTENTS = [
    click.option(
        "--form",
        type=click.Choice([form.value for form in Form]),
        default=Form.STORE.value,
        help="store: a containers-storage tree of the images; layers: the layers' branches alone.",
    ),
    click.option(
        "--flatten",
        is_flag=True,
        help="Store each image with all of its files in one layer, and no whiteouts.",
    ),
    click.option(
        "--prefix",
        metavar="DIR",
        default="/usr/lib/containers/storage",
        show_default=True,
        help="Where the store lies in the commit.",
    ),
    click.option(
        "--device-nodes",
        type=click.Choice([choice.value for choice in DeviceNodes]),
        default=DeviceNodes.AUTO.value,
        help="auto: leave out those below /dev, refuse others; skip: leave out all; error: refuse"
        " all.",
    ),
    click.option(
        "--max-layer-size",
        type=Size(),
        default=f"{_LIMITS.size >> 30}G",
        show_default=True,
        help="Refuse a layer that unpacks to more.",
    ),
    click.option(
        "--max-layer-entries",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        default=_LIMITS.entries,
        show_default=True,
        help="Refuse a layer that has more files.",
    ),
]
_SKOPEO = [
    click.option(
        "--authfile", metavar="FILE", help="Registry credentials, as `skopeo login` writes them."
    ),
    click.option("--creds", metavar="USER[:PASSWORD]", help="Registry credentials."),
    click.option("--cert-dir", metavar="DIR", help="The registry's CA and our certificates."),
    click.option(
        "--tls-verify", type=bool, metavar="BOOL", help="false allows registries without valid TLS."
    ),
    click.option("--policy", metavar="FILE", help="A signature policy, containers-policy.json(5)."),
    click.option(
        "--insecure-policy", is_flag=True, help="Check no signatures, whatever the policy says."
    ),
    click.option("--arch", help="Take this architecture out of an index."),
    click.option("--os", help="Take this operating system out of an index."),
    click.option("--variant", help="Take this variant of the architecture out of an index."),
    click.option(
        "--retry-times",
        type=click.IntRange(0, 100),
        default=0,
        help="How often to try again what cannot be fetched.",
    ),
]
_OUTPUT = [
    click.option("--quiet", "-q", is_flag=True, help="No progress, no messages but errors."),
    click.option("--json", "as_json", is_flag=True, help="The result as a JSON document."),
    click.option("--unchanged-exit-77", is_flag=True, help="Exit with 77 if nothing changed."),
]


def common(command: Command) -> Command:
    """All of them, on a command."""
    return _with([*_CONTENTS, *_REPO, *_SKOPEO, *_OUTPUT], command)


def local(command: Command) -> Command:
    """All but those for a registry."""
    return _with([*_CONTENTS, *_REPO, *_OUTPUT], command)


def _with(options: list[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def target(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `pipeline.Target`, out of a command's options."""
    return {
        "repo": values["repo"],
        "form": Form(values["form"]),
        "flatten": values["flatten"],
        "branch": values["branch"],
        "prefix": _prefix(values["prefix"]),
        "layer_options": LayerOptions(
            DeviceNodes(values["device_nodes"]),
            Limits(values["max_layer_size"], values["max_layer_entries"]),
        ),
        "subject": values["subject"],
        "timestamp": values["timestamp"],
        "signing": signing(values),
    }


def _prefix(prefix: str) -> str:
    names = prefix.split("/")[1:]
    if not prefix.startswith("/") or any(name in ("", ".", "..") for name in names):
        raise click.BadParameter("an absolute path without '.' and '..'", param_hint="--prefix")
    return prefix


def skopeo(values: dict[str, Any]) -> Skopeo:
    """How to call skopeo, out of a command's options."""
    return Skopeo(**{name: values[name] for name in Skopeo.__dataclass_fields__})


def signing(values: dict[str, Any]) -> Signing | None:
    """What to sign with, if anything."""
    if values["gpg_homedir"] and not values["gpg_sign"]:
        raise click.UsageError("--gpg-homedir needs --gpg-sign")
    key = values["gpg_sign"]
    return Signing(key, values["gpg_homedir"]) if key else None
