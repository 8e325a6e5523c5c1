"""Options on registries: access, trust, patience. Most are skopeo's own."""

from __future__ import annotations

from pathlib import Path

from importer.cli.options.declare import Heading, OptionGroup, flag, option
from importer.cli.options.rules import exclusive
from importer.cli.options.types import NotEmpty, Number, PlaceType, Seconds, YesNo


class Access(OptionGroup, heading=Heading.REGISTRY):
    """How to reach a registry, and which signatures images must have."""

    COMMON = ("authfile",)
    RULES = (exclusive("creds", "creds_file"),)

    authfile: str | None = option(
        NotEmpty("FILE"), help="Registry credentials, as `skopeo login` writes them."
    )
    creds: str | None = option(
        NotEmpty("USER[:PASSWORD]"),
        help="Credentials for the one registry that the command line names. Other users of this"
        " machine see them in the process table; --creds-file shows them to nobody.",
    )
    creds_file: Path | None = option(
        PlaceType("FILE", directory=False, dash=True),
        help="A file with USER[:PASSWORD] on one line, in place of --creds. `-` reads standard"
        " input.",
    )
    cert_dir: str | None = option(
        NotEmpty("DIR"), help="A directory with the registry's CA and with our own certificates."
    )
    tls_verify: bool | None = option(
        YesNo(), help="With false, accept registries without valid TLS."
    )
    registries_conf: Path | None = option(
        PlaceType("FILE"),
        help="Mirrors: a containers-registries.conf(5) in place of the machine's own, or YAML of"
        " OpenShift's ImageDigestMirrorSet and ImageTagMirrorSet. Images keep their names.",
    )
    policy: str | None = option(
        NotEmpty("FILE"), help="A signature policy, containers-policy.json(5)."
    )
    insecure_policy: bool = flag(help="Check no signatures, whatever the policy says.")
    timeout: float = option(
        Seconds(),
        default=60.0,
        shown="60",
        help="How many seconds a registry or release controller may be silent, or send fewer than"
        " 1000 bytes a second.",
    )
    retry_times: int = option(
        Number(0, 100), default=3, help="How many times to repeat a fetch that failed."
    )


class KeepSignatures(OptionGroup, heading=Heading.REGISTRY):
    keep_signatures: bool = flag(
        help="Keep the images' signatures in the store, for a signature policy of CRI-O on the"
        " device: sigstore attachments, and simple signatures as registries.d says."
    )
