"""Options that say nothing together: each pair is told in words of its own, before any work."""

import click
import pytest

from importer.cli.import_image import import_image
from importer.cli.import_release import import_release

IMAGE = ("--repo=/r", "quay.io/a/b:c")
RELEASE = ("--repo=/r", "release.json")


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (import_image, [*IMAGE, "-q", "-v"], "--quiet and --verbose exclude each other"),
        (import_image, [*IMAGE, "--form=rootfs", "--flatten"],
         "--flatten is only for --form=store"),
        (import_image, [*IMAGE, "--form=layers", "--subject="],
         "--subject is not for --form=layers"),
        (import_image, [*IMAGE, "--form=bundle", "--onto=os"], "--onto is only for --form=store"),
        (import_image, [*IMAGE, "--cluster=local:2", "--max-parallel-downloads=4"],
         "--max-parallel-downloads is not for --cluster"),
        (import_image, [*IMAGE, "--onto=os"], "--onto needs --branch"),
        (import_image, [*IMAGE, "--existing-store=merge"], "--existing-store is only for --onto"),
        (import_image, [*IMAGE, "--selinux-policy=base"],
         "--selinux-policy=base is only for --onto"),
        (import_image, [*IMAGE, "--gpg-homedir=/h"], "--gpg-homedir needs --gpg-sign"),
        (import_image, [*IMAGE, "--pin=p"], "--pin is only for --from"),
        (import_image, ["--repo=/r"], "name images: by REF, or a list by --from"),
        (import_release, ["--repo=/r"], "name the release"),
        (import_release, [*RELEASE, "--locked=l"], "name the release"),
        (import_release, [*RELEASE, "--diff", "a", "b"], "name the release"),
        (import_release, ["release.json"], "--repo, or OSTREE_REPO, has to name the ostree repo"),
        (import_image, ["q.io/a/b:c"], "--repo, or OSTREE_REPO, has to name the ostree repo, or"),
        (import_image, [*IMAGE, "--update"], "--update is only for --to"),
        (import_image, [*IMAGE, "--component-days=7"], "--component-days is only for --to"),
        (import_image, [*IMAGE, "--to=d", "--onto=os", "--branch=x"], "--onto is not for --to"),
        (import_image, [*IMAGE, "--to=d", "--form=rootfs"], "--to is only for --form=store"),
        (import_image, [*IMAGE, "--to=tar:-", "--json"], "--json and --to=tar:- both write to"),
        (import_release, ["--diff", "a", "b", "--to=d"],
         "--diff imports nothing, so --to has no use"),
        (import_release, ["--repo=/r", "--locked=l", "--lock=m"],
         "--lock and --locked exclude each other"),
        (import_release, [*RELEASE, "--check"], "No such option '--check': use --dry-run"),
        (import_release, ["--diff", "a", "b", "--dry-run"],
         "--diff imports nothing, so --dry-run has no use"),
        (import_release, ["--diff", "a", "b", "--update-json=f"],
         "--diff imports nothing, so --update-json has no use"),
        (import_release, [*RELEASE, "--json", "--markdown"],
         "--json and --markdown exclude each other"),
        (import_release, [*RELEASE, "--max-chars=300"], "--max-chars is only for --markdown"),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)  # fmt: skip
def test_a_rule_that_is_broken_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, command: click.Command, arguments: list[str], said: str
) -> None:
    monkeypatch.delenv("OSTREE_REPO", raising=False)
    with pytest.raises(click.UsageError) as refused:
        command.make_context("command", arguments)
    assert refused.value.format_message().startswith(said)


def test_what_breaks_no_rule() -> None:
    onto = ["--onto=os", "--branch=all", "--existing-store=merge", "--selinux-policy=base"]
    assert import_image.make_context("command", [*IMAGE, *onto])
    assert import_release.make_context("command", ["--diff", "a", "b"])
    assert import_release.make_context("command", [*RELEASE, "--dry-run", "--update-json=f"])
