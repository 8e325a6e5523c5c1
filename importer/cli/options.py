"""The options that the commands share, spelled as skopeo, podman and ostree spell them."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from importer.cache.branches import why_no_branch
from importer.cli.types import Context, NotEmpty, Place, Text, YesNo
from importer.commit.target import ExistingStore, Form, GpgKey, KeyFile, Labelling
from importer.fetch.skopeo import Skopeo
from layers.errors import LayerError
from layers.limits import Limits
from layers.path import components
from layers.tree.builder import DeviceNodes
from layers.tree.read_layer import LayerOptions
from layers.whiteout import refuse_quoted

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


_SIGNING = [
    click.option(
        "--gpg-sign", metavar="KEY", type=Text(), help="Sign the commit with this GPG key."
    ),
    click.option("--gpg-homedir", metavar="DIR", type=Text(), help="Where that key is."),
    click.option(
        "--sign-from-file",
        metavar="FILE",
        type=Place(path_type=Path),
        help="Sign the commit with the secret key in this file, in base64.",
    ),
    click.option(
        "--sign-type",
        metavar="TYPE",
        type=Text(),
        default="ed25519",
        show_default=True,
        help="The kind of that key.",
    ),
]
_REPO = [
    click.option(
        "--repo",
        envvar="OSTREE_REPO",
        show_envvar=True,
        required=True,
        type=Place(path_type=Path),
        help="The ostree repo; made in bare-user mode where there is none.",
    ),
    click.option("--branch", type=Branch(), help="The branch to commit to."),
    click.option("--subject", type=Text(empty=True), help="The commit's subject."),
    click.option(
        "--timestamp",
        type=Timestamp(),
        help="The commit's time, @SECONDS or ISO 8601; else the newest image's.",
    ),
    *_SIGNING,
]
_CONTENTS = [
    click.option(
        "--form",
        type=click.Choice([form.value for form in Form]),
        default=Form.STORE.value,
        help="store: a containers-storage tree of the images; layers: the layers' branches alone;"
        " rootfs: an image's root file system.",
    ),
    click.option(
        "--bundle",
        is_flag=True,
        help="With --form=rootfs: an OCI runtime bundle, config.json and rootfs/.",
    ),
    click.option(
        "--flatten",
        is_flag=True,
        help="Store each image with all of its files in one layer, and no whiteouts.",
    ),
    click.option(
        "--prefix",
        metavar="DIR",
        type=NotEmpty(),
        default="/usr/lib/containers/storage",
        show_default=True,
        help="Where the store lies in the commit.",
    ),
    click.option(
        "--onto",
        metavar="BRANCH",
        type=Text(),
        help="Put the store into the operating system of this branch; --branch says where to.",
    ),
    click.option(
        "--existing-store",
        type=click.Choice([choice.value for choice in ExistingStore]),
        default=ExistingStore.ERROR.value,
        show_default=True,
        help="With --onto: what to do with a store that is at the prefix already.",
    ),
    click.option(
        "--storage-conf",
        is_flag=True,
        help="Also name the store in /usr/etc/containers/storage.conf.",
    ),
    click.option(
        "--selinux-label",
        type=Context(),
        help="The SELinux label of all files of the store.",
    ),
    click.option(
        "--selinux-policy",
        metavar="base|DIR",
        type=Text(),
        help="Label what is added by the policy of the base commit, or of a root directory.",
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
        "--authfile",
        metavar="FILE",
        type=NotEmpty(),
        help="Registry credentials, as `skopeo login` writes them.",
    ),
    click.option(
        "--creds", metavar="USER[:PASSWORD]", type=NotEmpty(), help="Registry credentials."
    ),
    click.option(
        "--cert-dir", metavar="DIR", type=NotEmpty(), help="The registry's CA and our certificates."
    ),
    click.option(
        "--tls-verify",
        metavar="BOOL",
        type=YesNo(),
        help="false allows registries without valid TLS.",
    ),
    click.option(
        "--policy",
        metavar="FILE",
        type=NotEmpty(),
        help="A signature policy, containers-policy.json(5).",
    ),
    click.option(
        "--insecure-policy", is_flag=True, help="Check no signatures, whatever the policy says."
    ),
    click.option("--arch", type=NotEmpty(), help="Take this architecture out of an index."),
    click.option("--os", type=NotEmpty(), help="Take this operating system out of an index."),
    click.option(
        "--variant",
        type=NotEmpty(),
        help="Take this variant of the architecture out of an index.",
    ),
    click.option(
        "--retry-times",
        type=click.IntRange(0, 100),
        default=0,
        help="How often to try again what cannot be fetched.",
    ),
]


def _descriptor(_ctx: click.Context, _param: click.Parameter, value: int | None) -> int | None:
    """Found out now, and not in the middle of the work."""
    if value is not None:
        try:
            mode = fcntl.fcntl(value, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError as error:
            raise click.BadParameter(f"{value} is not open: {error.strerror}") from None
        if mode == os.O_RDONLY:
            raise click.BadParameter(f"{value} is not open for writing")
    return value


_MESSAGES = [
    click.option("--quiet", "-q", is_flag=True, help="No progress, no messages but errors."),
    click.option("--verbose", "-v", is_flag=True, help="More messages."),
    click.option("--log-json", is_flag=True, help="Messages and errors as JSON, an object a line."),
    click.option(
        "--progress-fd",
        type=click.IntRange(min=0),
        metavar="N",
        callback=_descriptor,
        help="Write progress to this file descriptor, a JSON object a line.",
    ),
]
_OUTPUT = [
    *_MESSAGES,
    click.option("--json", "as_json", is_flag=True, help="The result as a JSON document."),
    click.option("--unchanged-exit-77", is_flag=True, help="Exit with 77 if nothing changed."),
]


def common(command: Command) -> Command:
    """All of them, on a command."""
    return _with([*_CONTENTS, *_REPO, *_SKOPEO, *_OUTPUT], command)


def local(command: Command) -> Command:
    """All but those for a registry."""
    return _with([*_CONTENTS, *_REPO, *_OUTPUT], command)


def _with(options: Sequence[Callable[[Any], Any]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def messages(command: Command) -> Command:
    """Those for what is told beside the result."""
    return _with(_MESSAGES, command)


def signed(command: Command) -> Command:
    """Those for signing a commit."""
    return _with(_SIGNING, command)


def target(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `Target`, out of a command's options."""
    _check_fit(values)
    return {
        "repo": values["repo"],
        "form": Form(values["form"]),
        "bundle": values["bundle"],
        "flatten": values["flatten"],
        "branch": values["branch"],
        "onto": values["onto"],
        "existing_store": ExistingStore(values["existing_store"]),
        "storage_conf": values["storage_conf"],
        "labelling": Labelling(values["selinux_label"], values["selinux_policy"]),
        "prefix": _prefix(values["prefix"]),
        "layer_options": LayerOptions(
            DeviceNodes(values["device_nodes"]),
            Limits(values["max_layer_size"], values["max_layer_entries"]),
        ),
        "subject": values["subject"],
        "timestamp": values["timestamp"],
        "signing": signing(values),
    }


