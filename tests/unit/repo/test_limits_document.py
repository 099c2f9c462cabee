"""docs/limits.md says what `limits.py` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.limits_document import MARKS, STORAGE, TARGET, document, shown, with_limits
from durable import limits

BOUNDS = '''
KIB: Final = 1024
# --- storage ------
KEY_BYTES_MAX: Final = 2 * KIB
"""UTF-8 bytes of one key (platform: beyond it
an error)."""
# --- the wire -----
RETRY_SECONDS: Final = 0.5
"""First delay (ours)."""
'''


def test_the_document_is_as_make_docs_writes_it() -> None:
    assert TARGET.read_text("utf-8") == document(), "limits.py has changed; run: make docs"


def test_the_table_in_the_document_about_storage_is_as_make_docs_writes_it() -> None:
    text = STORAGE.read_text("utf-8")

    assert all(text.count(mark) == 1 for mark in MARKS)
    assert "| `KV_KEY_BYTES_MAX` |" in text
    assert text == with_limits(text), "limits.py has changed; run: make docs"


def test_a_changed_limit_makes_the_document_stale() -> None:
    source = Path(limits.__file__).read_text("utf-8")

    assert document(source.replace("KV_KEY_BYTES_MAX: Final = 2048", "KV_KEY_BYTES_MAX: Final = 4096")) != document()


def test_every_constant_stands_in_the_document() -> None:
    names = {name for name in vars(limits) if name.isupper()} - {"KIB", "MIB"}

    assert {name for name in names if f"| `{name}` |" not in TARGET.read_text("utf-8")} == set()


def test_a_row_has_the_number_with_its_unit_the_sentence_and_the_source() -> None:
    text = document(BOUNDS)

    assert "## Storage" in text
    assert "| `KEY_BYTES_MAX` | 2 KiB | UTF-8 bytes of one key; beyond it an error | platform |" in text
    assert text.index("## The wire") < text.index("| `RETRY_SECONDS` | 0.5 s | First delay | ours |")
    assert "KIB" not in text


@pytest.mark.parametrize("sentence", ["", '"""One key."""', '"""One key (mine)."""'])
def test_a_limit_without_a_sentence_or_a_source_is_refused(sentence: str) -> None:
    with pytest.raises(ValueError, match=r"limits\.py:2: KEYS_MAX needs a sentence"):
        document(f"# --- storage ---\nKEYS_MAX: Final = 3\n{sentence}\n")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("A_BYTES_MAX", 1536, "1536 B"),
        ("A_BYTES_MAX", 64 * limits.MIB, "64 MiB"),
        ("B_MS_MAX", 604_800_000, "604\N{NO-BREAK SPACE}800\N{NO-BREAK SPACE}000 ms"),
        ("C_MAX", 9999, "9999"),
    ],
)
def test_numbers_are_shown_for_people(name: str, value: float, text: str) -> None:
    assert shown(name, value) == text
