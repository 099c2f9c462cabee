"""The documents hold together: links lead somewhere, every decision is listed, commands that are named exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
DOCUMENTS = sorted([*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), REPO / "benchmarks/README.md"])
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)(#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    targets = [match[1] for match in LINK.finditer(document.read_text("utf-8"))]

    missing = [target for target in targets if not (document.parent / target).exists()]

    assert not missing


def test_every_decision_stands_in_the_list_of_decisions() -> None:
    folder = REPO / "docs" / "adr"
    records = {path.name for path in folder.glob("[0-9]*.md")}

    listed = {match[1] for match in LINK.finditer((folder / "README.md").read_text("utf-8"))}

    assert records == listed


def test_a_decision_has_the_four_parts_of_the_template() -> None:
    parts = ("**Context.**", "**Decision.**", "**Consequences.**", "**What would change our mind.**")

    incomplete = [
        path.name
        for path in (REPO / "docs" / "adr").glob("[0-9]*.md")
        if any(part not in path.read_text("utf-8") for part in parts)
    ]

    assert not incomplete
