from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable.errors import NotFoundError, UserInputError
from durable_cli.scaffold import (
    Template,
    copy_template,
    find_template,
    list_templates,
    project_name,
    templates_folder,
)


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Two templates, one of which somebody has run."""
    folder = tmp_path / "templates"
    for name in ("counter", "chat"):
        (folder / name / "tests").mkdir(parents=True)
        (folder / name / "durable.toml").write_text('name = "{{name}}"\nmain = "main.py"\n')
        (folder / name / "README.md").write_text(f"# {{{{name}}}}\n\nA {name}\nfor all.\n\nMore.\n")
        (folder / name / "main.py").write_text('TEXT = "{{name}}"\n')
        (folder / name / "tests" / "test_main.py").write_text("")
        (folder / name / ".gitignore").write_text(".durable/\n")
    for left in (
        ".durable/state/x",
        "__pycache__/main.pyc",
        "tests/__pycache__/t.pyc",
        ".venv/bin/python",
        ".dev.vars",
    ):
        path = folder / "chat" / left
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left behind")
    (folder / "notes").mkdir()
    return folder


@pytest.fixture
def chat(templates: Path) -> Template:
    return find_template(templates, "chat")


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_template_is_a_folder_with_a_configuration(templates: Path) -> None:
    assert [(each.name, each.summary) for each in list_templates(templates)] == [
        ("chat", "A chat for all."),
        ("counter", "A counter for all."),
    ]


@pytest.mark.parametrize(
    "name", ["../templates/chat", "chat/", "./chat", "notes", "Chat", "", "..", "/etc", "chat\x00"]
)
def test_a_template_is_found_by_its_whole_name_only(templates: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match="no template"):
        find_template(templates, name)


def test_an_unknown_template_suggests_the_nearest_and_lists_all(templates: Path) -> None:
    with pytest.raises(NotFoundError, match='no template "chta"') as caught:
        find_template(templates, "chta")
    assert caught.value.fix == 'Did you mean "chat"? templates: chat, counter'


def test_the_copy_is_complete_and_carries_nothing_that_was_left_behind(chat: Template, tmp_path: Path) -> None:
    copied = copy_template(chat, str(tmp_path / "new"))
    expected = {"durable.toml", "README.md", "main.py", "tests/test_main.py", ".gitignore"}
    assert files_below(tmp_path / "new") == expected
    assert {str(file) for file in copied.files} == expected


def test_the_project_gets_the_folders_name_in_two_files_only(chat: Template, tmp_path: Path) -> None:
    copied = copy_template(chat, str(tmp_path / "My Chät!"))
    assert copied.project == "my-chat"
    assert (copied.target / "durable.toml").read_text().startswith('name = "my-chat"')
    assert (copied.target / "README.md").read_text().startswith("# my-chat")
    assert (copied.target / "main.py").read_text() == 'TEXT = "{{name}}"\n'


def test_files_that_are_there_are_named_and_nothing_is_written(chat: Template, tmp_path: Path) -> None:
    target = tmp_path / "app"
    target.mkdir()
    (target / "main.py").write_text("mine")
    (target / "README.md").write_text("mine too")
    with pytest.raises(UserInputError, match=r"already has README.md, main.py; nothing was written") as caught:
        copy_template(chat, str(target))
    assert caught.value.fix == "use another folder, or add --force to overwrite"
    assert files_below(target) == {"main.py", "README.md"}
    assert (target / "main.py").read_text() == "mine"


def test_other_files_are_no_obstacle(chat: Template, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "LICENSE").write_text("mine")
    copy_template(chat, str(tmp_path / "app"))
    assert (tmp_path / "app" / "LICENSE").read_text() == "mine"


def test_force_overwrites_the_templates_files_and_no_others(chat: Template, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("mine, and much longer than what the template has")
    (tmp_path / "app" / "other.py").write_text("mine")
    copy_template(chat, str(tmp_path / "app"), force=True)
    assert (tmp_path / "app" / "main.py").read_text() == 'TEXT = "{{name}}"\n'
    assert (tmp_path / "app" / "other.py").read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_links_inside_the_target_are_not_followed(chat: Template, tmp_path: Path, force: bool) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("precious")
    target = tmp_path / "app"
    target.mkdir()
    (target / "main.py").symlink_to(outside)
    with pytest.raises(UserInputError, match=r"main.py is a symbolic link, and init follows none"):
        copy_template(chat, str(target), force=force)
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("force", [False, True])
def test_a_linked_folder_on_the_way_is_not_followed(chat: Template, tmp_path: Path, force: bool) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "tests").symlink_to(tmp_path / "outside")
    with pytest.raises(UserInputError, match="is a symbolic link"):
        copy_template(chat, str(tmp_path / "app"), force=force)
    assert files_below(tmp_path / "outside") == set()


def test_a_target_that_is_a_link_is_refused_with_the_path_to_type(chat: Template, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "app").symlink_to(tmp_path / "real")
    with pytest.raises(UserInputError, match="is a symbolic link") as caught:
        copy_template(chat, str(tmp_path / "app"))
    assert caught.value.fix == f"durable init {tmp_path / 'real'}"


def test_a_file_or_a_folder_in_the_way_is_said(chat: Template, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserInputError, match="is a file, not a folder"):
        copy_template(chat, str(tmp_path / "file"))
    (tmp_path / "app" / "main.py").mkdir(parents=True)
    with pytest.raises(UserInputError, match=r"main.py is in the way of main.py"):
        copy_template(chat, str(tmp_path / "app"), force=True)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\x00b", "\u202etxt", "", "  "])
def test_a_name_that_no_folder_should_have_is_refused(
    chat: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    with pytest.raises(UserInputError, match="the folder's name"):
        copy_template(chat, name)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["my app", "プロジェクト", "deep/er", "-dash"])
def test_spaces_and_letters_of_all_languages_are_fine(
    chat: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    copy_template(chat, name)
    assert (tmp_path / name / "durable.toml").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_the_machines_refusal(chat: Template, tmp_path: Path) -> None:
    (tmp_path / "fixed").mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        copy_template(chat, str(tmp_path / "fixed" / "app"))


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Chat", "chat"), ("my_chat 2", "my-chat-2"), ("___", "app"), ("日本", "app"), ("a" * 99, "a" * 63)],
)
def test_a_folders_name_becomes_a_workers_name(folder: str, name: str) -> None:
    assert project_name(folder) == name


@given(st.text())
def test_every_folder_gives_a_name_that_the_configuration_accepts(folder: str) -> None:
    name = project_name(folder)
    assert 1 <= len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")


def test_the_templates_of_a_checkout_lie_beside_the_sources() -> None:
    assert templates_folder() == Path(__file__).parents[3] / "templates"
