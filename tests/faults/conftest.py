"""Faults of a host in this process begin with the same fixture as the integration tests."""

from __future__ import annotations

from tests.integration.conftest import gateway

__all__ = ["gateway"]
