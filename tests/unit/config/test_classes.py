"""Configuration against code: each complaint carries a snippet that, pasted, ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable.config import check_classes
from durable.config.snippets import next_tag

Load = Callable[..., Any]

BOUND = """main = "main.py"
durable_objects.bindings = [
  { name = "ROOM", class_name = "Room" },
  { name = "USER", class_name = "User" },
  { name = "FAR", class_name = "Elsewhere", script_name = "other" },
]
"""
MIGRATED = BOUND + '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Room", "User"]\n'


def test_nothing_is_said_when_code_and_migrations_agree(load_text: Load) -> None:
    assert check_classes(load_text(MIGRATED), ["Room", "User", "Unbound"]) == []


def test_a_class_that_the_code_does_not_define_is_placed_at_its_binding(load_text: Load) -> None:
    (error,) = check_classes(load_text(MIGRATED), ["User"])
    assert error.message == (
        "main.py defines no class Room, which env.ROOM is bound to. It defines User. "
        "Bring the class back; or, to delete it with all its objects, take the binding out and add:"
    )
    assert (error.file, error.line, error.column) == ("durable.toml", 3, 33)
    assert error.source_line == '  { name = "ROOM", class_name = "Room" },'
    assert error.fix == '[[migrations]]\ntag = "v2"\ndeleted_classes = ["Room"]'


def test_a_class_that_never_was_is_to_be_written(load_text: Load) -> None:
    (error,) = check_classes(load_text(BOUND), ["User"])[:1]
    assert error.message == "main.py defines no class Room, which env.ROOM is bound to. It defines User."
    assert error.fix == "from durable import DurableObject\n\nclass Room(DurableObject):\n    ..."


def test_a_class_with_nearly_that_name_is_suggested(load_text: Load) -> None:
    (error,) = check_classes(load_text(BOUND), ["room", "User"])[:1]
    assert error.message.endswith('Did you mean "room"?')
    assert error.fix == 'class_name = "room"'


RENAMING = '[[migrations]]\ntag = "v2"\nrenamed_classes = [{from = "Room", to = "Hall"}]'


def test_a_renamed_class_is_answered_with_its_migration_and_the_binding_to_change(load_text: Load) -> None:
    (error,) = check_classes(load_text(MIGRATED), ["Default", "Hall", "User"], actors=["Hall", "User"])
    assert error.message == (
        "main.py defines no class Room, which env.ROOM is bound to. "
        "If Room is now called Hall, bind env.ROOM to Hall and add:"
    )
    assert error.fix == RENAMING

    done = load_text(MIGRATED.replace('class_name = "Room"', 'class_name = "Hall"') + RENAMING)
    assert check_classes(done, ["Default", "Hall", "User"], actors=["Hall", "User"]) == []


def test_a_renamed_class_whose_binding_has_its_new_name_already_lacks_only_the_migration(load_text: Load) -> None:
    bound = MIGRATED.replace('class_name = "Room"', 'class_name = "Hall"')
    (error,) = check_classes(load_text(bound), ["Hall", "User"])
    assert error.message.endswith("Room is gone from main.py; if Hall is its new name, add:")
    assert error.fix == RENAMING
    assert check_classes(load_text(bound + error.fix), ["Hall", "User"]) == []


def test_several_renamed_classes_share_one_entry_and_are_matched_by_likeness(load_text: Load) -> None:
    errors = check_classes(load_text(MIGRATED), ["Users", "Hall"])
    assert [error.fix for error in errors] == [
        '[[migrations]]\ntag = "v2"\nrenamed_classes = [{from = "User", to = "Users"}, {from = "Room", to = "Hall"}]'
    ] * 2


def test_what_is_no_class_of_objects_is_nobodys_new_name(load_text: Load) -> None:
    (error,) = check_classes(load_text(MIGRATED), ["Default", "User"], actors=["User"])
    assert error.fix == '[[migrations]]\ntag = "v2"\ndeleted_classes = ["Room"]'


def test_a_class_that_only_a_migration_still_knows_is_to_be_deleted_there(load_text: Load) -> None:
    unbound = MIGRATED.replace('  { name = "ROOM", class_name = "Room" },\n', "")
    (error,) = check_classes(load_text(unbound), ["User"])
    assert error.message == (
        "main.py defines no class Room, which migration v1 made. "
        "Bring the class back; or, to delete it with all its objects, add:"
    )
    assert error.fix == '[[migrations]]\ntag = "v2"\ndeleted_classes = ["Room"]'
    assert error.source_line == 'new_sqlite_classes = ["Room", "User"]'
    assert check_classes(load_text(unbound + error.fix), ["User"]) == []


def test_in_json_a_later_entry_goes_to_the_end_of_those_that_are_there(load_text: Load) -> None:
    json = (
        '{"main": "main.py", "durable_objects": {"bindings": [{"name": "A", "class_name": "A"}]},\n'
        ' "migrations": [{"tag": "v1", "new_sqlite_classes": ["A"]}]}'
    )
    (error,) = check_classes(load_text(json, file="wrangler.jsonc"), ["B"])
    assert error.message.endswith('If A is now called B, bind env.A to B and add to the end of "migrations":')
    assert error.fix == '{ "tag": "v2", "renamed_classes": [{"from": "A", "to": "B"}] }'


def test_an_empty_module_defines_nothing(load_text: Load) -> None:
    errors = check_classes(load_text(MIGRATED), [])
    assert [error.message for error in errors] == [
        "main.py defines no class Room, which env.ROOM is bound to.",
        "main.py defines no class User, which env.USER is bound to.",
    ]


def test_all_classes_without_a_migration_go_into_one_snippet_that_ends_the_complaint(load_text: Load) -> None:
    errors = check_classes(load_text(BOUND), ["Room", "User"])
    assert [error.message for error in errors] == [
        "the class Room stands in no migration, so it has no place to keep its data.",
        "the class User stands in no migration, so it has no place to keep its data.",
    ]
    assert errors[0].fix == '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Room", "User"]'
    assert check_classes(load_text(BOUND + errors[0].fix), ["Room", "User"]) == []


def test_the_snippet_continues_the_tags_and_speaks_the_files_language(load_text: Load) -> None:
    toml = BOUND + '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Rooms", "User"]\n'
    (error,) = check_classes(load_text(toml), ["Room", "Rooms", "User"])
    assert error.message.endswith('Did you mean "Rooms"?')
    assert error.fix == '[[migrations]]\ntag = "v2"\nnew_sqlite_classes = ["Room"]'
    json = '{"main": "main.py", "durable_objects": {"bindings": [{"name": "A", "class_name": "A"}]}}'
    (error,) = check_classes(load_text(json, file="wrangler.json"), ["A"])
    assert error.fix == '"migrations": [\n  { "tag": "v1", "new_sqlite_classes": ["A"] }\n]'


def test_a_class_that_a_migration_renamed_is_to_be_bound_by_its_new_name(load_text: Load) -> None:
    config = load_text(MIGRATED + '[[migrations]]\ntag = "v2"\nrenamed_classes = [{ from = "Room", to = "ChatRoom" }]')
    (error,) = check_classes(config, ["Room", "User", "ChatRoom"])
    assert error.message == (
        "the class Room was renamed to ChatRoom by migration v2; env.ROOM has to be bound to the new name"
    )
    assert error.fix == 'class_name = "ChatRoom"'


def test_a_class_that_a_migration_deleted_is_to_be_unbound(load_text: Load) -> None:
    config = load_text(MIGRATED + '[[migrations]]\ntag = "v2"\ndeleted_classes = ["Room"]')
    (error,) = check_classes(config, ["Room", "User"])
    assert error.message == "the class Room was deleted by migration v2; remove the binding, or create it anew"
    assert error.fix == '[[migrations]]\ntag = "v3"\nnew_sqlite_classes = ["Room"]'


def test_the_next_tag_counts_on_and_is_never_one_that_exists() -> None:
    assert next_tag([]) == "v1"
    assert next_tag(["v1", "v9"]) == "v10"
    assert next_tag(["0007"]) == "0008"
    assert next_tag(["first", "second"]) == "v3"
    assert next_tag(["v2", "v1"]) == "v2-next"


def test_a_class_that_an_entry_renames_has_to_be_in_the_code_by_its_new_name(load_text: Load) -> None:
    config = load_text(MIGRATED + '[[migrations]]\ntag = "v2"\nrenamed_classes = [{ from = "Room", to = "ChatRoom" }]')
    errors = check_classes(config, ["User", "Room"])
    assert [error.line for error in errors] == [3]  # the binding is the first thing to mend
    unbound = load_text(
        'main = "main.py"\n[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Room"]\n'
        '[[migrations]]\ntag = "v2"\nrenamed_classes = [{ from = "Room", to = "ChatRoom" }]'
    )
    (error,) = check_classes(unbound, ["Room"])
    assert error.message.startswith(
        "main.py defines no class ChatRoom, which migration v2 made. Bring the class back; or"
    )
    assert (error.line, error.column) == (7, 42)


EXPORTED = BOUND + '[exports]\nUser = { type = "durable-object", storage = "sqlite" }\n'


def test_a_bound_class_stands_in_exports_where_there_are_exports(load_text: Load) -> None:
    (error,) = check_classes(load_text(EXPORTED), ["Room", "User"])
    assert error.message == "the class Room stands not in exports, so it has no place to keep its data."
    assert error.fix == '[exports]\nRoom = { type = "durable-object", storage = "sqlite" }'
    more = EXPORTED + 'Room = { type = "durable-object", storage = "sqlite" }\n'
    assert check_classes(load_text(more), ["Room", "User"]) == []


def test_a_bound_class_that_exports_say_is_gone_is_to_be_unbound(load_text: Load) -> None:
    gone = EXPORTED + 'Room = { type = "durable-object", state = "transferred", transferred_to = "audit" }\n'
    (error,) = check_classes(load_text(gone), ["Room", "User"])
    assert error.message == "the class Room was transferred to audit, as exports says, and env.ROOM is bound to it."


def test_a_class_that_only_exports_still_know_is_to_be_deleted_there(load_text: Load) -> None:
    unbound = 'main = "main.py"\n[exports]\nUser = { type = "durable-object", storage = "sqlite" }\n'
    assert check_classes(load_text(unbound), ["User"]) == []
    (error,) = check_classes(load_text(unbound), ["Users"])
    assert error.message == (
        "main.py defines no class User, and exports say that it has objects. Bring the class back; or:"
    )
    assert (error.line, error.fix) == (3, 'state = "deleted" for User in exports')
