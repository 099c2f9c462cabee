"""Facts are asserted with pytest's own words, so their files are rewritten like test files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import gateway

__all__ = ["gateway"]

pytest.register_assert_rewrite(*(f"tests.conformance.{file.stem}" for file in Path(__file__).parent.glob("facts_*.py")))
