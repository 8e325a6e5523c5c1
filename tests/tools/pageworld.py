"""What the pages of the documentation take for granted: images in registries, a release and its
controller, a repo with operating systems, a pull secret. All pages share the registry."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from tests.tools import ostreerepo, rebase
from tests.tools.artifact import push_artifact
from tests.tools.busybox import busybox_layer
from tests.tools.controller import Controller, accepted
from tests.tools.entry import Entry, whiteout
from tests.tools.image import build_oci
from tests.tools.nightly import Nightlies
from tests.tools.osbase import commit_os, os_tree
from tests.tools.ownnetwork import OwnNetwork
from tests.tools.pagemachine import PageMachine, page_machine
from tests.tools.registry import Registry

STREAM = "4.20.0-0.nightly"
#: The branches of operating systems that pages name.
SYSTEMS = ("fedora/stable/x86_64/iot", "os", "rhel/9/x86_64/edge")
FOLDERS = [Entry(name, "dir", mode=0o755) for name in (b"usr", b"usr/lib")]


def folders_of(path: str) -> list[Entry]:
    """The directories that lead to a file."""
    parents = [*PurePath(path).parents][-2::-1]
    return [Entry(bytes(one), "dir", mode=0o755) for one in parents]


_CONTEXTS = "etc/selinux/targeted/contexts/files/file_contexts"
POLICY = [
    *folders_of(_CONTEXTS),
    Entry(_CONTEXTS.encode(), content=b"/.* system_u:object_r:default_t:s0\n"),
]
#: A Docker daemon with an image, whose socket is the argument.
_DOCKERD = """
dockerd --host unix://SOCKET --iptables=false --ip6tables=false --bridge=none \\
    --storage-driver overlay2 --data-root /var/lib/docker > dockerd.log 2>&1 &
timeout 60 sh -c 'until docker --host unix://SOCKET info; do sleep 0.2; done' > info.log 2>&1
skopeo copy --quiet --dest-daemon-host unix://SOCKET docker://docker.io/library/nginx:1 \\
    docker-daemon:NAME
"""
_TWO = """
import-image --quiet --repo=/srv/repo --branch=release/4.19 quay.io/example/db:1
import-image --quiet --repo=/srv/repo --branch=release/4.20 quay.io/example/{app,db}:1
"""
_TREE = """
mkdir -p /srv/root/usr/lib/app
mknod /srv/root/usr/lib/app/gone c 0 0
"""
_DEVICE = """
import-image --quiet --repo=/srv/repo --branch=apps quay.io/microshift/busybox:1.36
ostree checkout --repo=/srv/repo --process-passthrough-whiteouts apps /srv/device
printf '[storage]\ndriver = "overlay"\ngraphroot = "/var/lib/containers/storage"\n' \\
    > /etc/containers/storage.conf
printf 'runroot = "/run/containers/storage"\n[storage.options]\nadditionalimagestores = ["%s"]\n' \\
    /srv/device/usr/lib/containers/storage >> /etc/containers/storage.conf
"""
_PULLED = "podman pull --quiet quay.io/example/app:1\n"
_LAYOUT = """
mkdir build
skopeo copy --quiet docker://quay.io/example/app:1 oci:build/web:latest
"""
#: What a page's commands find on the machine beside that, by the page's name.
BEFORE = {
    "artifacts.md": "echo quay.io/example/app:1 > images.txt\n" + _TWO,
    "README.md": _PULLED + _TREE,
    "bootc.md": """
echo 'FROM quay.io/example/os:10' > Containerfile
import-image --quiet --repo=/srv/repo --whiteouts=none --branch=platform quay.io/example/db:1
import-image --quiet --repo=/srv/repo --whiteouts=none --branch=services quay.io/example/app:1
""",
    "docker.md": _TREE + "mkdir /srv/root/usr/lib/docker\n",
    "existing-store.md": _PULLED
    + _DOCKERD.replace("SOCKET", "/run/docker.sock").replace("NAME", "nginx:1"),
    "housekeeping.md": _TWO,
    "lists.md": _LAYOUT
    + """
