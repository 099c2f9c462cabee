"""From text to `Config`: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from durable.config import Binding, DevSettings, Location, Migration, RenamedClass, TransferredClass, load
from durable.errors import ConfigError, UserInputError

Load = Callable[..., Any]
Refusal = Callable[..., ConfigError]

FULL = """
name = "chat"
main = "main.py"
compatibility_date = "2026-01-31"

[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Hall"]
new_classes = ["Old"]

[[migrations]]
tag = "v2"
renamed_classes = [{ from = "Hall", to = "Room" }]
deleted_classes = ["Old"]
transferred_classes = [{ from = "Log", from_script = "audit", to = "AuditLog" }]

[vars]
GREETING = "hello"
LIMITS = { rooms = 3, rates = [1.5, 2] }

[dev]
port = 0
hosts = 2
idle_seconds = 1
durability = "relaxed"
watch = ["static"]
allowed_hosts = ["Tunnel.Example", "*.Tunnel.Example"]
"""


# --- what is accepted -------------------------------------------------------------------------------------------------
def test_a_whole_file_becomes_a_config(load_text: Load, project: Path) -> None:
    config = load_text(FULL)
    assert config.path == project / "durable.toml"
    assert config.root == project
    assert config.environment is None
    assert config.name == "chat"
    assert config.main == project / "main.py"
    assert config.compatibility_date == "2026-01-31"
    assert config.bindings == (Binding("ROOM", "Room", None, Location("durable.toml", 8, 14)),)
    assert [replace(each, places={}) for each in config.migrations] == [
        Migration("v1", ("Hall",), ("Old",), (), (), (), Location("durable.toml", 11, 7)),
        Migration(
            "v2",
            (),
            (),
            (RenamedClass("Hall", "Room"),),
            ("Old",),
            (TransferredClass("Log", "audit", "AuditLog"),),
            Location("durable.toml", 16, 7),
        ),
    ]
    assert config.vars == {"GREETING": "hello", "LIMITS": {"rooms": 3, "rates": [1.5, 2]}}
    assert config.secrets == {}
    assert config.dev == DevSettings(
        port=0,
        hosts=2,
        idle_seconds=1.0,
        durability="relaxed",
        watch=("static",),
        allowed_hosts=("tunnel.example", "*.tunnel.example"),
    )
    assert config.warnings == ()
    assert config.source == FULL


def test_main_alone_is_enough_and_the_folder_names_the_worker(load_text: Load) -> None:
    config = load_text('main = "main.py"')
    assert (config.name, config.compatibility_date) == ("project", "")
    assert config.dev == DevSettings()
    assert (config.bindings, config.migrations, config.vars, config.warnings) == ((), (), {}, ())


@pytest.mark.parametrize("file", ["wrangler.jsonc", "wrangler.json"])
def test_the_same_settings_are_read_from_jsonc(file: str, load_text: Load) -> None:
    config = load_text(
        """{
  // what wrangler writes
  "$schema": "node_modules/wrangler/config-schema.json",
  "name": "chat", "main": "main.py",
  "durable_objects": { "bindings": [{ "name": "ROOM", "class_name": "Room" }] },
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["Room"] }],
  "vars": { "NOTHING": null },
  "kv_namespaces": [{ "binding": "KV" }],
}""",
        file=file,
    )
    assert [each.name for each in config.unserved] == ["KV"]
    assert config.bindings == (Binding("ROOM", "Room", None, Location(file, 5, 69)),)
    assert config.migrations[0].location == Location(file, 6, 27)
    assert config.vars == {"NOTHING": None}
    assert config.warnings == ()


@pytest.mark.parametrize(("word", "ip"), [("localhost", "127.0.0.1"), ("*", "0.0.0.0"), ("::1", "::1")])
def test_wranglers_words_for_addresses_are_understood(word: str, ip: str, load_text: Load) -> None:
    assert load_text(f'main = "main.py"\n[dev]\nip = "{word}"').dev.ip == ip


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(project: Path) -> None:
    (project / "durable.toml").write_bytes(b'\xef\xbb\xbfmain = "main.py"\r\nnmae = "chat"\r\n')
    config = load(project / "durable.toml")
    assert config.warnings[0].location == Location("durable.toml", 2, 1)


def test_secrets_stay_out_of_the_representation(load_text: Load, project: Path) -> None:
    (project / ".dev.vars").write_text("TOKEN=hunter2")
    config = load_text('main = "main.py"')
    assert config.secrets == {"TOKEN": "hunter2"}
    assert "hunter2" not in repr(config)


def test_a_file_outside_the_current_folder_is_shown_with_its_whole_path(tmp_path: Path, project: Path) -> None:
    other = tmp_path / "other" / "durable.toml"
    other.parent.mkdir()
    other.write_text("name = 1")
    with pytest.raises(ConfigError) as caught:
        load(other)
    assert caught.value.file == str(other)


# --- --var ------------------------------------------------------------------------------------------------------------
def test_overrides_win_over_variables_and_secrets(load_text: Load, project: Path) -> None:
    (project / ".dev.vars").write_text("TOKEN=secret\nOTHER=kept")
    config = load_text('main = "main.py"\nvars = { A = 1, B = 2 }', overrides={"B": "x", "TOKEN": "y"})
    assert config.vars == {"A": 1, "B": "x", "TOKEN": "y"}
    assert config.secrets == {"OTHER": "kept"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ROOM": "x"}, "--var ROOM: env.ROOM is a Durable Object binding"),
        ({"": "x"}, "a variable needs a name"),
        ({"A": object}, "--var A: must be a JSON value"),
        ({"A": {"x": [1 << 70]}}, "--var A: does not fit into 64 bits"),
    ],
)
def test_an_override_has_to_be_a_free_name_and_a_json_value(
    overrides: dict[str, object], message: str, load_text: Load
) -> None:
    with pytest.raises(UserInputError) as caught:
        load_text(FULL, overrides=overrides)
    assert str(caught.value).startswith(message)


# --- what is refused --------------------------------------------------------------------------------------------------
BINDINGS = 'main = "main.py"\n[[durable_objects.bindings]]\n'
MIGRATIONS = 'main = "main.py"\n[[migrations]]\n'
DEV = 'main = "main.py"\n[dev]\n'


@pytest.mark.parametrize(
    ("text", "message", "place", "fix"),
    [
        # main
        ("", 'this file is empty; "main" has to name the Python file with the code', (0, 0), 'main = "main.py"'),
        ("# x\n", 'this file is empty; "main" has to name the Python file with the code', (0, 0), 'main = "main.py"'),
        ('name = "x"', '"main" is missing; it names the Python file with the code', (0, 0), 'main = "main.py"'),
        (
            '[vars]\nmain = "main.py"',
            '"main" stands in [vars] here; move it above the first table',
            (2, 1),
            'main = "main.py"',
        ),
        ("main = 1", 'expected "main" to be a string, got 1 (a whole number)', (1, 8), ""),
        ('main = ""', 'expected "main" to be the path of a Python file, got "" (a string)', (1, 8), ""),
        (
            'main = "src/index.ts"',
            'expected "main" to be the path of a Python file, got "src/index.ts" (a string)',
            (1, 8),
            'main = "main.py"',
        ),
        ('main = "mian.py"', 'mian.py does not exist. Did you mean "main.py"?', (1, 8), ""),
        ('main = "src/other.py"', "src/other.py does not exist.", (1, 8), ""),
        ('main = "folder.py"', "folder.py is a folder.", (1, 8), ""),
        # name, compatibility_date
        (
            'main = "main.py"\nname = "My Chat"',
            'expected "name" to be lower-case letters, digits, "-" and "_", got "My Chat" (a string)',
            (2, 8),
            'name = "my-chat"',
        ),
        (
            f'main = "main.py"\nname = "{"a" * 64}"',
            f'expected "name" to be at most 63 characters, got "{"a" * 59}… (a string)',
            (2, 8),
            "",
        ),
        (
            'main = "main.py"\ncompatibility_date = 2026-01-31',
            'expected "compatibility_date" to be a string, got "2026-01-31" (a date or time)',
            (2, 22),
            'compatibility_date = "2026-01-31"',
        ),
        (
            'main = "main.py"\ncompatibility_date = "2026-02-30"',
            'expected "compatibility_date" to be a date like "2026-01-31", got "2026-02-30" (a string)',
            (2, 22),
            "",
        ),
        (
            'main = "main.py"\ncompatibility_date = "2026–01–31"',
            'expected "compatibility_date" to be written with hyphens, not dashes, got "2026–01–31" (a string)',
            (2, 22),
            'compatibility_date = "2026-01-31"',
        ),
        # bindings
        (
            'main = "main.py"\ndurable_objects = []',
            'expected "durable_objects" to be a table, got [] (an array)',
            (2, 19),
            "",
        ),
        (
            'main = "main.py"\ndurable_objects.bindings = "x"',
            'expected "durable_objects.bindings" to be an array of tables, { name = "ROOM", class_name = "Room" }, '
            'got "x" (a string)',
            (2, 28),
            "",
        ),
        (
            'main = "main.py"\ndurable_objects.bindings = ["x"]',
            'expected "durable_objects.bindings[0]" to be a table, { name = "ROOM", class_name = "Room" }, '
            'got "x" (a string)',
            (2, 29),
            "",
        ),
        (
            BINDINGS + 'name = "ROOM"',
            'a binding needs "class_name", a class in the code; this one is {"name": "ROOM"}',
            (2, 19),
            'class_name = "Room"',
        ),
        (
            BINDINGS + 'class_name = "Room"',
            'a binding needs "name", env.<name> in the code; this one is {"class_name": "Room"}',
            (2, 19),
            'name = "ROOM"',
        ),
        (
            BINDINGS + 'name = "MY-ROOM"\nclass_name = "Room"',
            'expected "durable_objects.bindings[0].name" to be an identifier, so that the code can say env.<name>, '
            'got "MY-ROOM" (a string)',
            (3, 8),
            "",
        ),
        (
            BINDINGS + 'name = "ROOM"\nclass_name = "class"',
            'expected "durable_objects.bindings[0].class_name" to be the name of a Python class, '
            'got "class" (a string)',
            (4, 14),
            "",
        ),
        (
            BINDINGS + f'name = "ROOM"\nclass_name = "{"R" * 129}"',
            f'expected "durable_objects.bindings[0].class_name" to be at most 128 bytes long, '
            f'got "{"R" * 59}… (a string)',
            (4, 14),
            "",
        ),
        (
            BINDINGS + 'name = "A"\nclass_name = "X"\n[[durable_objects.bindings]]\nname = "A"\nclass_name = "Y"',
            'two bindings are called "A"; each needs a name of its own',
            (6, 8),
            "",
        ),
        (
            BINDINGS + 'name = "A"\nclass_name = "X"\nenvironment = "staging"',
            '"environment" says of which "script_name"; that key is missing here',
            (5, 15),
            "",
        ),
        (
            BINDINGS + 'name = "A"\nclass_name = "X"\n[vars]\nA = 1',
            "env.A is a variable here and a Durable Object binding at line 4; rename one of them",
            (6, 1),
            "",
        ),
        # migrations
        (
            'main = "main.py"\nmigrations = "v1"',
            'expected "migrations" to be an array of tables, { tag = "v1", new_sqlite_classes = ["Room"] }, '
            'got "v1" (a string)',
            (2, 14),
            "",
        ),
        (
            MIGRATIONS + 'new_sqlite_classes = ["A"]',
            '"migrations[0].tag" is missing; every entry needs a tag of its own',
            (2, 3),
            'tag = "v1"',
        ),
        (MIGRATIONS + 'tag = ""', '"migrations[0].tag" is empty; every entry needs a tag of its own', (3, 7), ""),
        (
            MIGRATIONS + f'tag = "{"v" * 65}"',
            '"migrations[0].tag" has 65 characters; at most 64 are allowed',
            (3, 7),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v 1"',
            'expected "migrations[0].tag" to be letters, digits and . _ - + : / @ without spaces, got "v 1" (a string)',
            (3, 7),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\n[[migrations]]\ntag = "v1"',
            'the tag "v1" is used twice; an applied tag is never applied again',
            (5, 7),
            'tag = "v2"',
        ),
        (
            MIGRATIONS + 'tag = "v1"\nnew_sqlite_classes = "Room"',
            'expected "migrations[0].new_sqlite_classes" to be an array of strings, got "Room" (a string)',
            (4, 22),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\nnew_classes = ["Room", 1]',
            'expected "migrations[0].new_classes[1]" to be a string, got 1 (a whole number)',
            (4, 24),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\ndeleted_classes = ["My Room"]',
            'expected "My Room" in "migrations[0].deleted_classes" to be the name of a Python class',
            (4, 20),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\nnew_sqlite_classes = ["A", "A"]',
            '"migrations[0].new_sqlite_classes" names "A" twice',
            (4, 28),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\nnew_sqlite_classes = ["A"]\nnew_classes = ["A"]',
            '"A" stands in new_classes and in new_sqlite_classes; keep it in new_sqlite_classes',
            (5, 15),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\nrenamed_classes = ["A"]',
            'expected "migrations[0].renamed_classes[0]" to be a table, { from = "Room", to = "ChatRoom" }, '
            'got "A" (a string)',
            (4, 20),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\nrenamed_classes = [{ from = "A" }]',
            '"migrations[0].renamed_classes[0].to" is missing: { from = "Room", to = "ChatRoom" }',
            (4, 20),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\nrenamed_classes = [{ from = "A", to = "A" }]',
            '"migrations[0].renamed_classes[0].to" is the class that it renames, "A"',
            (4, 39),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\nrenamed_classes = [{ from = "A", to = "B" }]\nnew_sqlite_classes = ["B"]',
            '"B" comes from renaming "A"; it must not be created as well',
            (5, 22),
            "",
        ),
        (
            MIGRATIONS + 'tag = "v1"\ntransferred_classes = [{ from = "A", to = "B" }]',
            '"migrations[0].transferred_classes[0].from_script" is missing: '
            '{ from = "Room", from_script = "other-worker", to = "ChatRoom" }',
            (4, 24),
            "",
        ),
        # vars
        ('main = "main.py"\nvars = 1', 'expected "vars" to be a table, got 1 (a whole number)', (2, 8), ""),
        (
            'main = "main.py"\n[vars]\nDAY = 2026-01-31',
            '"vars.DAY" must be a JSON value, got "2026-01-31" (a date or time); write it as a string',
            (3, 7),
            'DAY = "2026-01-31"',
        ),
        (
            'main = "main.py"\nvars.A = { B = [1, inf] }',
            '"vars.A.B[1]" must be a JSON value, and JSON has no inf',
            (2, 20),
            "",
        ),
        (
            f'main = "main.py"\nvars.A = {1 << 63}',
            '"vars.A" does not fit into 64 bits; write it as a string',
            (2, 10),
            f'A = "{1 << 63}"',
        ),
        # dev
        (
            DEV + "port = 70000",
            'expected "dev.port" to be a whole number from 0 to 65535, got 70000 (a whole number)',
            (3, 8),
            "",
        ),
        (
            DEV + "port = true",
            'expected "dev.port" to be a whole number from 0 to 65535, got true (a boolean)',
            (3, 8),
            "",
        ),
        (
            DEV + 'hosts = "2"',
            'expected "dev.hosts" to be a whole number from 1 to 64, got "2" (a string)',
            (3, 9),
            "",
        ),
        (
            DEV + "idle_seconds = 0",
            'expected "dev.idle_seconds" to be a number of seconds from 0.01 to 86400, got 0 (a whole number)',
            (3, 16),
            "",
        ),
        (
            DEV + "drain_seconds = nan",
            'expected "dev.drain_seconds" to be a number of seconds from 0 to 60, got NaN (a number)',
            (3, 17),
            "",
        ),
        (
            DEV + 'durability = "ful"',
            'expected "dev.durability" to be "full" or "relaxed", got "ful" (a string)',
            (3, 14),
            'Did you mean "full"?',
        ),
        (
            DEV + 'ip = "example.com"',
            'expected "dev.ip" to be an IP address such as "127.0.0.1", got "example.com" (a string)',
            (3, 6),
            "",
        ),
        (
            DEV + 'allowed_hosts = ["ok", "https://x"]',
            'expected "dev.allowed_hosts[1]" to be a host name without scheme, port or path, '
            'got "https://x" (a string)',
            (3, 24),
            'allowed_hosts = ["host.docker.internal"]',
        ),
        (DEV + 'watch = [""]', 'expected "dev.watch[0]" to be a file or folder', (3, 10), ""),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_to_type(
    text: str, message: str, place: tuple[int, int], fix: str, refused: Refusal, project: Path
) -> None:
    (project / "folder.py").mkdir()
    error = refused(text)
    assert error.message == message
    assert (error.line, error.column) == place
    assert error.fix == fix


def test_the_line_is_printed_with_a_caret_under_the_mistake(refused: Refusal) -> None:
    assert str(refused('main = "main.py"\n[dev]\n\tport = "x"\n')) == (
        'durable.toml:3:9: expected "dev.port" to be a whole number from 0 to 65535, got "x" (a string)\n'
        '     port = "x"\n'
        "            ^"
    )


def test_a_long_line_is_cut_and_a_mistake_far_out_is_not_quoted(refused: Refusal) -> None:
    near = refused(f"name = 1 # {'x' * 300}")
    assert near.source_line == f"name = 1 # {'x' * 149}…"
    far = refused(f'vars = {{ A = "{"x" * 300}", B = 1979-01-01 }}\nmain = "main.py"')
    assert (far.line, far.column, far.source_line) == (1, 322, "")


def test_control_characters_of_a_quoted_line_do_not_reach_the_terminal(refused: Refusal) -> None:
    assert "\x1b" not in str(refused("name = '\x1b[2J'"))


def test_fixes_for_a_json_file_are_json(refused: Refusal) -> None:
    assert refused("{}", file="wrangler.jsonc").fix == '"main": "main.py"'


@pytest.mark.parametrize(
    ("raw", "message", "place"),
    [
        (b'main = "\xff"', "is not UTF-8: byte 0xff stands here; save the file as UTF-8", (1, 9)),
        (b"# \xc3\xa9\n# \xc3\xa9 \xe9\n", "is not UTF-8: byte 0xe9 stands here; save the file as UTF-8", (2, 5)),
        ("main = 1".encode("utf-16"), "is encoded as UTF-16; save it as UTF-8", (0, 0)),
        (b"#" * 300_000, "is larger than 256 KiB, which no configuration needs; is this the right file?", (0, 0)),
        (b"main = " + b"[" * 5000, "arrays or tables are nested deeper than 64", (1, 72)),
        (b"main = " + b"9" * 10_000, "a number of 10000 characters; at most 1024 are read", (1, 8)),
        (b".".join([b"a"] * 20_000) + b"=1", "this key has more than 64 parts", (1, 128)),
        (b"main = x", "not valid TOML: Invalid value", (1, 8)),
        (b"main = 'a\0b'", "not valid TOML: Found invalid character '\\x00'", (1, 10)),
    ],
)
def test_bytes_that_are_no_configuration_are_refused_in_words(
    raw: bytes, message: str, place: tuple[int, int], project: Path
) -> None:
    (project / "durable.toml").write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(project / "durable.toml")
    assert caught.value.message == message
    assert (caught.value.line, caught.value.column) == place


def test_many_bindings_and_migrations_are_refused(refused: Refusal) -> None:
    bindings = "".join(f'[[durable_objects.bindings]]\nname="B{n}"\nclass_name="C"\n' for n in range(1001))
    assert refused('main = "main.py"\n' + bindings).message == "1001 bindings; at most 1000 are read"
    migrations = "".join(f'[[migrations]]\ntag = "{n}"\n' for n in range(1001))
    assert refused('main = "main.py"\n' + migrations).message == "1001 entries; at most 1000 are read"


def test_a_file_with_another_ending_is_refused(refused: Refusal) -> None:
    error = refused("x", file="durable.yaml")
    assert error.message == 'a configuration file ends in .toml, .jsonc or .json, not in ".yaml"'


# --- warnings ---------------------------------------------------------------------------------------------------------
def warnings_of(config: Any) -> list[str]:
    return [str(warning) for warning in config.warnings]


def test_unknown_keys_warn_and_the_nearest_key_is_suggested(load_text: Load) -> None:
    config = load_text(
        """main = "main.py"
