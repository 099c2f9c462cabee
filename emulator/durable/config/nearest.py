"""Which of the words that exist was probably meant; knows nothing about what the words are for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word`, whatever its case, or None when nothing comes close."""
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = difflib.get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`Did you mean "bindings"?`, or the empty string."""
    found = nearest(word, candidates)
    return f'Did you mean "{found}"?' if found is not None else ""
