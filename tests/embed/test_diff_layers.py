"""`image-store diff --layers`: what a device with one embedded image pulls for another."""

from pathlib import Path

from tests.embed.conftest import BIG, Site
from tests.tools.meter import metered_server
from tests.tools.ostreerepo import init, ostree
from tests.tools.storecommand import answered, image_store


def images(site: Site) -> list[str]:
    """The references of two nights."""
    return [f"oci:{site.out}:{one}" for one in ("two", "night")]


def test_what_a_device_pulls(site: Site) -> None:
    old, new = site.embedded("two"), site.embedded("night")
    document = answered(site.repo, "diff", "--layers", "--quiet", *images(site))
    known = {one["digest"] for one in old.layers}
    fresh = [one for one in new.layers if one["digest"] not in known]
    assert [one["digest"] for one in document["layers"]] == [one["digest"] for one in fresh]
    assert document["pull"] == {"layers": 2, "bytes": sum(one["size"] for one in fresh)}
    assert BIG < document["pull"]["bytes"] < BIG * 1.1
    assert document["total"]["layers"] == 1 + len(new.layers)
    ends = [one.document["digest"] for one in (old, new)]
    assert [document["from"], document["to"]] == ends


def test_beside_the_ostree_figures(site: Site, tmp_path: Path) -> None:
    """They are those of a real pull, and there are none for an image that is not ours."""
    for branch in ("two", "night"):
        site.embedded(branch)
    archive = init(tmp_path / "archive", "archive")
    ostree(archive, "pull-local", site.repo, "two", "night")
    told = answered(archive, "diff", "--layers", "--quiet", *images(site))["ostree"]
    device = init(tmp_path / "device")
    with metered_server(archive) as meter:
        ostree(device, "remote", "add", "--no-gpg-verify", "builds", meter.url)
        ostree(device, "pull", "builds", "two")
        meter.reset()
        ostree(device, "pull", "builds", "night")
        kinds = ("commit", "dirtree", "dirmeta", "filez")
        assert told["bytes"] == sum(meter.fetched[kind] for kind in kinds)
    ends = (f"oci:{site.base.directory}:os", images(site)[1])
    outcome = image_store(site.repo, "diff", "--layers", *ends)
    assert "a device with A pulls 5 of 6 layers" in outcome.stdout
    assert "ostree" not in outcome.stdout


def test_layers_alone(site: Site) -> None:
    """What is told of stores is not told of container images."""
    for other in ("--files", "--prefix=/x"):
        outcome = image_store(site.repo, "diff", "--layers", other, "oci:a", "oci:b")
        assert outcome.status == 2
        assert "exclude each other" in outcome.stderr