durable_object = 1
[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"
script = "x"
[[migrations]]
tag = "v1"
new_sqlite_class = ["Room"]
renamed_classes = [{ from = "A", to = "B", form = "C" }]
[dev]
Port = 1
zzz = 2
"""
    )
    assert warnings_of(config) == [
        'durable.toml:2:1: unknown key "durable_object"; it has no effect. Did you mean "durable_objects"?',
        'durable.toml:6:1: unknown key "script" in durable_objects.bindings[0]; it has no effect. '
        'Did you mean "script_name"?',
        'durable.toml:9:1: unknown key "new_sqlite_class" in migrations[0]; it has no effect. '
        'Did you mean "new_sqlite_classes"?',
        'durable.toml:10:44: unknown key "form" in migrations[0].renamed_classes[0]; it has no effect. '
        'Did you mean "from"?',
        'durable.toml:12:1: unknown key "Port" in dev; it has no effect. Did you mean "port"?',
        'durable.toml:13:1: unknown key "zzz" in dev; it has no effect.',
    ]


def test_a_flood_of_unknown_keys_is_summed_up(load_text: Load) -> None:
    config = load_text('main = "main.py"\n' + "".join(f"key{n} = 1\n" for n in range(5000)))
    assert len(config.warnings) == 21
    assert config.warnings[-1].message == "4980 more unknown keys."


def test_a_binding_to_another_workers_class_names_that_worker(load_text: Load) -> None:
    config = load_text(BINDINGS + 'name = "A"\nclass_name = "X"\nscript_name = "other"\nenvironment = "prod"')
    assert config.bindings[0].script_name == "other-prod"
    assert config.warnings == ()


def test_a_binding_that_names_its_own_worker_is_local(load_text: Load) -> None:
    config = load_text('name = "chat"\n' + BINDINGS + 'name = "A"\nclass_name = "X"\nscript_name = "chat"')
    assert config.bindings[0].script_name is None
    assert config.warnings == ()


# --- environments -----------------------------------------------------------------------------------------------------
ENVIRONMENTS = (
    FULL
    + """
[env.staging]
vars = { GREETING = "hi" }
[[env.staging.durable_objects.bindings]]
name = "HALL"
class_name = "Hall"

[env.bare]

[env.own]
name = "other"
main = "other.py"
compatibility_date = "2027-01-31"
vars = {}
durable_objects = {}
[[env.own.migrations]]
tag = "o1"
"""
)


def test_an_environment_has_its_own_bindings_and_variables_and_inherits_the_rest(load_text: Load) -> None:
    config = load_text(ENVIRONMENTS, environment="staging")
    assert (config.environment, config.name) == ("staging", "chat-staging")
    assert [binding.name for binding in config.bindings] == ["HALL"]
    assert config.vars == {"GREETING": "hi"}
    assert [migration.tag for migration in config.migrations] == ["v1", "v2"]
    assert config.main.name == "main.py"
    assert config.dev.hosts == 2
    assert config.warnings == ()


def test_what_an_environment_does_not_inherit_is_warned_about(load_text: Load) -> None:
    config = load_text(ENVIRONMENTS, environment="bare")
    assert (config.bindings, config.vars) == ((), {})
    assert warnings_of(config) == [
        'durable.toml:39:6: "durable_objects" is set at the top level and not in env.bare; '
        'environments do not inherit it. Add "durable_objects" to the environment.',
        'durable.toml:39:6: "vars" is set at the top level and not in env.bare; environments do not inherit it. '
        'Add "vars" to the environment.',
    ]


def test_an_environment_may_say_everything_anew(load_text: Load, project: Path) -> None:
    (project / "other.py").write_text("")
    config = load_text(ENVIRONMENTS, environment="own")
    assert (config.name, config.main.name, config.compatibility_date) == ("other", "other.py", "2027-01-31")
    assert [migration.tag for migration in config.migrations] == ["o1"]
    assert config.warnings == ()


def test_keys_without_effect_in_an_environment_are_warned_about(load_text: Load) -> None:
    config = load_text('main = "main.py"\n[env.a]\nmian = 1\nworkers_dev = true\ndev = { port = 1 }', environment="a")
    assert warnings_of(config) == [
        'durable.toml:5:1: "dev" has no effect in an environment. Set it at the top level.',
        'durable.toml:3:1: unknown key "mian" in env.a; it has no effect. Did you mean "main"?',
    ]


def test_an_unknown_environment_is_answered_with_those_that_exist(refused: Refusal) -> None:
    error = refused(ENVIRONMENTS, environment="stagin")
    assert error.message == (
        'there is no environment "stagin". This file has staging, bare, own. Did you mean "staging"?'
    )
    assert error.fix == "[env.stagin]"
    assert refused('main = "main.py"', environment="x").message == 'there is no environment "x". This file has none.'
    assert refused('{"main": "main.py"}', environment="x", file="wrangler.json").fix == '"env": { "x": {} }'


def test_an_environment_that_could_leave_the_folder_is_refused(refused: Refusal) -> None:
    error = refused('main = "main.py"\n[env."../x"]', environment="../x")
    assert error.message == '"../x" cannot be the name of an environment: letters, digits, ".", "_" and "-" can'
    assert (error.line, error.column) == (2, 6)


def test_an_environment_has_to_be_a_table(refused: Refusal) -> None:
    assert refused('main = "main.py"\nenv.a = 1').message == 'expected "env.a" to be a table, got 1 (a whole number)'