_OF_A_STORE = (
    "flatten",
    "onto",
    "storage_conf",
    "selinux_label",
    "selinux_policy",
)
# Layers have branches and commits of their own, which are the same for everybody.
_OF_A_COMMIT = ("branch", "subject", "timestamp", "gpg_sign", "sign_from_file")


def _check_fit(values: dict[str, Any]) -> None:
    """A usage error for options that say nothing together."""
    form, onto = values["form"], values["onto"]
    for name in _OF_A_STORE:
        if values[name] and form != Form.STORE.value:
            raise click.UsageError(f"{_option(name)} is for --form=store")
    for name in _OF_A_COMMIT:
        if values[name] is not None and form == Form.LAYERS.value:
            raise click.UsageError(f"{_option(name)} is not for --form=layers")
    if values["bundle"] and form != Form.ROOTFS.value:
        raise click.UsageError("--bundle is for --form=rootfs")
    if onto and not values["branch"]:
        raise click.UsageError("--onto needs --branch, the branch to commit the result to")
    if onto and onto == values["branch"]:
        raise click.UsageError("--branch has to be another than --onto, which stays as it is")
    if not onto and values["selinux_policy"] == "base":
        raise click.UsageError("--selinux-policy=base is for --onto")
    if not onto and values["existing_store"] != ExistingStore.ERROR.value:
        raise click.UsageError("--existing-store is for --onto")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _prefix(prefix: str) -> str:
    names = prefix.split("/")[1:]
    if not prefix.startswith("/") or any(name in ("", ".", "..") for name in names):
        message = "an absolute path is meant, with no '.', '..' or '//' in it and no '/' at its end"
        raise click.BadParameter(message, param_hint="--prefix")
    try:
        for name in components(os.fsencode(prefix)):
            refuse_quoted(name)
    except LayerError as error:
        raise click.BadParameter(str(error), param_hint="--prefix") from None
    return prefix


def skopeo(values: dict[str, Any]) -> Skopeo:
    """How to call skopeo, out of a command's options."""
    return Skopeo(**{name: values[name] for name in Skopeo.__dataclass_fields__})


def signing(values: dict[str, Any]) -> tuple[GpgKey | KeyFile, ...]:
    """What to sign with, if anything."""
    key, file = values["gpg_sign"], values["sign_from_file"]
    if values["gpg_homedir"] and not key:
        raise click.UsageError("--gpg-homedir needs --gpg-sign")
    by_gpg = (GpgKey(key, values["gpg_homedir"]),) if key else ()
    return (*by_gpg, KeyFile(file, values["sign_type"])) if file else by_gpg
