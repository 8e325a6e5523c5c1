"""What the command line refuses before anything is done: values that could not be meant, and
options that say nothing together."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from importer.cli.config import default_map
from importer.cli.image_store import image_store
from importer.cli.import_image import import_image
from importer.cli.import_release import import_release
from importer.cli.import_storage import import_storage
from importer.cli.import_tree import import_tree
from importer.cli.options.given import Given
from importer.cli.targets import target
from importer.commit.target import Target
from importer.ingest.budget import Budget
from tests.tools.importimage import run_import

GOOD = ("--repo=/r", "quay.io/a/b:c")
NOT_UTF8 = "\udcff"  # as Python has the byte 0xff of an argument


COMMANDS = [
    import_image,
    import_storage,
    import_release,
    import_tree,
    *import_tree.commands.values(),
    *(image_store.commands[name] for name in sorted(image_store.commands)),
]


def with_values() -> Iterator[tuple[click.Command, click.Parameter]]:
    """All options and arguments that take a value, of all commands."""
    for command in COMMANDS:
        for parameter in command.params:
            if not (isinstance(parameter, click.Option) and parameter.is_flag):
                yield command, parameter


@pytest.mark.parametrize(
    ("command", "parameter"), list(with_values()), ids=lambda one: str(one.name).replace("_", "-")
)
def test_no_option_and_no_argument_may_be_empty(
    command: click.Command, parameter: click.Parameter
) -> None:
    """Each would be taken for another than is meant: a path for the directory that the command
    is run in, a policy for the machine's own, `--tls-verify=` for false. `ostree --repo=` is an
    error, too."""
    value: object = ""
    if parameter.multiple or parameter.nargs != 1:
        value = ("",) * max(parameter.nargs, 1)
    context = click.Context(command)
    if parameter.name == "subject":
        assert parameter.type_cast_value(context, value) == ""
        return
    with pytest.raises(click.BadParameter):
        parameter.type_cast_value(context, value)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("import-image", ["--repo=", "oci:layout:t"]),
        ("import-image", [""]),
        ("import-image", ["--policy=", "oci:layout:t"]),
        ("import-storage", [""]),
        ("import-storage", ["--repo=", "storage"]),
        ("import-release", ["--repo=", "--dry-run", "release.json"]),
        ("import-release", ["--lock=", "release.json"]),
        ("import-release", ["--diff", "", "release.json"]),
        ("import-release", [""]),
        ("import-tree", [""]),
        ("import-tree", ["--repo=", "tree"]),
    ],
)
def test_an_empty_value_is_a_usage_error_before_anything_is_made(
    tmp_path: Path, command: str, arguments: list[str]
) -> None:
    outcome = run_import(tmp_path / "repo", *arguments, command=command)
    assert outcome.status == 2, outcome
    assert outcome.said("error")[0].endswith(": the value is empty")
    assert list(tmp_path.iterdir()) == []


def parsed(*arguments: str) -> Target:
    """The target that the arguments stand for."""
    context = import_image.make_context("import-image", [*GOOD, *arguments])
    return target(Given(context), None)


@pytest.mark.parametrize("value", ["", NOT_UTF8])
@pytest.mark.parametrize(
    "option",
    ["gpg-sign", "gpg-homedir", "sign-type", "onto", "selinux-label", "selinux-policy", "branch"],
)
def test_text_that_is_empty_or_not_utf8_is_a_usage_error(option: str, value: str) -> None:
    """`--gpg-sign=$KEY` without a KEY would else give an unsigned commit, and no error."""
    with pytest.raises(click.BadParameter):
        parsed(f"--{option}={value}")


def test_a_subject_may_be_empty_but_is_utf8() -> None:
    assert parsed("--subject=").subject == ""
    with pytest.raises(click.BadParameter, match="UTF-8"):
        parsed(f"--subject={NOT_UTF8}")


@pytest.mark.parametrize(
    "label", ["container_ro_file_t", "u:r", "u:r:", "u:r:t:", "u:r:t s", "u:r:t\n", "u:r:é"]
)
def test_what_is_no_selinux_context_is_a_usage_error(label: str) -> None:
    with pytest.raises(click.BadParameter, match="user:role:type:level"):
        parsed(f"--selinux-label={label}")


@pytest.mark.parametrize("label", ["u:r:t", "u:r:t:s0", "system_u:object_r:a_t:s0-s15:c0.c1023,c5"])
def test_selinux_contexts(label: str) -> None:
    assert parsed(f"--selinux-label={label}").labelling


@pytest.mark.parametrize(
    "option",
    ["--branch=images", "--subject=s", "--timestamp=@0", "--gpg-sign=k", "--sign-from-file=f"],
)
def test_where_there_is_no_commit_of_images_nothing_can_be_said_of_it(option: str) -> None:
    assert parsed(option)
    with pytest.raises(click.UsageError, match="is not for --form=layers"):
        parsed(option, "--form=layers")


@pytest.mark.parametrize("command", [import_image, import_storage, import_release])
def test_how_much_is_done_at_once(command: click.Command, tmp_path: Path) -> None:
    """Without --jobs, a job for each processor that we may use. A store needs no download."""
    flags, budget = ["--jobs=3"], Budget(jobs=3)
    if command is not import_storage:
        flags += ["--max-parallel-downloads=9"]
        budget = Budget(9, 3, 2 << 20)
    always = [f"--repo={tmp_path / 'repo'}", str(tmp_path)]
    config = default_map(command, {"spool-size": "2M"})
    context = command.make_context(command.name, [*flags, *always], default_map=config)
    assert target(Given(context), None).budget == budget
    context = command.make_context(command.name, always)
    assert target(Given(context), None).budget == Budget(6, len(os.sched_getaffinity(0)), 1 << 30)


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("missing option '--branch'", ["/tree"]),
        ("--branch has to be another branch", ["--branch=os/b", "--onto=os/b", "/tree"]),
        (
            "--canonical-permissions gives all files the owner 0:0",
            ["--branch=os/b", "--canonical-permissions", "--owner-uid=5", "/tree"],
        ),
        ("is not in the range", ["--branch=os/b", "--owner-uid=4294967295", "/tree"]),
    ],
)
def test_a_tree_s_options_that_do_not_fit(tmp_path: Path, said: str, arguments: list[str]) -> None:
    outcome = run_import(tmp_path / "repo", *arguments, command="import-tree")
    assert outcome.status == 2
    assert said in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("No such option '--branch'", ["translate", "--branch=os/b", "/tree"]),
        ("--undo and --dry-run exclude", ["translate", "--undo", "--dry-run", "/tree"]),
        ("unexpected extra argument", ["translate", "/one", "/two"]),
        ("use import-tree translate", ["--in-place", "/tree"]),
        ("use import-tree translate", ["--undo", "--in-place", "/tree"]),
    ],
)
def test_the_options_of_a_translation(said: str, arguments: list[str]) -> None:
    with pytest.raises(click.UsageError) as refused:
        import_tree.make_context("import-tree", arguments)
    assert said in refused.value.format_message()


@pytest.mark.parametrize("before", [[], ["--quiet"]])
def test_only_the_first_word_names_a_command(before: list[str]) -> None:
    """A tree of the same name is ./translate, or comes after an option."""
    tree = "translate" if before else "./translate"
    context = import_tree.make_context("import-tree", [*before, tree, "--repo=/r", "--branch=os/b"])
    assert context.params["roots"] == (Path("translate"),)
