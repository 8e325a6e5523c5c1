"""Options on registries: access, trust, patience. Most are skopeo's own."""

from __future__ import annotations

from pathlib import Path

from importer.cli.options.declare import Heading, OptionGroup, flag, option, options
from importer.cli.options.rules import exclusive
from importer.cli.options.types import NotEmpty, Number, PlaceType, Seconds, YesNo


@options
class Access(OptionGroup):
    """How to reach a registry, and which signatures images must have."""

    HEADING = Heading.REGISTRY
    COMMON = ("authfile",)
    RULES = (exclusive("creds", "creds_file"),)

    authfile: str | None = option(
        "--authfile",
        metavar="FILE",
        type=NotEmpty(),
        help="Registry credentials, as `skopeo login` writes them.",
    )
    creds: str | None = option(
        "--creds",
        metavar="USER[:PASSWORD]",
        type=NotEmpty(),
        help="Credentials for the one registry that the command line names. Other users of this"
        " machine see them in the process table; --creds-file shows them to nobody.",
    )
    creds_file: Path | None = option(
        "--creds-file",
        metavar="FILE",
        type=PlaceType(directory=False, dash=True),
        help="A file with USER[:PASSWORD] on one line, in place of --creds. `-` reads standard"
        " input.",
    )
    cert_dir: str | None = option(
        "--cert-dir",
        metavar="DIR",
        type=NotEmpty(),
        help="A directory with the registry's CA and with our own certificates.",
    )
    tls_verify: bool | None = option(
        "--tls-verify",
        metavar="BOOL",
        type=YesNo(),
        help="With false, accept registries without valid TLS.",
    )
    registries_conf: Path | None = option(
        "--registries-conf",
        metavar="FILE",
        type=PlaceType(),
        help="Mirrors: a containers-registries.conf(5) in place of the machine's own, or YAML of"
        " OpenShift's ImageDigestMirrorSet and ImageTagMirrorSet. Images keep their names.",
    )
    policy: str | None = option(
        "--policy",
        metavar="FILE",
        type=NotEmpty(),
        help="A signature policy, containers-policy.json(5).",
    )
    insecure_policy: bool = flag(
        "--insecure-policy", help="Check no signatures, whatever the policy says."
    )
    timeout: float = option(
        "--timeout",
        metavar="SECONDS",
        type=Seconds(),
        default=60.0,
        shown="60",
        help="How many seconds a registry or release controller may be silent, or send fewer than"
        " 1000 bytes a second.",
    )


@options
class RegistryOptions(Access):
    """How to import from a registry."""

    keep_signatures: bool = flag(
        "--keep-signatures",
        help="Keep the images' signatures in the store, for a signature policy of CRI-O on the"
        " device: sigstore attachments, and simple signatures as registries.d says.",
    )


@options
class Retries(OptionGroup):
    """Patience with a registry."""

    HEADING = Heading.REGISTRY

    retry_times: int = option(
        "--retry-times",
        type=Number(0, 100),
        default=3,
        help="How many times to repeat a fetch that failed.",
    )
