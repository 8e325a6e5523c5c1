"""Which layers lie below which, by the files of a graph driver."""

from layers.ondisk.driver_home import lowers_of

LINKS = {b"A": b"../base/diff", b"B": b"../middle/diff", b"C": b"../top/diff", b"X": b"/etc/diff"}


def test_lowers_are_nearest_first() -> None:
    home = lowers_of(LINKS, {b"base": None, b"middle": b"l/A", b"top": b"l/B:l/A"})
    assert home == {b"base": (), b"middle": (b"base",), b"top": (b"middle", b"base")}


def test_lowers_that_are_not_all_here_are_unknown() -> None:
    lowers = {b"base": None, b"middle": b"l/X", b"top": b"l/B:l/A", b"other": b"l/GONE"}
    home = lowers_of(LINKS, lowers)
    assert home == {b"base": (), b"middle": None, b"top": None, b"other": None}


def test_a_circle_and_a_path_are_unknown() -> None:
    lowers = {b"base": b"l/B", b"middle": b"l/A", b"top": b"/var/lib/x/diff:l/A"}
    assert set(lowers_of(LINKS, lowers).values()) == {None}
