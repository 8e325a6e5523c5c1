"""Branches below oci/layer/ that no import of ours has made are told, not trusted."""

from pathlib import Path

import pytest

from tests.tools.expected import layer_ids
from tests.tools.image import build_oci
from tests.tools.importimage import imported, run_import
from tests.tools.ostreerepo import ostree
from tests.tools.tarbuild import Entry


@pytest.mark.parametrize(
    "metadata",
    [[], ["import-image.diff-size=x"], ["import-image.diff-size=-1"], ["import-image.diff-size="]],
    ids=["none", "no-number", "negative", "empty"],
)
def test_a_layer_branch_without_our_metadata(
    repo: Path, tmp_path: Path, metadata: list[str]
) -> None:
    built = build_oci(tmp_path / "oci", "t", [[Entry(b"f")]])
    reference = f"oci:{tmp_path}/oci:t"
    imported(repo, reference)
    branch = f"oci/layer/{layer_ids(built.diff_ids)[0]}"
    said = [f"--add-metadata-string={one}" for one in metadata]
    ostree(repo, "commit", f"--branch={branch}", "--tree=ref=" + branch, *said)
    outcome = run_import(repo, reference)
    assert outcome.status == 1
    assert f"{branch} is not a layer that import-image made" in outcome.stderr
    ostree(repo, "refs", "--delete", branch)
    imported(repo, reference)
