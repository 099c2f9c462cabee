"""All that is HTTP in the sdk, under one name. Bodies are bytes, or a stream that is read once."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from durable.sdk.body import Body, BodyInit, BodyUsedError
from durable.sdk.headers import Headers, HeadersInit
from durable.sdk.request import FetchKwargs, Request, RequestCf, request_of
from durable.sdk.response import REDIRECT_STATUSES, FetchResponse, HttpStatusError, Response

JSBody: TypeAlias = Any
"""On the platform, the JavaScript values that are bodies."""
RequestInitCfProperties: TypeAlias = Mapping[str, Any]

__all__ = [
    "REDIRECT_STATUSES",
    "Body",
    "BodyInit",
    "BodyUsedError",
    "FetchKwargs",
    "FetchResponse",
    "Headers",
    "HeadersInit",
    "HttpStatusError",
    "JSBody",
    "Request",
    "RequestCf",
    "RequestInitCfProperties",
    "Response",
    "request_of",
]
