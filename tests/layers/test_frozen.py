"""Frozen dataclasses compare, hash, show and pickle like the ones of `dataclasses`."""

import pickle
from dataclasses import KW_ONLY, field, replace

from layers.frozen import frozen


@frozen
class Login:
    """A class with all kinds of fields."""

    user: str
    secret: str = field(repr=False)
    _: KW_ONLY
    warning: str = field(default="", compare=False)


@frozen
class Special(Login):
    """A class with a `repr` of its own."""

    def __repr__(self) -> str:
        return "special"


LOGIN = Login("me", "abc", warning="weak")


def test_fields_count_for_equality_and_hash_unless_they_say_otherwise() -> None:
    assert Login("me", "abc") == LOGIN
    assert hash(Login("me", "abc")) == hash(LOGIN)
    assert replace(LOGIN, user="you") != LOGIN
    assert Special("me", "abc") != LOGIN


def test_repr_hides_secrets_and_may_be_ones_own() -> None:
    assert repr(LOGIN) == "Login(user='me', warning='weak')"
    assert repr(Special("me", "abc")) == "special"


def test_a_pickled_value_is_the_same_and_has_no_other_attributes() -> None:
    copy = pickle.loads(pickle.dumps(LOGIN))  # noqa: S301
    assert (copy, copy.warning) == (LOGIN, "weak")
    assert not hasattr(copy, "__dict__")
