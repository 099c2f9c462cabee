"""`run_worker_first`: which paths go to the worker before, or instead of, the assets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

First = Literal["worker", "assets", "either"]


class WorkerFirst:
    """Patterns in which "*" stands for anything; one that begins with "!" sends what it matches to the assets."""

    def __init__(self, setting: bool | Iterable[str]) -> None:
        patterns = [] if isinstance(setting, bool) else list(setting)
        self._always = setting is True
        self._worker = [_expression(each) for each in patterns if not each.startswith("!")]
        self._assets = [_expression(each[1:]) for each in patterns if each.startswith("!")]

    def of(self, path: str) -> First:
        """`path` as it was sent, without its query. "either": the assets, where they have something."""
        if any(each.fullmatch(path) for each in self._assets):
            return "assets"
        if self._always or any(each.fullmatch(path) for each in self._worker):
            return "worker"
        return "either"


def _expression(pattern: str) -> re.Pattern[str]:
    # A run of stars is one: several would try the same lengths over and over.
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", pattern)), re.DOTALL)
