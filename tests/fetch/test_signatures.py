"""`--keep-signatures`: what skopeo signs and pushes is in the store, byte for byte.

skopeo's own copy to a dir: says what the signatures are; its copy out of the store, by a policy
that requires them, says that containers-storage finds them.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.expected import checked_out_store
from tests.tools.gpg import gpg, gpg_home, stop_agent
from tests.tools.httpserver import http_server
from tests.tools.image import BuiltImage, build_index, build_oci
from tests.tools.importimage import Outcome, run_import
from tests.tools.podman import new_podman
from tests.tools.process import CommandError, run
from tests.tools.registry import Registry
from tests.tools.store import store_images
from tests.tools.storecommand import answered, image_store
from tests.tools.tarbuild import Entry

pytestmark = pytest.mark.root

KINDS = ("sigstore", "gpg")


@dataclass
class Signer:
    """Two keys of each kind, a lookaside directory, and the registries.d that says so."""

    home: Path
    registry: Registry

    def __post_init__(self) -> None:
        (self.home / "phrase").write_text("secret\n")
        for name in ("right", "wrong"):
            key = self.home / name
            argv = ["skopeo", "generate-sigstore-key", f"--output-prefix={key}"]
            run([*argv, f"--passphrase-file={self.home / 'phrase'}"])
        self.gpg = gpg_home(self.home / "gpg", "right")
        self.other_gpg = gpg_home(self.home / "other-gpg", "wrong")
        (self.home / "right.gpg").write_text(gpg(self.gpg, "--armor", "--export"))
        (self.home / "wrong.gpg").write_text(gpg(self.other_gpg, "--armor", "--export"))
        where = self.home / ".config/containers/registries.d"
        where.mkdir(parents=True)
        lookaside = f"file://{self.home / 'lookaside'}"
        (where / "test.yaml").write_text(
            f"docker:\n  {self.registry.host}:\n    use-sigstore-attachments: true\n"
            f"    lookaside: {lookaside}\n    lookaside-staging: {lookaside}\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        """With the home directory whose registries.d skopeo and we read."""
        return {**os.environ, "HOME": str(self.home), "GNUPGHOME": str(self.gpg)}

    def push(self, source: str, name: str, *flags: str) -> str:
        """Copies an image to the registry, and signs it by both kinds; its reference."""
        target = f"{self.registry.host}/{name}"
        argv = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", *flags]
        argv += [f"--sign-by-sigstore-private-key={self.home / 'right.private'}"]
        argv += [f"--sign-passphrase-file={self.home / 'phrase'}"]
        run([*argv, source, f"docker://{target}"], env=self.environment)
        argv = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", "--src-tls-verify=false"]
        argv += [*flags, "--sign-by=right@example.com"]
        run([*argv, f"docker://{target}", f"docker://{target}"], env=self.environment)
        return target

    def policy(self, kind: str, key: str, transport: str = "docker") -> Path:
        """A policy that takes what this key has signed alone."""
        requirement = (
            {"type": "sigstoreSigned", "keyPath": str(self.home / f"{key}.pub")}
            if kind == "sigstore"
            else {
                "type": "signedBy",
                "keyType": "GPGKeys",
                "keyPath": str(self.home / f"{key}.gpg"),
            }
        )
        requirement["signedIdentity"] = {"type": "matchRepository"}  # type: ignore[assignment]
        path = self.home / f"{kind}-{key}-{transport}.json"
        transports = {transport: {"": [requirement]}}
        path.write_text(json.dumps({"default": [{"type": "reject"}], "transports": transports}))
        return path

    def imported(self, repo: Path, *arguments: str) -> Outcome:
        """An import with the signer's home directory."""
        flags = ("--keep-signatures", "--json", *arguments)
        return run_import(repo, *flags, env={"HOME": str(self.home)})

    def known(self, reference: str, where: Path) -> list[bytes]:
        """The signatures as skopeo has them, in order."""
        argv = ["skopeo", "copy", "--quiet", "--src-tls-verify=false"]
        run([*argv, f"docker://{reference}", f"dir:{where}"], env=self.environment)
        names = sorted(where.glob("signature-*"), key=lambda one: int(one.name.partition("-")[2]))
        return [name.read_bytes() for name in names]


