"""`workers.gateway`: options that the platform's ASGI and WSGI adapters share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

EncodeBody: TypeAlias = Literal["automatic", "manual"]


@dataclass(frozen=True, kw_only=True)
class BaseOptions:
    """`encode_body="manual"` says that the app has encoded the body as its Content-Encoding tells.

    Nothing is encoded here on the way out, so both settings send the body as it is.
    """

    encode_body: EncodeBody = "automatic"

    def __post_init__(self) -> None:
        if self.encode_body not in get_args(EncodeBody):
            raise ValueError(f"encode_body is one of {get_args(EncodeBody)}, got {self.encode_body!r}")

    def response_init(self) -> dict[str, Any]:
        """What a response is made with besides its body."""
        return {} if self.encode_body == "automatic" else {"encodeBody": self.encode_body}


__all__ = ["BaseOptions", "EncodeBody"]
