"""What many objects answered, and its JSON."""

from __future__ import annotations

import json
import math

from durable.storage.sql.answers import Answers
from durable.storage.sql.inspection import Inspection


def found(columns: list[str], *rows: list[object], truncated: bool = False) -> Inspection:
    return Inspection(columns, [*rows], truncated, 0)


def test_rows_of_equal_columns_come_together_in_their_order() -> None:
    answers = Answers()
    answers.add("a", found(["n"], [1], [2]))
    answers.add("b", found(["n"]))
    answers.add("c", found(["n"], [3], truncated=True))
    answers.add("d", found(["n", "m"], [4, 5]))
    answers.add("e", found(["n"], [6]))
    answers.fail("f", "is damaged")

    assert json.loads(answers.to_json()) == {
        "objects": 6,
        "tables": [
            {"columns": ["n"], "rows": [["a", 1], ["a", 2], ["c", 3]]},
            {"columns": ["n", "m"], "rows": [["d", 4, 5]]},
            {"columns": ["n"], "rows": [["e", 6]]},
        ],
        "failed": [["f", "is damaged"]],
        "cut": ["c"],
    }


def test_columns_are_known_without_rows() -> None:
    answers = Answers()
    answers.add("a", found(["n"]))
    assert json.loads(answers.to_json())["tables"] == [{"columns": ["n"], "rows": []}]


def test_what_json_has_no_words_for_is_written_as_everywhere() -> None:
    answers = Answers()
    answers.add("a", found(["v"], [b"\x00\xff"], [math.inf], [-math.inf], [2**63 - 1], [None], ["\x1b\u2028é"]))
    rows = [row[1] for row in json.loads(answers.to_json())["tables"][0]["rows"]]
    assert rows == [
        {"$bytes": "AP8="}, {"$float": "inf"}, {"$float": "-inf"}, 2**63 - 1, None, "\x1b\u2028é",
    ]  # fmt: skip


def test_it_is_one_line_whatever_the_data_are() -> None:
    answers = Answers()
    answers.add("a\nb", found(["x\ny"], ["1\n2\r3"]))
    answers.fail("c\n", "d\n")
    assert b"\n" not in answers.to_json()


def test_large_rows_count_as_large() -> None:
    answers = Answers()
    small = answers.add("a", found(["v"], [1]))
    assert answers.add("a", found(["v"], ["x" * 1000])) > 1000 > small
    assert answers.add("a", found(["v"], [b"x" * 1000])) > 1000
