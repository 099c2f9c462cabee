"""Ids: the derivation of workerd, byte for byte, and what is refused."""

import pytest

from durable.sdk.ids import DurableObjectId, checked_id, id_from_name, unique_id
from durable.sdk.stub import DurableObjectNamespace


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", "c951f356ee2aa69c46aa8e1140bd62d65e4581f3e4cd40ec8773b99ac0fa9e5b"),
        ("hello", "8d161f16c7ebdd6174151302999a4dc8e8ffcc5989e3df3a4e598fefabbbeb17"),
        ("", "77cd791765fa16162b5c4efeb8f438e208b53d54aaa2a177404928d2c94b97a0"),
    ],
)
def test_a_name_leads_to_the_id_that_workerd_derives(name: str, expected: str) -> None:
    assert id_from_name("probe-P", name) == expected


def test_an_id_is_read_in_any_case_and_printed_in_lower_case() -> None:
    made = unique_id("rooms")
    assert checked_id("rooms", made.upper()) == made


@pytest.mark.parametrize("text", ["", "zz", "é" * 64, "0" * 63, "0" * 65])
def test_anything_but_64_hex_digits_is_refused(text: str) -> None:
    with pytest.raises(TypeError, match="Invalid Durable Object ID: must be 64 hex digits"):
        checked_id("rooms", text)


def test_an_id_of_another_namespace_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Durable Object ID is not valid for this namespace\."):
        checked_id("rooms", unique_id("users"))
    users = DurableObjectNamespace("User", "users", transport=None)  # type: ignore[arg-type]
    rooms = DurableObjectNamespace("Room", "rooms", transport=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"not valid for this namespace"):
        rooms.get(users.id_from_name("a"))


def test_a_name_that_utf_8_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="an object name must be valid Unicode"):
        id_from_name("rooms", "\ud800")


def test_a_name_over_1024_bytes_leads_to_an_id_without_a_name() -> None:
    rooms = DurableObjectNamespace("Room", "rooms", transport=None)  # type: ignore[arg-type]
    assert rooms.id_from_name("é" * 512).name == "é" * 512
    assert rooms.id_from_name("é" * 512 + "a").name is None


def test_equal_ids_are_equal_and_answer_to_both_spellings() -> None:
    rooms = DurableObjectNamespace("Room", "rooms", transport=None)  # type: ignore[arg-type]
    made = rooms.idFromName("a")  # type: ignore[attr-defined]
    assert isinstance(made, DurableObjectId)
    assert made == rooms.id_from_string(made.toString())  # type: ignore[attr-defined]
    assert made.equals(rooms.id_from_name("a"))
    assert len({made, rooms.id_from_name("a")}) == 1
