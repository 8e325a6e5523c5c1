"""Describe the result of a release, for JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.release.outcome import fault_keys, release_names
from layers.release.diff import Amount

if TYPE_CHECKING:
    from importer.release.outcome import ReleaseOutcome
    from importer.run.result import Made, Result
    from layers.release.report import Report


def reports(result: Result) -> list[Report]:
    return [
        outcome.difference.report(
            {key.replace("_", " "): amount for key, amount in amounts(made, outcome).items()},
            {name: str(fault) for name, fault in made.commit.branch.faults.items()},
            [artifact.label for artifact in outcome.lost.artifacts],
        )
        for made, outcome in result.releases
    ]


def amounts(made: Made, outcome: ReleaseOutcome) -> dict[str, Amount]:
    """Return the layers by what became of them; see docs/reference/import-release.md."""
    fetched, sizes = made.read.fetched, outcome.sizes
    new = Amount.of(size.packed for layer, size in sizes.items() if layer in fetched)
    return {
        "fetched": new,  # Amount: this run fetched them; the blobs' bytes
        # Amount: they were in the repo; the blobs' bytes that were not fetched again
        "reused": Amount.of(size.packed for layer, size in sizes.items() if layer not in fetched),
        # Amount: the fetched ones; the bytes that their files added to the repo, as it stores them
        "new_in_ostree": Amount(new.layers, made.read.written_bytes),
        # Amount: the parent commit lacks them; the unpacked tars' bytes
        "new_in_the_release": outcome.layers.new,
        # Amount: the parent commit has them and this one has not; the unpacked tars' bytes
        "no_longer_needed": outcome.layers.obsolete,
    }


def release_keys(made: Made, outcome: ReleaseOutcome) -> dict[str, object]:
    commit, branch = made.commit, made.commit.branch
    return {
        "branch": branch.name,  # the branch
        "commit": commit.checksum,  # its commit now
        "parent": commit.parent,  # the branch's commit before, or `null`
        "unchanged": commit.unchanged,  # whether the branch has no new commit
        **release_names(outcome.difference.release),
        "changes": outcome.difference.diff,  # ReleaseDiff: what changed since the commit before
        "layers": amounts(made, outcome),  # amounts: counts of layers
        # Fetch: what a device with the commit before fetches for the new one, or `null`
        "device": outcome.difference.device,
        # {fault_keys}: with `--keep-going`, by component, what failed; else `{}`
        "failed": {name: fault_keys(fault) for name, fault in branch.faults.items()},
        "dropped_commits": outcome.dropped,  # the commits that `--keep` forgot
        # a list of images of earlier releases, which `--keep-images` kept
        "kept_images": [
            {
                "image_id": image.id,  # podman's image id
                "names": image.names,  # the names in the store
                "release": image.kept_from,  # the release that the image is from
            }
            for image in branch.kept
        ],
        "lost": outcome.lost,  # Lost: what the commit before has and this one lacks
        # a list of images
        "images": [
            {
                "component": name,  # the image's name in the release
                **image,  # image_keys
            }
            for name, image in zip(branch.components, made.images(), strict=True)
        ],
    }
