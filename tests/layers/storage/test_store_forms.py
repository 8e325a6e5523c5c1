"""Ids and links of layers in each form of store. They stay for ever: devices know them."""

import pytest

from layers.storage.layer_id import (
    StoreForm,
    Whiteouts,
    form_of,
    possible_ids,
    possible_links,
    private_id,
)

STANDARD = "a" * 64
USUAL = "ZKWOOZD7SJZIWLMCF54GAAW7OK"
KNOWN = {
    StoreForm.QUOTED: (
        "e1855be9a910caa4de16bba07cbd21c4450751804f44f8e6631d7c09ed8d9311",
        (USUAL, "Q7ZF4HQA2VJCEXT5GUXDHFUINI"),
    ),
    StoreForm.NONE: (
        "9afefeb86b86ce2a0e596e21205219f1a423f1990132786b16cb80abd33a1740",
        ("SDPXX5MHIFSCKGPEI6ZXYHARP3", "R6VSP7WL52QTXGNVUEC4BCVURB"),
    ),
    StoreForm.FLATTENED: (
        "a91f7c324e5dc21354664dea1b94dd8256433f8f6839730eda05d00affca9799",
        (USUAL, "ZEK5Q4SER3QDWGI4FJTGXOKWZX"),
    ),
}


@pytest.mark.parametrize("form", StoreForm)
def test_id_and_links_of_a_form(form: StoreForm) -> None:
    store_id, links = KNOWN[form]
    assert private_id(STANDARD, form) == store_id
    assert possible_links(store_id, STANDARD) == links
    assert form_of(store_id, STANDARD) is form


def test_a_standard_id_is_of_no_form() -> None:
    assert form_of(STANDARD, STANDARD) is None
    assert possible_links(STANDARD, STANDARD) == (USUAL, "3GFNOCMREKEAINAE7TDMG2N57U")
    assert possible_ids(STANDARD) == {STANDARD, *(store_id for store_id, _ in KNOWN.values())}


def test_the_option_names_the_form() -> None:
    assert [one.form for one in Whiteouts] == [StoreForm.QUOTED, StoreForm.NONE]
