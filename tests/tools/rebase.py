"""MicroShift's files of images, in a git repository, and what its rebase.sh writes into them.

The rules are those of scripts/auto-rebase/rebase.sh in openshift/microshift (read at commit
8e16b12fda): update_images for the release files and CRI-O's pause image (jq, sed), and
update_multus_images and update_olm_images for kustomizations and release files that are written
anew (here documents, jq for yq). The files have the shape of that commit's; the texts are ours.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.tools.nightly import Nightly
from tests.tools.process import run

UNAME = {"amd64": "x86_64", "arm64": "aarch64"}
#: Components of the nightlies in the places of multus' and of OLM's own.
MULTUS = ("ovn-kubernetes-microshift", "topolvm")
OLM = {
    "hyperkube": "quay.io/operator-framework/olm",
    "oauth-proxy": "quay.io/operator-framework/configmap-operator-registry",
    "kube-rbac-proxy": "quay.io/openshift/origin-kube-rbac-proxy",
}
RELEASE = "assets/release/release-{}.json"
MULTUS_DIR = "assets/components/multus"
OLM_DIR = "assets/optional/operator-lifecycle-manager"
CRIO = "packaging/crio.conf.d/10-microshift_{}.conf"
CRIO_TEXT = """\
# the pull secret is mandatory for builds on top of OpenShift
[crio.image]
global_auth_file="/etc/crio/openshift-pull-secret"
pause_image = "{}"
pause_image_auth_file = "/etc/crio/openshift-pull-secret"
pause_command = "/usr/bin/pod"
"""
ENTRY = "  - name: {}\n    newName: {}\n    digest: {}\n"
PATCHES = """
patches:
  - patch: |-
     - op: add
       path: /spec/template/spec/containers/0/env/-
       value:
         name: OPERATOR_REGISTRY_IMAGE
         value: {}
     - op: add
       path: /spec/template/spec/containers/0/env/-
       value:
         name: OLM_IMAGE
         value: {}
    target:
      kind: Deployment
      labelSelector: app=catalog-operator
"""


def repository(where: Path, nightlies: Mapping[str, Nightly]) -> Path:
    """A git repository after the rebase to these nightlies, by architecture."""
    components = ["cli", "coredns", "pod", "etcd"]
    for uname in UNAME.values():
        images = dict.fromkeys(components, "quay.io/old/image@sha256:0") | {
            "lvms_operator": "registry.redhat.io/lvms4/lvms-rhel9-operator@sha256:10c9"
        }
        _write(where / RELEASE.format(uname), {"release": {"base": "old"}, "images": images})
    tags = [
        {"name": name, "from": {"kind": "DockerImage", "name": f"{image}:latest"}}
        for name, image in OLM.items()
    ]
    _write(where / OLM_DIR / "image-references", {"kind": "ImageStream", "spec": {"tags": tags}})
    for goarch in UNAME:
        path = where / CRIO.format(goarch)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CRIO_TEXT.format("old"))
    rebase(where, nightlies)
    git(where, "init", "--quiet")
    git(where, "add", ".")
    git(where, "-c", "user.name=n", "-c", "user.email=e@x.org", "commit", "--quiet", "-m", "first")
    return where


def git(repository: Path, *arguments: str) -> str:
    """Runs git there, with no configuration of the user's."""
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    return run(["git", "-C", repository, *arguments], env=env)


def rebase(where: Path, nightlies: Mapping[str, Nightly]) -> None:
    """What rebase.sh does to the files."""
    for goarch, uname in UNAME.items():
        nightly = nightlies[goarch]
        release = where / RELEASE.format(uname)
        _jq(release, ".release.base = $base", base=nightly.name)
        _jq(
            release,
            ".images += ($all | with_entries(select(.key as $k | $names | index($k))))",
            all=nightly.pullspecs,
            names=list(json.loads(release.read_text())["images"]),
        )
        crio = where / CRIO.format(goarch)
        pause = f'pause_image = "{nightly.pullspecs["pod"]}"'
        crio.write_text(re.sub("pause_image =.*", pause, crio.read_text()))
        multus = {name: name for name in MULTUS}
        _kustomization(where / MULTUS_DIR, uname, nightly, multus)
        _new_release(where / MULTUS_DIR / f"release-multus-{uname}.json", nightly, multus)
        _kustomization(where / OLM_DIR, uname, nightly, OLM)
        _new_release(where / OLM_DIR / f"release-olm-{uname}.json", nightly, OLM)
        olm, registry = (nightly.pullspecs[name] for name in ("hyperkube", "oauth-proxy"))
        with (where / OLM_DIR / f"kustomization.{uname}.yaml").open("a") as file:
            file.write(PATCHES.format(registry, olm))


def _kustomization(directory: Path, uname: str, nightly: Nightly, names: Mapping[str, str]) -> None:
    entries = (
        ENTRY.format(image, *nightly.pullspecs[component].split("@"))
        for component, image in names.items()
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"kustomization.{uname}.yaml").write_text("\nimages:\n" + "".join(entries))


def _new_release(path: Path, nightly: Nightly, names: Mapping[str, str]) -> None:
    images = {name: nightly.pullspecs[name] for name in names}
    _write(path, {"release": {"base": nightly.name}, "images": images})


def _write(path: Path, document: object) -> None:
    """As jq writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["jq", "."], input=json.dumps(document).encode(), capture_output=True, check=True
    )
    path.write_bytes(done.stdout)


def _jq(path: Path, program: str, **values: object) -> None:
    given = [one for name, value in values.items()
             for one in ("--argjson", name, json.dumps(value))]  # fmt: skip
    path.write_text(run(["jq", *given, program, path]))
