"""Keys of the platform that nothing here acts on: told once, by name, with what that means."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from durable.config import Config, UnservedBinding
from durable.config.products import ADVICE, NO_EFFECT, PRODUCTS, SILENT
from durable.config.schema import Location

Load = Callable[..., Config]

MAIN = 'main = "main.py"\n'


def notices_of(config: Config) -> list[str]:
    return [str(each) for each in config.notices]


def test_keys_without_effect_are_listed_together_by_what_that_means(load_text: Load) -> None:
    config = load_text(
        MAIN
        + """
account_id = "x"
workers_dev = true
routes = []
rules = []
[triggers]
crons = []
[observability]
enabled = true
[limits]
cpu_ms = 50
[placement]
mode = "smart"
[build]
command = "x"
[dev]
inspector_port = 9229
"""
    )
    assert config.warnings == ()
    assert notices_of(config) == [
        "durable.toml:3:1: without effect here: account_id (for deploying only); "
        "workers_dev, routes (everything is served at the address that is printed); "
        "rules (no bundle is built: Python imports what it finds); "
        "observability (the log is in this terminal); "
        "limits (CPU time and subrequests are not limited); "
        "placement (everything runs on this machine); "
        "build (run the command yourself before)."
    ]


def test_each_product_that_is_not_here_is_told_with_the_names_that_cannot_be_used(load_text: Load) -> None:
    config = load_text(
        MAIN
        + """
kv_namespaces = [{ binding = "CACHE", id = "1" }, { binding = "FLAGS", id = "2" }]
[ai]
binding = "AI"
[queues]
producers = [{ binding = "JOBS", queue = "jobs" }]
consumers = [{ queue = "jobs" }]
"""
    )
    assert notices_of(config) == [
        'durable.toml:3:1: "kv_namespaces": env.CACHE, env.FLAGS fail when used: Workers KV is not served here. '
        "An object's storage can hold the same entries.",
        'durable.toml:4:2: "ai": env.AI fails when used: Workers AI is not served here. '
        "Call its HTTP API with fetch().",
        'durable.toml:6:2: "queues": env.JOBS fails when used: a queue is not served here. '
        "An object with an alarm can hold work for later.",
    ]
    assert [(each.name, each.key) for each in config.unserved] == [
        ("AI", "ai"),
        ("CACHE", "kv_namespaces"),
        ("FLAGS", "kv_namespaces"),
        ("JOBS", "queues"),
    ]


def test_the_sentence_of_a_name_says_product_key_and_file(load_text: Load) -> None:
    config = load_text(
        '{"main": "main.py", "compatibility_flags": ["python_workers"], "d1_databases": [{"binding": "DB"}]}',
        file="wrangler.jsonc",
    )
    assert config.unserved == (
        UnservedBinding(
            "DB",
            "d1_databases",
            'env.DB is a D1 database ("d1_databases" in wrangler.jsonc), which is not served here. '
            "An object's own SQL storage takes the same statements.",
            Location("wrangler.jsonc", 1, 64),
        ),
    )


@pytest.mark.parametrize("key", sorted(PRODUCTS))
def test_every_product_binds_its_name(key: str, load_text: Load) -> None:
    product = PRODUCTS[key]
    entry = f'[{{ {product.binding} = "IT" }}]'
    text = f"[{key}]\n{product.within} = {entry}" if product.within else f"{key} = {entry}"
    (unserved,) = load_text(MAIN + text).unserved
    assert (unserved.name, unserved.key) == ("IT", key)
    assert unserved.sentence.startswith(f"env.IT is {product.title} ")


def test_a_name_that_is_also_a_variable_or_a_secret_is_that(load_text: Load, project) -> None:
    (project / ".dev.vars").write_text("DB=local")
    config = load_text(
        MAIN + 'kv_namespaces = [{ binding = "CACHE" }]\nd1_databases = [{ binding = "DB" }]\nvars.CACHE = 1'
    )
    assert config.unserved == ()


def test_an_environment_has_its_own_products(load_text: Load) -> None:
    text = (
        MAIN
        + 'kv_namespaces = [{ binding = "CACHE" }]\nminify = true\n[env.staging]\nd1_databases = [{ binding = "DB" }]\n'
    )
    config = load_text(text, environment="staging")
    assert [each.name for each in config.unserved] == ["DB"]
    assert len(config.notices) == 2
    assert "minify" in config.notices[1].message


@pytest.mark.parametrize(
    "value",
    ["[]", "{}", "3", '"x"', '[{ binding = "not a name" }]', "[{ binding = 3 }]", "[{}]", "[[]]", "{ binding = [] }"],
)
def test_what_binds_no_name_is_wranglers_to_refuse(value: str, load_text: Load) -> None:
    config = load_text(f"{MAIN}kv_namespaces = {value}")
    assert (config.unserved, config.warnings) == ((), ())


def test_an_empty_list_of_a_product_is_not_worth_a_word(load_text: Load) -> None:
    assert load_text(MAIN + "kv_namespaces = []\n[queues]\n").notices == ()


@pytest.mark.parametrize("key", sorted(SILENT - {"secrets"}))
def test_keys_for_editors_and_wrangler_are_passed_over(key: str, load_text: Load) -> None:
    config = load_text(f'{MAIN}"{key}" = "x"')
    assert (config.warnings, config.notices) == ((), ())


def test_no_key_has_two_meanings() -> None:
    groups = [set(PRODUCTS), set(NO_EFFECT), set(SILENT)]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert set(ADVICE) <= set(PRODUCTS)


# --- compatibility flags ----------------------------------------------------------------------------------------------
def test_a_wrangler_file_without_the_flag_for_python_is_told_what_the_platform_would_do(load_text: Load) -> None:
    config = load_text(MAIN, file="wrangler.toml")
    assert notices_of(config) == [
        'wrangler.toml: Python runs here, and on the platform only with "python_workers" in compatibility_flags. '
        'compatibility_flags = ["python_workers"]'
    ]
    assert load_text(MAIN + 'compatibility_flags = ["python_workers"]', file="wrangler.toml").notices == ()
    assert load_text(MAIN).notices == ()


def test_flags_are_inherited_and_replaced(load_text: Load) -> None:
    text = MAIN + 'compatibility_flags = ["a"]\n[env.x]\n[env.y]\ncompatibility_flags = ["b"]\n'
    assert load_text(text).compatibility_flags == ("a",)
    assert load_text(text, environment="x").compatibility_flags == ("a",)
    assert load_text(text, environment="y").compatibility_flags == ("b",)
