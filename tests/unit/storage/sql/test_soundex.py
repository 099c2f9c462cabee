"""`soundex` as SQLite's own gives it."""

from __future__ import annotations

from typing import Any

import pytest

from durable.storage.sql.soundex import soundex


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("Robert", "R163"), ("Rupert", "R163"), ("Euler", "E460"), ("Gauss", "G200"), ("Lloyd", "L300"),
        ("Tymczak", "T522"), ("a", "A000"), ("  12 Lee", "L000"), ("", "?000"), (None, "?000"), (12, "?000"),
        (b"Robert", "R163"), ("é", "?000"),
    ],
)  # fmt: skip
def test_words_that_sound_alike_have_one_code(word: Any, code: str) -> None:
    assert soundex(word) == code