@pytest.fixture(scope="module")
def signer(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    made = Signer(tmp_path_factory.mktemp("signer"), registry)
    yield made
    for home in (made.gpg, made.other_gpg):
        stop_agent(home)


def test_both_kinds_are_in_the_record_and_come_out_again(
    signer: Signer, repo: Path, tmp_path: Path, layout: Path
) -> None:
    # containers-storage gives layers out uncompressed, and no signature covers that of others.
    built = build_oci(layout, "t", [[Entry(b"a", content=b"a")]], compression="none")
    reference = signer.push(f"oci:{layout}:t", "signed/one:1", "--preserve-digests")
    known = signer.known(reference, tmp_path / "theirs")
    assert {one.startswith(b"\0sigstore-json") for one in known} == {True, False}
    outcome = signer.imported(repo, "--branch=signed", reference)
    assert outcome.status == 0, outcome.stderr
    store = checked_out_store(repo, "signed", tmp_path / "out")
    (record,) = store_images(store)
    digest = json.loads(record["metadata"])["signatures-sizes"]
    assert list(digest.values()) == [[len(one) for one in known]]
    assert (store / "overlay-images" / built.image_id / "signatures").read_bytes() == b"".join(
        known
    )
    assert image_store(repo, "verify", "--quiet", "signed").status == 0
    assert answered(repo, "show", reference)["signatures"] == len(known)
    again = signer.imported(repo, "--branch=signed", reference)
    assert again.document["unchanged"]
    podman = new_podman(tmp_path / "podman", store)
    shutil.copytree(signer.home / ".config", podman.home / ".config")
    for kind in KINDS:
        policies = [signer.policy(kind, key, "containers-storage") for key in ("right", "wrong")]
        target = tmp_path / kind
        argv = ["skopeo", "copy", "--quiet", f"--policy={policies[0]}"]
        source = f"containers-storage:{reference}"
        run([*argv, source, f"dir:{target}"], env=podman.environment)
        found = [(target / f"signature-{n}").read_bytes() for n in range(1, len(known) + 1)]
        assert found == known
        argv[-1] = f"--policy={policies[1]}"
        with pytest.raises(CommandError):
            run([*argv, source, f"dir:{tmp_path / 'wrong'}"], env=podman.environment)


def test_an_export_has_them_if_its_manifest_is_the_signed_one(
    signer: Signer, repo: Path, tmp_path: Path, layout: Path
) -> None:
    build_oci(layout, "plain", [[Entry(b"a", content=b"plain")]], compression="none")
    build_oci(layout, "gzip", [[Entry(b"a", content=b"gzip")]], compression="gzip")
    names = [
        signer.push(f"oci:{layout}:{tag}", f"signed/{tag}:1", "--preserve-digests")
        for tag in ("plain", "gzip")
    ]
    assert signer.imported(repo, "--branch=signed", *names).status == 0
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    known = signer.known(names[0], theirs)
    assert answered(repo, "export", names[0], f"dir:{ours}")["signatures"] == len(known)
    assert {one.name: one.read_bytes() for one in ours.iterdir()} == {
        one.name: one.read_bytes() for one in theirs.iterdir()
    }
    into = image_store(repo, "export", names[0], f"oci:{tmp_path / 'layout'}")
    assert f"{len(known)} signatures left out: an OCI layout has no place for them" in into.stderr
    for target in (f"dir:{tmp_path / 'new'}", f"oci:{tmp_path / 'layout'}"):
        compressed = image_store(repo, "export", names[1], target)
        assert "signatures left out: they sign another manifest" in compressed.stderr
    assert not list((tmp_path / "new").glob("signature-*"))
    store = checked_out_store(repo, "signed", tmp_path / "store")
    podman = new_podman(tmp_path / "podman", store)
    argv = ["skopeo", "copy", "--quiet", f"containers-storage:{names[1]}", f"dir:{tmp_path}/out"]
    with pytest.raises(CommandError, match="signatures"):
        run(argv, env=podman.environment)
    run([*argv, "--remove-signatures"], env=podman.environment)


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_in_force_at_the_import_decides(
    signer: Signer, repo: Path, tmp_path: Path, layout: Path, kind: str
) -> None:
    build_oci(layout, "t", [[Entry(b"b", content=kind.encode())]])
    reference = signer.push(f"oci:{layout}:t", f"signed/{kind}:1")
    wrong = signer.imported(repo, f"--policy={signer.policy(kind, 'wrong')}", reference)
    assert wrong.status == 1
    assert "containers-policy.json(5)" in wrong.said("hint")[0]
    right = signer.imported(repo, f"--policy={signer.policy(kind, 'right')}", reference)
    assert right.status == 0, right.stderr
    known = signer.known(reference, tmp_path / "theirs")
    assert answered(repo, "show", reference)["signatures"] == len(known)


def test_an_image_of_an_index_has_the_signatures_of_its_own_manifest(
    signer: Signer, repo: Path, tmp_path: Path, layout: Path
) -> None:
    platforms = [
        build_oci(layout, arch, [[Entry(b"x", content=arch.encode())]], architecture=arch)
        for arch in ("amd64", "arm64")
    ]
    build_index(layout, "ix", platforms)
    reference = signer.push(f"oci:{layout}:ix", "signed/index:1", "--multi-arch=all")
    assert signer.imported(repo, "--branch=ix", "--arch=arm64", reference).status == 0
    store = checked_out_store(repo, "ix", tmp_path / "out")
    (record,) = store_images(store)
    (instance,) = json.loads(record["metadata"])["signatures-sizes"]
    assert instance == platforms[1].digest
    name = f"{reference.rpartition(':')[0]}@{instance}"
    known = signer.known(name, tmp_path / "theirs")
    data = store / "overlay-images" / str(record["id"]) / "signatures"
    assert data.read_bytes() == b"".join(known)
    assert known


def test_an_image_under_two_names(signer: Signer, repo: Path, tmp_path: Path, layout: Path) -> None:
    build_oci(layout, "t", [[Entry(b"c", content=b"c")]])
    names = [signer.push(f"oci:{layout}:t", f"signed/{name}:1") for name in ("two", "names")]
    assert signer.imported(repo, "--branch=two", *names).status == 0
    store = checked_out_store(repo, "two", tmp_path / "out")
    (record,) = store_images(store)
    assert record["names"] == sorted(names)
    data = store / "overlay-images" / str(record["id"]) / "signatures"
    known = [one for n in names for one in signer.known(n, tmp_path / n.replace("/", "-"))]
    assert all(one in data.read_bytes() for one in known)
    assert image_store(repo, "verify", "--quiet", "two").status == 0


def test_an_image_without_signatures_has_none(
    signer: Signer, registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    built = build_oci(layout, "t", [[Entry(b"d", content=b"d")]])
    assert signer.imported(repo, "--branch=none", registry.push(built, "signed/none:1")).status == 0
    (record,) = store_images(checked_out_store(repo, "none", tmp_path / "out"))
    assert (record["metadata"], "signatures" in record["big-data-names"]) == ("{}", False)


# -- a lookaside server --


def lookaside(
    registry: Registry, home: Path, repo: Path, layout: Path, *bodies: bytes
) -> tuple[Outcome, BuiltImage]:
    """Imports an image whose signatures a web server has, by the home directory's registries.d."""
    built = build_oci(layout, "t", [[Entry(b"e", content=str(home).encode())]])
    reference = registry.push(built, "signed/web:1")
    served = home / "web" / f"signed/web@sha256={built.digest.partition(':')[2]}"
    served.mkdir(parents=True)
    for number, body in enumerate(bodies, 1):
        (served / f"signature-{number}").write_bytes(body)
    where = home / ".config/containers/registries.d"
    where.mkdir(parents=True)
    with http_server(home / "web") as url:
        (where / "a.yaml").write_text(f"docker:\n  {registry.host}:\n    lookaside: {url}\n")
        flags = ("--keep-signatures", "--branch=web", "--retry-times=0", reference)
        return run_import(repo, *flags, env={"HOME": str(home)}), built


def test_signatures_come_over_http(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    outcome, built = lookaside(registry, tmp_path / "home", repo, layout, b"first", b"second")
    assert outcome.status == 0, outcome.stderr
    store = checked_out_store(repo, "web", tmp_path / "out")
    kept = store / "overlay-images" / built.image_id / "signatures"
    assert kept.read_bytes() == b"firstsecond"


def test_a_signature_without_end_is_refused(
    registry: Registry, repo: Path, tmp_path: Path, layout: Path
) -> None:
    outcome, _ = lookaside(registry, tmp_path / "home", repo, layout, bytes(5 << 20))
    assert outcome.status == 1
    assert "signature-1: the answer has more than 4194304 bytes" in outcome.stderr
