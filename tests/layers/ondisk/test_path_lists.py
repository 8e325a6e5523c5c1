"""The files of --statoverride and --skip-list; tests/tree/test_commit.py has ostree as a judge."""

import pytest

from layers.errors import LayerError
from layers.ondisk.commit_filter import (
    Bits,
    CommitFilter,
    CommitOptions,
    StatOverride,
    parse_skip_list,
    parse_statoverride,
)

OWN = Bits(0o644, 1, 2)


def test_modes_are_decimal_or_hexadecimal() -> None:
    found = parse_statoverride(b"2048 /a\n=448 /b c\n\n+0x10 /d\n=0X1F /\xff\n")
    assert found == StatOverride({b"/a": 0o4000, b"/d": 0o20}, {b"/b c": 0o700, b"/\xff": 0o37})


@pytest.mark.parametrize("line", [b"2048", b"=/a", b"rwx /a", b"-1 /a", b"4096 /a", b"1.5 /a"])
def test_a_line_of_another_form_is_refused(line: bytes) -> None:
    with pytest.raises(LayerError, match="line 2"):
        parse_statoverride(b"1 /a\n" + line + b"\n")


def test_a_skip_list_has_a_path_on_each_line() -> None:
    assert parse_skip_list(b"/a\n\n/b c\n") == {b"/a", b"/b c"}


def test_a_path_counts_for_the_first_tree_that_has_it() -> None:
    options = CommitOptions(
        statoverride=StatOverride({b"/a": 0o4000}), skip_list=frozenset([b"/b"])
    )
    found = CommitFilter(options)
    assert found.unmatched == ([b"/a"], [b"/b"], [])
    assert found.apply(b"/a", OWN) == Bits(0o4644, 1, 2)
    assert found.apply(b"/a", OWN) == OWN
    assert found.apply(b"/b", OWN) is None
    assert found.apply(b"/b", OWN) == OWN
    assert found.unmatched == ([], [], [])


def test_what_has_no_effect_is_told() -> None:
    options = CommitOptions(statoverride=StatOverride({b"/": 1, b"/d": 1}, {b"/d": 2, b"/l": 3}))
    found = CommitFilter(options)
    assert found.apply(b"/", OWN, directory=True) == Bits(0o645, 1, 2)
    assert found.apply(b"/d", OWN, directory=True) == Bits(2, 1, 2)
    assert found.symlink(b"/l", OWN) == Bits(0o777, 1, 2)
    assert found.ineffective == [b"/d", b"/l"]


def test_canonical_permissions_win_over_owners() -> None:
    found = CommitFilter(CommitOptions(canonical_permissions=True, owner_uid=0))
    assert found.apply(b"/a", Bits(0o6777, 5, 6)) == Bits(0o755, 0, 0)
    assert not CommitOptions(canonical_permissions=True).keeps_xattrs