mkdir /etc/containers/systemd
printf '[Container]\nImage=quay.io/example/app:1\n' > /etc/containers/systemd/app.container
mkdir -p overlays/prod
echo 'resources: [pod.yaml]' > overlays/prod/kustomization.yaml
echo '{apiVersion: v1, kind: Pod, metadata: {name: app}, spec: {containers: [
    {name: app, image: "quay.io/example/app:1"}]}}' > overlays/prod/pod.yaml
""",
    "podman.md": _DEVICE,
    "registries.md": _PULLED
    + _LAYOUT
    + _DOCKERD.replace("SOCKET", "/run/other.sock").replace("NAME", "app:1")
    + """
skopeo copy --quiet docker://quay.io/example/app:1 dir:app
skopeo copy --quiet docker://quay.io/example/app:1 docker-archive:nginx.tar:nginx:1
echo me:secret > registry.creds
""",
    "signatures.md": """
mkdir --mode=700 release-keys
gpg --homedir release-keys --batch --quiet --passphrase '' --quick-generate-key \\
    release@example.com ed25519 sign
""",
    "store-in-place.md": "tree=$PWD/tree\nmkdir -p $tree/usr/share/containers\n",
    "upgrades.md": _TWO,
}
#: What has to succeed after a page's commands.
AFTER = {
    "microshift.md": """
python3 -m http.server --directory /srv/repo 8080 > http.log 2>&1 &
timeout 60 sh -c 'until curl --silent localhost:8080; do sleep 0.1; done' > curl.log
ostree init --repo=/srv/device --mode=bare
ostree remote add --repo=/srv/device --no-gpg-verify builds http://localhost:8080
ostree pull --repo=/srv/device builds device/x86_64
""",
    "nightly.md": """
export ARTIFACT_DIR=$PWD SHARED_DIR=$PWD STREAM=4.20.0-0.nightly OSTREE_URL=file:///srv/repo
ostree summary --repo=/srv/repo --update
mkdir /run/pull-secret
cp pull-secret.json /run/pull-secret/.dockerconfigjson
publish() { rm -r /srv/repo; cp -a "$1" /srv/repo; }
export -f publish
for round in 1 2; do bash import-nightly-images-commands.sh; rm -r /tmp/repo; done
test -s commits
test -e unchanged
job=$(sed -n '/^ExecStart=/,/result.json/p' /etc/systemd/system/nightly-images.service)
mkdir /var/lib/nightly
export OSTREE_REPO=/srv/repo CREDENTIALS_DIRECTORY=/etc/nightly EXIT_STATUS=0
bash -c "${job#ExecStart=}"
test -s /var/lib/nightly/lock.json -a -s /var/lib/nightly/result.json
/usr/local/libexec/nightly-done
""",
}
#: Pages that make /srv/repo themselves.
WITHOUT_REPO = ("microshift.md", "nightly.md")
CSV = b"manifests/op.clusterserviceversion.yaml"
CSV_TEXT = b"""
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata: {name: op.v1}
spec: {relatedImages: [{name: app, image: "quay.io/example/app:1"}]}
"""
#: The components of the release: MicroShift's, and those that its rebase takes from the payload.
COMPONENTS = (
    *("cli", "coredns", "etcd", "pod", *rebase.MULTUS, *rebase.OLM),
    *("multus-cni-microshift", "containernetworking-plugins-microshift"),
    *("operator-lifecycle-manager", "operator-registry"),
)
OF_MICROSHIFT = ("cli", "coredns", "etcd", "pod")


@dataclass(frozen=True)
class PageWorld:
    """Made by `page_world`. Each page has copies of the files in `work`."""

    network: OwnNetwork
    home: Path
    env: dict[str, str]

    @contextmanager
    def machine(self, home: Path, page: str) -> Iterator[PageMachine]:
        """A machine of a page's own."""
        with page_machine(self.network, home, self.env) as made:
            shutil.copytree(self.home / "work", made.work, dirs_exist_ok=True, symlinks=True)
            if page not in WITHOUT_REPO:
                shutil.copytree(made.work / "edge-commit/repo", home / "srv/repo", symlinks=True)
            yield made


