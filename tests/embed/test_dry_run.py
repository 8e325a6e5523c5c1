"""`image-store embed --dry-run`: what would be written, and what the destination has already."""

import shutil
from pathlib import Path

from tests.embed.conftest import Site
from tests.tools.process import Argument
from tests.tools.storecommand import image_store


def test_it_tells_the_layers_that_the_destination_has(site: Site, tmp_path: Path) -> None:
    """The same ones as the new image really shares with the one before."""
    out = tmp_path / "out"
    first = site.embed("two", f"oci:{out}:t")["layers"]
    shutil.copytree(out, tmp_path / "before")
    plan = site.embed("night", f"oci:{out}:t", "--dry-run")
    assert (plan["compared"], plan["dry_run"]) == (True, True)
    second = site.embed("night", f"oci:{out}:t")["layers"]
    had = {one["digest"] for one in first}
    assert [one["known"] for one in plan["layers"]] == [one["digest"] in had for one in second]
    for planned, made in zip(plan["layers"], second, strict=True):
        assert planned["store_layers"] == made["store_layers"]
        assert planned["images"] == made["images"]
        assert planned["tar_size"] <= made["tar_size"] < 2 * planned["tar_size"] + 100_000
    # Another compression makes other layers.
    zstd = ("--dry-run", "--compression=zstd")
    other = site.embed("two", f"oci:{tmp_path}/before:t", *zstd)
    assert not any(one["known"] for one in other["layers"])


def test_an_unchanged_image_has_no_new_layer(site: Site, tmp_path: Path) -> None:
    """The dry run's figures and status are those of the run."""
    base, to = f"--base=oci:{site.base.directory}:{site.base.tag}", f"--to=oci:{tmp_path}/out:t"
    flags = (base, to, "--unchanged-exit-77", "--bound", "--selinux-equivalence")
    assert image_store(site.repo, "embed", "two", *flags).status == 0
    rehearsed = image_store(site.repo, "embed", "two", *flags, "--dry-run")
    assert "\nnew: 0 of 5 layers, 0 B of " in rehearsed.stdout
    assert rehearsed.status == image_store(site.repo, "embed", "two", *flags).status == 77
    # Each difference of the last layer or of the documents makes another image.
    for others in (flags[:-1], (*flags[:3], flags[4]), (*flags, "--label=a=c")):
        rehearsed = image_store(site.repo, "embed", "two", *others, "--dry-run")
        assert "\nnew: 1 of 5 layers, " in rehearsed.stdout
        assert rehearsed.status == 0
    assert image_store(site.repo, "embed", "two", *flags[:-1]).status == 0


def test_without_an_image_at_the_destination_all_is_new(site: Site, tmp_path: Path) -> None:
    flags: list[Argument] = ["--dry-run", f"--to=oci:{tmp_path}/none:t"]
    base = f"--base=oci:{site.base.directory}:{site.base.tag}"
    outcome = image_store(site.repo, "embed", "two", base, *flags)
    assert outcome.status == 0, outcome.stderr
    assert "nothing at the destination to compare with" in outcome.stderr
    assert "new: 5 of 5 layers, " in outcome.stdout
    assert not (tmp_path / "none").exists()
    refused = image_store(site.repo, "embed", "nothing", base, *flags)
    assert refused.status == 1
