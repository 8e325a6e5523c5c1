"""The signature policy in force decides at every call, also for what is here already."""

import json
from pathlib import Path
from typing import Any

import pytest

from layers.oci.reference import Reference
from layers.oci.signature_policy import accepts_anything
from tests.tools.image import BuiltImage, build_oci
from tests.tools.importimage import How, imported, run_import
from tests.tools.importrelease import failed, released
from tests.tools.registry import Registry
from tests.tools.releaseworld import World
from tests.tools.tarbuild import Entry

ANYTHING = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]
#: As Fedora and RHEL have it.
REDHAT = {
    "default": ANYTHING,
    "transports": {
        "docker": {
            "registry.access.redhat.com": [
                {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/etc/pki/rpm-gpg/release"}
            ]
        },
        "docker-daemon": {"": ANYTHING},
    },
}
#: Scopes that r.io:5000/a/b:c may be looked up by.
MATCHING = (
    *("", "*.io", "r.io", "r.io:5000", "r.io:5000/a", "r.io:5000/a/b", "r.io:5000/a/b:c"),
    "r.io:5000/a/b@sha256:" + "0" * 64,
)


def at(scope: str) -> dict[str, Any]:
    """A policy that rejects this scope alone."""
    return {"default": ANYTHING, "transports": {"docker": {scope: REJECT}}}


def oci(requirements: object) -> dict[str, Any]:
    """A policy that accepts anything but for a directory."""
    return {"default": ANYTHING, "transports": {"oci": {"/y": requirements}}}


def home_with(where: Path, policy: object) -> How:
    """An environment whose user has this policy, and gave no --policy."""
    file = where / "home" / ".config" / "containers" / "policy.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(policy))
    return {"env": {"HOME": str(where / "home")}}


@pytest.fixture
def image(layout: Path) -> BuiltImage:
    return build_oci(layout, "t", [[Entry(b"a")]])


def rejects(outcome: Any) -> None:
    assert outcome.status == 1, outcome
    assert "rejected by policy" in outcome.said("error")[0]


def test_an_image_that_came_without_a_check_is_checked_later(
    repo: Path, tmp_path: Path, registry: Registry, image: BuiltImage
) -> None:
    """Refused, taken once with --insecure-policy, and refused again."""
    reference = registry.by_digest(image, registry.push(image, "policy/a:t") and "policy/a")
    strict = home_with(tmp_path, {"default": REJECT})
    rejects(run_import(repo, "--branch=x", reference, **strict))
    imported(repo, "--branch=x", "--insecure-policy", reference, **strict)
    rejects(run_import(repo, "--branch=x", reference, **strict))


def test_an_image_without_a_signature_is_asked_for_once(
    repo: Path, tmp_path: Path, registry: Registry, image: BuiltImage
) -> None:
    key = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nowhere"}
    reference = registry.push(image, "policy/unsigned:t")
    registry.requests()
    strict = home_with(tmp_path, {"default": [key]})
    outcome = run_import(repo, "--retry-times=3", reference, **strict)
    assert outcome.status == 1
    assert "A signature was required" in outcome.said("error")[0]
    assert "containers-policy.json(5)" in outcome.said("hint")[0]
    manifests = [one.path for one in registry.requests() if "/manifests/" in one.path]
    assert len(manifests) == 2  # the tag's, and that digest's by the proxy


@pytest.mark.parametrize("policy", [{"default": ANYTHING}, REDHAT], ids=["debian", "redhat"])
def test_nobody_is_asked_where_anything_is_accepted(
    repo: Path, tmp_path: Path, registry: Registry, image: BuiltImage, policy: object
) -> None:
    reference = registry.by_digest(image, registry.push(image, "policy/b:t") and "policy/b")
    home = home_with(tmp_path, policy)
    imported(repo, "--branch=x", reference, **home)
    registry.requests()
    imported(repo, "--branch=x", reference, **home)
    assert registry.requests() == []


def test_a_lock_is_no_way_around_it(world: World, copied: Path, tmp_path: Path) -> None:
    """What the lock names, and the repo has, was all resolved and fetched before."""
    lock = tmp_path / "lock.json"
    file, branch = world.file(world.first, tmp_path)
    released(copied, file, branch, f"--lock={lock}")
    strict = home_with(tmp_path, {"default": REJECT})
    outcome = failed(copied, f"--locked={lock}", branch, **strict)
    assert "rejected by policy" in "\n".join(outcome.said("error"))


@pytest.mark.parametrize(
    ("policy", "reference", "accepted"),
    [
        ({"default": ANYTHING}, "r.io/a:b", True),
        ({"default": REJECT}, "r.io/a:b", False),
        ({"default": []}, "r.io/a:b", False),
        ({}, "r.io/a:b", False),
        ([], "r.io/a:b", False),
        ({"default": ANYTHING, "transports": []}, "r.io/a:b", False),
        ({"default": ANYTHING, "transports": {"docker": 5}}, "r.io/a:b", False),
        (REDHAT, "quay.io/a:b", True),
        (REDHAT, "registry.access.redhat.com/ubi9:1", False),
        (REDHAT, "oci:/x:t", True),
        ({"default": ANYTHING, "transports": {"oci": {"/y": REJECT}}}, "oci:/x:t", False),
        ({"default": ANYTHING, "Transports": {}}, "r.io/a:b", False),
        (oci([]), "r.io/a:b", False),
        (oci([{"type": "Reject"}]), "r.io/a:b", False),
        (oci([{"type": []}]), "r.io/a:b", False),
        (oci([{"type": "reject", "why": 1}]), "r.io/a:b", False),
        (oci(REJECT), "r.io/a:b", True),
        *((at(scope), "r.io:5000/a/b:c", False) for scope in MATCHING),
        (at("*.org"), "r.io:5000/a/b:c", True),
        (at("r.io:5000/z"), "r.io:5000/a/b:c", True),
    ],
)
def test_where_anything_is_accepted(policy: object, reference: str, accepted: bool) -> None:
    raw = json.dumps(policy).encode()
    assert accepts_anything(raw, Reference.parse(reference)) is accepted


@pytest.mark.parametrize("raw", [b"", b"{", b'{"default": 1, "default": 2}', b"\xff"])
def test_a_policy_that_cannot_be_read_is_for_skopeo_to_refuse(raw: bytes) -> None:
    assert not accepts_anything(raw, Reference.parse("r.io/a:b"))
