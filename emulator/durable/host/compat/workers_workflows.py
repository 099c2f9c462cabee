"""`workers.workflows`: what a program with workflows imports; they do not run here."""

from __future__ import annotations

from durable.errors import JsException

__all__ = ["NonRetryableError"]


class NonRetryableError(JsException):
    """Raised in a workflow's step on the platform, that it is not tried again."""

    name = "NonRetryableError"
