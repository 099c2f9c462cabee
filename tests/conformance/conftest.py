"""Facts are asserted with pytest's own words, so their files are rewritten like test files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.platforms import forget
from tests.integration.conftest import gateway

__all__ = ["gateway"]

pytest.register_assert_rewrite(*(f"tests.conformance.{file.stem}" for file in Path(__file__).parent.glob("facts_*.py")))


@pytest.fixture(autouse=True)
def _no_program_was_here() -> Iterator[None]:
    """What one program's imports switch on in this process is off for the next."""
    yield
    forget()
