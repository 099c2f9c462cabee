"""`with_place`: a command gets the options that name its project, with their one wording, and hands none of them on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.testing import CliRunner

from durable_cli.options import Place, with_place

app = typer.Typer(rich_markup_mode=None)
SEEN: list[tuple[Place, str, int]] = []


@app.command()
@with_place
def look(
    place: Place,
    word: Annotated[str, typer.Argument(metavar="WORD", help="What.")],
    times: Annotated[int, typer.Option("--times", help="How often.")] = 2,
) -> None:
    """Look at it."""
    SEEN.append((place, word, times))


def test_a_command_gets_the_place_and_its_own_words() -> None:
    SEEN.clear()
    assert CliRunner().invoke(app, ["it", "--env", "test", "-c", "x.toml", "--times", "3"]).exit_code == 0
    assert CliRunner().invoke(app, ["--persist-to", "there", "it"]).exit_code == 0

    typed, defaults = SEEN
    assert typed == (Place(Path("x.toml"), "test", None), "it", 3)
    assert defaults == (Place(None, None, Path("there")), "it", 2)


def test_help_has_them_all_in_order_and_nothing_of_the_place_itself() -> None:
    told = CliRunner().invoke(app, ["--help"]).output

    places = [told.index(word) for word in ("Look at it.", "--times", "--config", "--env", "--persist-to")]
    assert places == sorted(places)
    assert "--place" not in told


def test_a_wrong_value_is_refused_as_any_other() -> None:
    assert CliRunner().invoke(app, ["it", "--times", "often"]).exit_code == 2
