"""`.dev.vars` and `.env`: which is read, what a line means, and that no complaint shows a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.config import load
from durable.config.secrets import parse_dotenv, read_secrets
from durable.errors import ConfigError


def values(text: str) -> dict[str, str]:
    return {key: value for key, (value, _) in parse_dotenv(text, ".env").items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("A=1\nB = two words \n", {"A": "1", "B": "two words"}),
        ("export A=1", {"A": "1"}),
        ("A=\nB=", {"A": "", "B": ""}),
        ("A=x # comment\nB=x#y\nC= # all comment\nD=#", {"A": "x", "B": "x#y", "C": "", "D": ""}),
        ("A=a=b", {"A": "a=b"}),
        ("A='x # y \\n' # c", {"A": "x # y \\n"}),
        ('A="x\\ny \\"z\\" \\\\ \\$ # é"', {"A": 'x\ny "z" \\ \\$ # é'}),
        ('A=`it\'s "x"`', {"A": 'it\'s "x"'}),
        ('A="-----BEGIN\nKEY\n-----END"\nB=2', {"A": "-----BEGIN\nKEY\n-----END", "B": "2"}),
        ("A=''\nB=\"\"", {"A": "", "B": ""}),
        ("A=1\nA=2", {"A": "2"}),
        ("a.b-c_D=1", {"a.b-c_D": "1"}),
    ],
)
def test_dotenv_syntax(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("A=1\nhunter2\n", "expected KEY=value", (2, 1)),
        ("  1A=hunter2", "expected KEY=value", (1, 3)),
        ('A="hunter2\nB=2', "the quote that opens the value of A is never closed", (1, 1)),
        ("A='hunter2' hunter2", "something stands behind the closing quote of the value of A", (1, 1)),
        ("A=hun\0ter2", "the value of A holds a NUL character", (1, 1)),
    ],
)
def test_a_mistake_is_placed_but_never_quoted(text: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dotenv(text, ".dev.vars")
    assert caught.value.message == message
    assert (caught.value.file, caught.value.line, caught.value.column) == (".dev.vars", *place)
    assert "hunter2" not in str(caught.value) + caught.value.fix


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        ([], None, {}),
        ([".env"], None, {"FROM": ".env"}),
        ([".env", ".dev.vars"], None, {"FROM": ".dev.vars"}),
        ([".env", ".dev.vars"], "staging", {"FROM": ".dev.vars"}),
        ([".dev.vars", ".dev.vars.staging"], "staging", {"FROM": ".dev.vars.staging"}),
        ([".dev.vars", ".dev.vars.staging"], None, {"FROM": ".dev.vars"}),
        ([".env", ".env.staging"], "staging", {"FROM": ".env.staging"}),
        ([".env", ".env.staging"], None, {"FROM": ".env"}),
        ([".env.staging", ".dev.vars"], "staging", {"FROM": ".dev.vars"}),
    ],
)
def test_which_file_is_read(
    files: list[str], environment: str | None, expected: dict[str, str], tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).write_text(f"FROM={name}")
    assert {key: value for key, (value, _) in read_secrets(tmp_path, environment).items()} == expected


def test_an_environments_dot_env_lies_over_the_general_one(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=1")
    (tmp_path / ".env.staging").write_text("B=2")
    assert {key: value for key, (value, _) in read_secrets(tmp_path, "staging").items()} == {"A": "1", "B": "2"}


def test_the_local_files_lie_over_those_that_are_shared(tmp_path: Path) -> None:
    for name in (".env", ".env.local", ".env.staging", ".env.staging.local"):
        (tmp_path / name).write_text(f"FROM={name}\n{name.upper().replace('.', '_')[1:]}=1")
    assert {key: value for key, (value, _) in read_secrets(tmp_path, None).items()} == {
        "FROM": ".env.local",
        "ENV": "1",
        "ENV_LOCAL": "1",
    }
    assert read_secrets(tmp_path, "staging")["FROM"][0] == ".env.staging.local"
    (tmp_path / ".env.staging.local").unlink()
    assert read_secrets(tmp_path, "staging")["FROM"][0] == ".env.staging"
    (tmp_path / ".dev.vars").write_text("FROM=.dev.vars")
    assert {key: value for key, (value, _) in read_secrets(tmp_path, "staging").items()} == {"FROM": ".dev.vars"}


def test_a_secret_that_is_required_and_not_set_is_a_warning(project: Path) -> None:
    text = (
        '{"main": "main.py", "compatibility_flags": ["python_workers"], "secrets": {"required": ["KEY", "TOKEN", "V"]},'
    )
    (project / "wrangler.jsonc").write_text(text + '"vars": {"V": "x"}}')
    (project / ".dev.vars").write_text("KEY=1")
    assert [str(warning) for warning in load(project / "wrangler.jsonc").warnings] == [
        "wrangler.jsonc:1:88: the secret TOKEN is required and not set: env.TOKEN is missing. "
        "Write TOKEN=… into .dev.vars beside this file."
    ]
    assert load(project / "wrangler.jsonc", overrides={"TOKEN": "typed"}).warnings == ()


def test_a_secret_cannot_take_the_name_of_a_binding(project: Path) -> None:
    (project / "durable.toml").write_text(
        'main = "main.py"\ndurable_objects.bindings = [{ name = "ROOM", class_name = "Room" }]'
    )
    (project / ".dev.vars").write_text("A=1\nROOM=hunter2")
    with pytest.raises(ConfigError) as caught:
        load(project / "durable.toml")
    assert str(caught.value) == (
        ".dev.vars:2:1: env.ROOM is a secret here and a Durable Object binding in durable.toml:2:59; rename one of them"
    )


def test_a_secrets_file_that_is_too_large_or_not_text_is_refused(project: Path) -> None:
    (project / ".dev.vars").write_bytes(b"A=hunter2\xff")
    with pytest.raises(ConfigError) as caught:
        read_secrets(project, None)
    assert str(caught.value) == (".dev.vars:1:10: is not UTF-8: byte 0xff stands here; save the file as UTF-8")
    (project / ".dev.vars").write_bytes(b"A" * 300_000)
    with pytest.raises(ConfigError) as caught:
        read_secrets(project, None)
    assert caught.value.message.startswith("is larger than 256 KiB")
