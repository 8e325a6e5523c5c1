"""Images from a mirror keep the name that the user writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.image import build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.registry import Registry
from tests.tools.tarbuild import Entry

CONF = """\
[[registry]]
location = "{source}/mirrored"

[[registry.mirror]]
location = "{mirror}/copies"
insecure = true
"""
SETS = """\
apiVersion: config.openshift.io/v1
kind: {kind}
metadata:
  name: a
spec:
  {key}:
  - source: {source}/mirrored
    mirrors: [{mirror}/copies]
    mirrorSourcePolicy: NeverContactSource
"""
DIGESTS = SETS.replace("{kind}", "ImageDigestMirrorSet").replace("{key}", "imageDigestMirrors")
TAGS = SETS.replace("{kind}", "ImageTagMirrorSet").replace("{key}", "imageTagMirrors")


@pytest.fixture(scope="module")
def mirror() -> Iterator[Registry]:
    with Registry() as made:
        yield made


@pytest.mark.parametrize(
    ("conf", "by_tag"), [(CONF, True), (DIGESTS, False), (TAGS, True)], ids=["conf", "idms", "itms"]
)
def test_an_image_from_a_mirror_keeps_its_name(
    registry: Registry, mirror: Registry, layout: Path, tmp_path: Path, conf: str, by_tag: bool
) -> None:
    """The registry of its name has no such image, and is asked for none."""
    built = build_oci(layout, "t", [[Entry(b"f", content=b"x")]])
    mirror.push(built, "copies/a:t")
    file = tmp_path / "mirrors"
    file.write_text(conf.format(source=registry.host, mirror=mirror.host))
    name = f"{registry.host}/mirrored/a" + (":t" if by_tag else f"@{built.digest}")
    registry.requests()
    options = ["--tls-verify=false", "--branch=all", f"--registries-conf={file}"]
    document = imported(tmp_path / "repo", *options, name)
    assert document["images"][0]["names"] == [name]
    assert registry.requests() == []
    refused = run_import(tmp_path / "other", "--tls-verify=false", name)
    assert refused.status == 1


def test_a_file_that_sets_no_mirrors_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text("kind: Pod\n")
    for file, said in (("pod.yaml", "Pod sets no mirrors"), ("none", "cannot be read")):
        option = f"--registries-conf={tmp_path}/{file}"
        outcome = run_import(tmp_path / "repo", option, "localhost/a:t")
        assert outcome.status == 1
        assert said in outcome.said("error")[0]
