from __future__ import annotations

import pytest

from durable.storage.sql.script import statements_of

TRIGGER = "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM a; DELETE FROM b; END;"


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1;"]),
        ("SELECT 1; SELECT 2", ["SELECT 1;", " SELECT 2"]),
        ("SELECT ';', \";\", `;`, [;]; SELECT 2", ["SELECT ';', \";\", `;`, [;];", " SELECT 2"]),
        ("SELECT 'it''s;'; SELECT 2", ["SELECT 'it''s;';", " SELECT 2"]),
        ("SELECT 1 -- ; no end\n; SELECT 2", ["SELECT 1 -- ; no end\n;", " SELECT 2"]),
        ("SELECT 1 /* ; ' */; SELECT 2 -- '", ["SELECT 1 /* ; ' */;", " SELECT 2 -- '"]),
        (f"{TRIGGER} SELECT 2;", [TRIGGER, " SELECT 2;"]),
        ("SELECT 'no end; SELECT 2", ["SELECT 'no end; SELECT 2"]),
        ("SELECT 1 /* no end; SELECT 2", ["SELECT 1 /* no end; SELECT 2"]),
        ("", []),
        (" ;; -- nothing\n; /* nothing */", []),
        ("; ;SELECT 1;;", ["SELECT 1;"]),
    ],
)
def test_a_script_falls_apart_where_its_statements_end(script: str, texts: list[str]) -> None:
    assert [text for _, text in statements_of(script)] == texts


def test_offsets_count_the_bytes_before_a_statement() -> None:
    assert list(statements_of("SELECT 'é'; -- €\nSELECT 2")) == [(0, "SELECT 'é';"), (12, " -- €\nSELECT 2")]


@pytest.mark.parametrize("text", ["SELECT '\ud800'; SELECT 2", "SELECT 'a\x00b'; SELECT 2"])
def test_text_that_sqlite_cannot_be_asked_about_falls_apart_all_the_same(text: str) -> None:
    assert len(list(statements_of(text))) == 2


@pytest.mark.parametrize("piece", ["'", '"', "''", "[", "/*", ";", "a;", "-"])
def test_a_large_script_that_means_nothing_is_looked_through_once(piece: str) -> None:
    # A pattern that goes back over what it has read would not come to an end here.
    assert len(list(statements_of(piece * 300_001))) in (0, 1, 300_001)
