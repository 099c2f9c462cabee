"""Names of objects are anything that UTF-8 can hold: they lead to one file each, and are shown as one harmless line."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from durable.errors import UserInputError
from durable.storage.layout import StateLayout
from durable_cli.objects.finding import Target, no_such_object, object_file

LAYOUT = StateLayout(Path("/state"))
KEY = "Counter-0123abcd"
TEXT = st.text().filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))


@given(TEXT, TEXT)
@example("été", "e\u0301te\u0301")
@example("Home", "home")
@example("", "\x00")
@example("a", "a ")
@example("../../etc/passwd", "..%2f..%2fetc%2fpasswd")
def test_every_name_has_a_file_of_its_own_below_its_class(one: str, other: str) -> None:
    paths = [object_file(LAYOUT, KEY, Target("Counter", name=name)) for name in (one, other)]
    assert all(path.parent.parent == LAYOUT.namespace_folder(KEY) for path in paths)
    # Also where case makes no difference to file names.
    assert (str(paths[0]).lower() == str(paths[1]).lower()) == (one == other)


@given(st.text())
@example("\x1b]0;title\x07\u202e\u2028\r\n")
def test_a_name_is_shown_as_one_harmless_line(name: str) -> None:
    target = Target("Counter", name=name)
    for text in (str(target), target.command("durable sql"), no_such_object(target, [name]).fix):
        assert not any(character in "\x1b\x07\r\n\u202e\u2028" for character in text)
        assert text.encode().decode() == text


@given(TEXT.filter(str.isprintable))
@example("-dash")
@example('it\'s "quoted" $HOME `id`')
def test_the_line_to_type_for_a_name_names_it(name: str) -> None:
    line = Target("Counter", name=name).command("durable objects restore")
    words = shlex.split(line)
    assert words[:3] == ["durable", "objects", "restore"]
    assert [word for word in words[3:] if word != "--" or name == "--"][-2:] == ["Counter", name]


@pytest.mark.parametrize("name", ["\ud800", "a\udfff"])
def test_half_a_character_is_no_name(name: str) -> None:
    with pytest.raises(UserInputError, match="an object name must be valid Unicode"):
        object_file(LAYOUT, KEY, Target("Counter", name=name))


@given(st.text())
@example("../../../state")
@example("0" * 64)
def test_an_id_that_was_not_made_here_is_no_id(text: str) -> None:
    with pytest.raises(UserInputError, match="Durable Object ID"):
        object_file(LAYOUT, KEY, Target("Counter", id=text))