@contextmanager
def page_world(home: Path) -> Iterator[PageWorld]:
    """All of it, for as long as the block lasts."""
    with OwnNetwork() as network:
        registry = network.call(Registry(port=80).__enter__)
        controller = network.call(Controller().__enter__)
        try:
            (home / "work").mkdir(parents=True)
            network.call(_push, registry, home / "layout")
            network.call(_release, registry, controller, home)
            _repo(home)
            yield PageWorld(network, home, {"IMPORT_RELEASE_CONTROLLER": controller.template})
        finally:
            controller.__exit__(None, None, None)
            registry.stop()


def _push(registry: Registry, layout: Path) -> None:
    runs = busybox_layer()
    own = [Entry(b"srv", "dir"), Entry(b"srv/page", content=b"page")]
    again = [whiteout(b"srv/page"), Entry(b"srv/other", content=b"other")]
    for name, layers in {
        "microshift/busybox:1.36": [runs],
        "example/app:1": [runs, own, again],
        "example/db:1": [runs, own],
        "op-bundle:v1": [[Entry(b"manifests", "dir"), Entry(CSV, content=CSV_TEXT)]],
        "pause:3.10": [runs],
        "library/nginx:1": [runs, own],
        "example/os:10": [runs, FOLDERS, POLICY],
        "example/empty:1": [FOLDERS],
        "example/device:10.1": [runs],
        "example/device:10.2": [runs, own],
        "rhel10-microshift:4.22": [FOLDERS, POLICY],
    }.items():
        built = build_oci(layout, name.replace("/", "-").replace(":", "-"), layers)
        registry.push(built, name)
    for name in ("models/granite:3.1", "models/whisper:1"):
        push_artifact(registry, name, {"model.bin": name.encode()})


def _release(registry: Registry, controller: Controller, home: Path) -> None:
    prefix = "openshift-release-dev"
    nightlies = Nightlies(registry, home / "releases", prefix, components=COMPONENTS)
    made = {}
    for arch, suffix, uname in (("amd64", "", "x86_64"), ("arm64", "-arm64", "aarch64")):
        nightly = nightlies.push(f"{STREAM}{suffix}-2026-05-06-070809", arch)
        controller.stream(STREAM + suffix, arch, accepted(nightly.name, nightly.pullspec))
        images = {name: nightly.pullspecs[name] for name in OF_MICROSHIFT}
        document = json.dumps({"release": {"base": nightly.name}, "images": images}, indent=2)
        text = document.replace(registry.host, "quay.io")
        (home / f"work/release-{uname}.json").write_text(text + "\n")
        path = f"usr/share/microshift/release/release-{uname}.json"
        entries = [*folders_of(path), Entry(path.encode(), content=text.encode())]
        built = build_oci(home / "layout", f"os-{arch}", [entries], architecture=arch)
        if arch == "amd64":
            registry.push(built, "microshift-os:4.20")
        (home / f"work/release_{arch}.json").write_text(json.dumps(nightly.release_info()))
        made[arch] = nightly
    checkout = rebase.repository(home / "microshift", made)
    for folder in ("assets", "packaging"):
        shutil.copytree(checkout / folder, home / "work" / folder)
    secret = {"auths": {"quay.io": {"auth": "bWU6c2VjcmV0"}}}
    (home / "work/pull-secret.json").write_text(json.dumps(secret))


def _repo(home: Path) -> None:
    repo = ostreerepo.init(home / "work/edge-commit/repo", "archive")
    root = os_tree(home / "os")
    for branch in SYSTEMS:
        commit_os(repo, branch, root)
    head = ostreerepo.ostree(repo, "rev-parse", SYSTEMS[0]).strip()
    ostreerepo.ostree(repo, "remote", "add", "--no-gpg-verify", "fedora", "https://x.example")
    ostreerepo.ostree(repo, "refs", f"--create=fedora:{SYSTEMS[0]}", head)
