"""`run_worker_first`: which paths are the worker's before the assets are asked."""

from __future__ import annotations

import pytest

from durable.assets.worker_first import WorkerFirst


@pytest.mark.parametrize(
    ("setting", "path", "first"),
    [
        (False, "/api", "either"),
        (True, "/api", "worker"),
        (["/api/*"], "/api/users", "worker"),
        (["/api/*"], "/api", "either"),
        (["/api/*"], "/x/api/users", "either"),
        (["/api*", "!/api/docs/*"], "/api/docs/a", "assets"),
        (["/api*", "!/api/docs/*"], "/api/other", "worker"),
        (["!/api/docs", "/*"], "/api/docs", "assets"),
        (["/a.c"], "/abc", "either"),
        (["/*.json"], "/deep/down.json", "worker"),
    ],
)
def test_who_comes_first(setting: bool | list[str], path: str, first: str) -> None:
    assert WorkerFirst(setting).of(path) == first


def test_a_pattern_of_many_stars_is_as_quick_as_one() -> None:
    assert WorkerFirst(["/" + "*" * 99]).of("/" + "a" * 8_000 + "\n") == "worker"
