"""The `[triggers]` table: the platform's keys, and a caret below the field of an expression that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from durable.config import Config
from durable.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[..., ConfigError]


def test_expressions_are_read_in_their_order(load_text: Load) -> None:
    config = load_text('main = "main.py"\n[triggers]\ncrons = ["*/5 * * * *", "0 9 * * mon"]\n')

    assert config.crons == ("*/5 * * * *", "0 9 * * mon")
    assert config.warnings == ()


def test_wranglers_own_file_is_read_too(load_text: Load) -> None:
    text = '{ "main": "main.py", "triggers": { "crons": ["0 17 * * sun"] } }'

    assert load_text(text, file="wrangler.jsonc").crons == ("0 17 * * sun",)


def test_an_environment_inherits_the_triggers_unless_it_has_its_own(load_text: Load) -> None:
    text = 'main = "main.py"\n[triggers]\ncrons = ["1 * * * *"]\n[env.a]\n[env.b.triggers]\ncrons = []\n'

    assert load_text(text, environment="a").crons == ("1 * * * *",)
    assert load_text(text, environment="b").crons == ()


def test_the_caret_stands_below_the_wrong_field(refused: Refusal) -> None:
    error = refused('main = "main.py"\n[triggers]\ncrons = ["*/5 * * * *", "0 25 * * mon"]\n')

    assert (error.line, error.column) == (3, 28)
    assert str(error).splitlines()[0].endswith('durable.toml:3:28: "25" is no hour: hours are 0-23')
    source, caret = str(error).splitlines()[1:3]
    assert source[caret.index("^") :].startswith("25 * * mon")


def test_an_escaped_expression_is_pointed_at_as_a_whole(refused: Refusal) -> None:
    text = json.dumps({"main": "main.py", "triggers": {"crons": ["0 25 * * *"]}}).replace("0 25", "0\\u002025")
    error = refused(text, file="durable.json")

    assert error.source_line[error.column - 1 :].startswith('"0\\u002025')


def refusals() -> dict[str, Any]:
    return {
        'crons = "* * * * *"': 'expected "triggers.crons" to be an array of strings',
        "crons = [5]": 'expected "triggers.crons[0]" to be a string',
        'crons = ["* * * * *", "* * * * *"]': "stands here twice",
        f"crons = {['0 0 * * *'] * 251}": "a worker has at most 250 cron triggers; these are 251",
    }


def test_what_is_no_list_of_expressions_is_refused(refused: Refusal) -> None:
    for line, message in refusals().items():
        assert message in refused(f'main = "main.py"\n[triggers]\n{line}\n').message


def test_a_misspelt_key_is_told(load_text: Load) -> None:
    warnings = load_text('main = "main.py"\n[triggers]\ncron = ["* * * * *"]\n').warnings

    assert [str(each) for each in warnings] == [
        f'{warnings[0].location}: unknown key "cron" in triggers; it has no effect. Did you mean "crons"?'
    ]
