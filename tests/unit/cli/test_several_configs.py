"""`durable dev -c A -c B`: what each configuration becomes, which do not go together, and whose line is whose."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from durable.errors import UserInputError
from durable.gateway.events import RequestServed
from durable_cli.console import Ink
from durable_cli.project import TypedSettings, load_projects
from durable_cli.text.events import JsonFormatter, PrettyFormatter

PLAIN = Ink(colour=False)
SERVED = RequestServed("GET", "/a", 200, 3.0)


@pytest.fixture
def worker(tmp_path: Path) -> Callable[..., Path]:
    """`worker("auth")` is the path of a configuration."""

    def make(name: str, folder: str = "", file: str = "durable.toml") -> Path:
        root = tmp_path / (folder or name)
        root.mkdir(exist_ok=True)
        (root / "main.py").write_text("")
        (root / file).write_text(f'name = "{name}"\nmain = "main.py"\n[dev]\nport = 8000\n')
        return root / file

    return make


def test_the_first_has_the_port_and_the_others_take_free_ones(worker):
    shop, auth = load_projects(
        [worker("shop"), worker("auth")], None, None, settings=TypedSettings(ip="0.0.0.0", port=9000, hosts=2)
    )

    assert [(each.config.name, each.config.dev.ip, each.config.dev.port) for each in (shop, auth)] == [
        ("shop", "0.0.0.0", 9000),
        ("auth", "0.0.0.0", 0),
    ]
    assert auth.config.dev.hosts == 2
    assert auth.read_again().dev.port == 0


def test_each_keeps_its_state_beside_its_own_configuration(worker, tmp_path: Path):
    shop, auth = load_projects([worker("shop"), worker("auth")], None, None)

    assert (shop.folder, auth.folder) == (tmp_path / "shop" / ".durable", tmp_path / "auth" / ".durable")


def test_below_persist_to_the_others_have_folders_of_their_names(worker, tmp_path: Path):
    shop, auth = load_projects([worker("shop"), worker("auth")], None, tmp_path / "state")

    assert (shop.folder, auth.folder) == (tmp_path / "state", tmp_path / "state" / "auth")


def test_one_configuration_is_as_ever(worker, tmp_path: Path):
    [shop] = load_projects([worker("shop")], None, tmp_path / "state", settings=TypedSettings(port=5))

    assert (shop.folder, shop.config.dev.port) == (tmp_path / "state", 5)


def test_the_same_file_twice_is_refused(worker):
    shop = worker("shop")
    with pytest.raises(UserInputError, match="is given twice"):
        load_projects([shop, shop.parent], None, None)


def test_two_of_one_name_are_refused(worker):
    with pytest.raises(UserInputError, match='are the worker "shop"; bindings could not tell them apart'):
        load_projects([worker("shop"), worker("shop", "copy")], None, None)


def test_two_with_one_place_for_their_state_are_refused_unless_each_is_given_one(worker, tmp_path: Path):
    files = [worker("shop"), worker("auth", "shop", "wrangler.toml")]
    with pytest.raises(UserInputError, match="would both keep their state in") as caught:
        load_projects(files, None, None)
    assert "--persist-to DIR" in caught.value.fix

    assert len(load_projects(files, None, tmp_path / "state")) == 2


def test_lines_of_a_worker_among_several_begin_with_its_name():
    formatter = PrettyFormatter(PLAIN)
    formatter.worker = "auth"

    assert formatter.text(SERVED) == "[auth] GET /a 200 3 ms"
    assert formatter.left_out(Counter(RequestServed=7)) == "[auth] … 7 more requests"


def test_json_lines_of_a_worker_among_several_say_which():
    formatter = JsonFormatter(wall_seconds=lambda: 0)
    assert "worker" not in json.loads(formatter.text(SERVED))

    formatter.worker = "auth"

    assert json.loads(formatter.text(SERVED))["worker"] == "auth"
