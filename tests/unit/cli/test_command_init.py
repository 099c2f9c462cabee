from __future__ import annotations

from pathlib import Path

import pytest

from durable_cli import scaffold


@pytest.fixture(autouse=True)
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "templates"
    for name in ("chat", "counter"):
        (folder / name).mkdir(parents=True)
        (folder / name / "durable.toml").write_text('name = "{{name}}"\n')
        (folder / name / "README.md").write_text(f"# x\n\nA {name}.\n")
    monkeypatch.setattr(scaffold, "templates_folder", lambda: folder)
    (tmp_path / "projects").mkdir()
    monkeypatch.chdir(tmp_path / "projects")
    return folder


def test_without_a_terminal_the_template_is_counter(typed, tmp_path: Path) -> None:
    result = typed("init", "app")
    assert (result.code, result.out) == (0, "")
    assert result.err == (
        f"Created {tmp_path}/projects/app from the template counter: 2 files.\n\nNext:\n  cd app\n  durable dev\n"
    )
    assert Path("app/durable.toml").read_text() == 'name = "app"\n'


def test_without_a_folder_it_is_this_one(typed) -> None:
    result = typed("init", "--template", "chat")
    assert result.code == 0
    assert "cd " not in result.err
    assert Path("durable.toml").read_text() == 'name = "projects"\n'


def test_the_list_is_data(typed) -> None:
    result = typed("init", "--list")
    assert (result.code, result.out, result.err) == (0, "chat     A chat.\ncounter  A counter.\n", "")


def test_an_unknown_template_exits_with_3_and_makes_nothing(typed) -> None:
    result = typed("init", "app", "--template", "cuonter")
    assert result.code == 3
    assert result.err == ('error: no template "cuonter"\n  fix: Did you mean "counter"? templates: chat, counter\n')
    assert list(Path().iterdir()) == []


def test_files_that_are_there_exit_with_2(typed) -> None:
    Path("durable.toml").write_text("mine")
    result = typed("init")
    assert result.code == 2
    assert "already has durable.toml; nothing was written" in result.err
    assert "--force" in result.err
    assert typed("init", "--force").code == 0


@pytest.mark.parametrize(("answer", "name"), [("chat", "chat"), ("1", "chat"), ("", "counter")])
def test_on_a_terminal_one_is_asked(
    typed, monkeypatch: pytest.MonkeyPatch, templates: Path, answer: str, name: str
) -> None:
    asked = []

    def prompt(text: str, default: str, err: bool) -> str:
        asked.append(text)
        return answer or default

    monkeypatch.setattr("durable_cli.console.interactive", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    result = typed("init", "app")
    assert asked == ["Which one"]
    assert f"from the template {name}" in result.err


def test_a_folder_with_a_space_is_quoted_for_the_shell(typed) -> None:
    assert "  cd 'my app'\n" in typed("init", "my app").err
