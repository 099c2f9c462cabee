"""`[[services]]`: names of other workers in `env`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from durable.config import Config, ServiceBinding
from durable.config.schema import Location
from durable.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[..., ConfigError]

MAIN = 'main = "main.py"\n'


def test_a_service_is_the_worker_its_class_and_what_that_finds(load_text: Load) -> None:
    config = load_text(
        MAIN
        + '[[services]]\nbinding = "AUTH"\nservice = "auth"\nentrypoint = "Admin"\n'
        + 'props = { tenant = "acme", n = [1] }\n'
        + '[[services]]\nbinding = "LOG"\nservice = "log"\nremote = false\n'
    )
    assert config.warnings == ()
    assert config.services == (
        ServiceBinding("AUTH", "auth", "Admin", Location("durable.toml", 4, 11), {"tenant": "acme", "n": [1]}),
        ServiceBinding("LOG", "log", "", Location("durable.toml", 9, 11), {}),
    )


@pytest.mark.parametrize("name", ["default", "Default"])
def test_the_main_class_of_a_worker_may_be_named(name: str, load_text: Load) -> None:
    config = load_text(f'{MAIN}services = [{{ binding = "A", service = "a", entrypoint = "{name}" }}]')
    assert config.services[0].entrypoint == ""


def test_an_environment_of_another_worker_goes_by_both_names(load_text: Load) -> None:
    config = load_text(MAIN + 'services = [{ binding = "A", service = "a", environment = "staging" }]')
    assert config.services[0].service == "a-staging"


def test_environments_do_not_inherit_services(load_text: Load) -> None:
    config = load_text(MAIN + 'services = [{ binding = "A", service = "a" }]\n[env.staging]\n', environment="staging")
    assert config.services == ()
    assert [each.message for each in config.warnings] == [
        '"services" is set at the top level and not in env.staging; environments do not inherit it.'
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('{ service = "a" }', 'a service needs "binding", env.<binding> in the code'),
        ('{ binding = "A" }', 'a service needs "service", the name of the worker that is called'),
        (
            '{ binding = "A", service = "" }',
            'expected "services[0].service" to be the name of a worker, got "" (a string)',
        ),
        (
            '{ binding = "a-b", service = "a" }',
            'expected "services[0].binding" to be an identifier, so that the code can say env.<binding>, '
            'got "a-b" (a string)',
        ),
        (
            '{ binding = "A", service = "a", entrypoint = "a-b" }',
            'expected "services[0].entrypoint" to be the name of a class of that worker, got "a-b" (a string)',
        ),
        (
            '{ binding = "A", service = "a", props = { at = 2026-01-01 } }',
            '"services[0].props.at" must be a JSON value, got "2026-01-01" (a date or time); write it as a string',
        ),
        (
            '{ binding = "A", service = "a", props = 3 }',
            'expected "services[0].props" to be a table, got 3 (a whole number)',
        ),
        (
            '{ binding = "A", service = "a" }, { binding = "A", service = "b" }',
            'two services are called "A"; each needs a name of its own',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(entry: str, message: str, refused: Refusal) -> None:
    error = refused(f"{MAIN}services = [{entry}]")
    assert error.message == message
    assert error.line == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("vars = { A = 1 }", "env.A is a variable here and a service binding at line 2; rename one of them"),
        (
            'durable_objects.bindings = [{ name = "A", class_name = "X" }]',
            "env.A is a service binding here and a Durable Object binding at line 3; rename one of them",
        ),
        (
            'assets = { directory = ".", binding = "A" }',
            "env.A is the binding of the assets here and a service binding at line 2; rename one of them",
        ),
    ],
)
def test_a_name_means_one_thing(more: str, message: str, refused: Refusal) -> None:
    error = refused(f'{MAIN}services = [{{ binding = "A", service = "a" }}]\n{more}')
    assert error.message == message


def test_a_secret_with_the_name_of_a_service_is_refused(refused: Refusal, project) -> None:
    (project / ".dev.vars").write_text("A=1")
    error = refused(f'{MAIN}services = [{{ binding = "A", service = "a" }}]')
    assert error.message == "env.A is a secret here and a service binding in durable.toml:2:40; rename one of them"


def test_a_flood_of_services_is_refused(refused: Refusal) -> None:
    entries = ", ".join(f'{{ binding = "S{n}", service = "s" }}' for n in range(1001))
    assert refused(f"{MAIN}services = [{entries}]").message == "1001 services; at most 1000 are read"
