"""`.assetsignore` reads as `.gitignore` does; the last test asks git itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from durable.assets.ignore import IgnoreRules

CASES = [
    # patterns, path, whether it is left out
    ("*.map", "app.js.map", True),
    ("*.map", "js/deep/app.js.map", True),
    ("*.map", "app.js", False),
    ("/*.map", "app.map", True),
    ("/*.map", "js/app.map", False),
    ("drafts/", "drafts/one.html", True),
    ("drafts/", "old/drafts/one.html", True),
    ("drafts/", "drafts", False),
    ("js/old", "js/old/a.js", True),
    ("js/old", "more/js/old/a.js", False),
    ("**/tmp", "a/b/tmp/x", True),
    ("**/tmp", "tmp", True),
    ("a/**/z", "a/b/c/z", True),
    ("a/**/z", "a/z", True),
    ("a/**", "a/b/c", True),
    ("a/**", "b/a/c", False),
    ("*.js\n!keep.js", "keep.js", False),
    ("*.js\n!keep.js", "other.js", True),
    ("js\n!js/keep.js", "js/keep.js", True),
    ("!keep.js\n*.js", "keep.js", True),
    ("# a comment\n\n   \n", "# a comment", False),
    ("\\#x", "#x", True),
    ("\\!x", "!x", True),
    ("file?.txt", "file1.txt", True),
    ("file?.txt", "file.txt", False),
    ("[a-c].txt", "b.txt", True),
    ("[!a-c].txt", "b.txt", False),
    ("[!a-c].txt", "x.txt", True),
    ("trailing   ", "trailing", True),
    ("a+b(c).txt", "a+b(c).txt", True),
    ("a+b(c).txt", "aab(c).txt", False),
]


@pytest.mark.parametrize(("patterns", "path", "left_out"), CASES)
def test_what_a_pattern_leaves_out(patterns: str, path: str, left_out: bool) -> None:
    assert IgnoreRules(patterns).ignores(path) is left_out


def test_a_pattern_that_cannot_be_read_leaves_nothing_out() -> None:
    assert not IgnoreRules("[z-a]").ignores("b")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(("patterns", "path", "left_out"), CASES)
def test_git_reads_it_the_same_way(patterns: str, path: str, left_out: bool, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(patterns)
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    asked = subprocess.run(["git", "check-ignore", "-q", "--", path], cwd=tmp_path, check=False)
    assert (asked.returncode == 0) is left_out
