"""camelCase ⇄ snake_case in one place: every spelling of the platform and the Python name it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from durable.errors import JsTypeError

CAMEL_TO_SNAKE: dict[str, str] = {
    # namespaces, ids, stubs
    "idFromName": "id_from_name",
    "idFromString": "id_from_string",
    "newUniqueId": "new_unique_id",
    "getByName": "get_by_name",
    "toString": "to_string",
    # the actor's state
    "waitUntil": "wait_until",
    "blockConcurrencyWhile": "block_concurrency_while",
    "acceptWebSocket": "accept_web_socket",
    "getWebSockets": "get_web_sockets",
    "getTags": "get_tags",
    "setWebSocketAutoResponse": "set_web_socket_auto_response",
    "getWebSocketAutoResponse": "get_web_socket_auto_response",
    "getWebSocketAutoResponseTimestamp": "get_web_socket_auto_response_timestamp",
    "setHibernatableWebSocketEventTimeout": "set_hibernatable_web_socket_event_timeout",
    "getHibernatableWebSocketEventTimeout": "get_hibernatable_web_socket_event_timeout",
    "passThroughOnException": "pass_through_on_exception",
    # storage
    "deleteAll": "delete_all",
    "transactionSync": "transaction_sync",
    "getAlarm": "get_alarm",
    "setAlarm": "set_alarm",
    "deleteAlarm": "delete_alarm",
    "getCurrentBookmark": "get_current_bookmark",
    "getBookmarkForTime": "get_bookmark_for_time",
    "onNextSessionRestoreBookmark": "on_next_session_restore_bookmark",
    "databaseSize": "database_size",
    "toArray": "to_array",
    "columnNames": "column_names",
    "rowsRead": "rows_read",
    "rowsWritten": "rows_written",
    # options of storage and namespaces
    "startAfter": "start_after",
    "allowConcurrency": "allow_concurrency",
    "allowUnconfirmed": "allow_unconfirmed",
    "noCache": "no_cache",
    "locationHint": "location_hint",
    "routingMode": "routing_mode",
    "retryAlarm": "retry_alarm",
    # alarms
    "retryCount": "retry_count",
    "isRetry": "is_retry",
    "scheduledTime": "scheduled_time",
    "noRetry": "no_retry",
    # HTTP
    "bodyUsed": "body_used",
    "statusText": "status_text",
    "webSocket": "web_socket",
    "arrayBuffer": "buffer",
    "formData": "form_data",
    "replaceBody": "replace_body",
    "fromJson": "from_json",
    "jsObject": "js_object",
    "isHistoryNavigation": "is_history_navigation",
    "referrerPolicy": "referrer_policy",
    "getSetCookie": "get_set_cookie",
    "getAll": "get_all",
    "getReader": "get_reader",
    "getWriter": "get_writer",
    "releaseLock": "release_lock",
    "pipeTo": "pipe_to",
    "contentType": "content_type",
    "lastModified": "last_modified",
    "searchParams": "search_params",
    "byteLength": "byte_length",
    "raiseForStatus": "raise_for_status",
    # web sockets
    "serializeAttachment": "serialize_attachment",
    "deserializeAttachment": "deserialize_attachment",
    "addEventListener": "add_event_listener",
    "removeEventListener": "remove_event_listener",
    "readyState": "ready_state",
    "binaryType": "binary_type",
    "allowHalfOpen": "allow_half_open",
    "wasClean": "was_clean",
    # handlers that user classes define
    "webSocketMessage": "web_socket_message",
    "webSocketClose": "web_socket_close",
    "webSocketError": "web_socket_error",
}

SNAKE_TO_CAMEL: dict[str, str] = {snake: camel for camel, snake in CAMEL_TO_SNAKE.items()}


class CamelCase:
    """Answers the platform's camelCase names with the snake_case members of the class that inherits it."""

    __slots__ = ()

    if not TYPE_CHECKING:  # A visible __getattr__ would make every misspelt name an `Any` to type checkers.

        def __getattr__(self, name: str) -> Any:
            snake = CAMEL_TO_SNAKE.get(name)
            if snake is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return getattr(self, snake)


def find_handler(target: object, snake: str) -> Any:
    """The handler a user class defines under either spelling; None when it has neither."""
    handler = getattr(target, snake, None)
    return handler if handler is not None else getattr(target, SNAKE_TO_CAMEL.get(snake, snake), None)


def merge_options(where: str, allowed: tuple[str, ...], *sources: Mapping[str, Any] | None) -> dict[str, Any]:
    """One options dict out of a positional mapping and keyword arguments, in either spelling.

    Raises TypeError naming `where` and the option for anything not in `allowed`, and for options that are no mapping.
    """
    merged: dict[str, Any] = {}
    for source in sources:
        if source is None:
            continue
        if not isinstance(source, Mapping):
            raise JsTypeError(f"{where}() takes its options as a dict or as keywords, got {type(source).__name__}")
        for name, value in source.items():
            snake = CAMEL_TO_SNAKE.get(name, name)
            if snake not in allowed:
                raise JsTypeError(
                    f"{where}() has no option {name!r}{_suggestion(snake, allowed)}; it takes {', '.join(allowed)}"
                )
            merged[snake] = value
    return merged


def _suggestion(word: Any, allowed: tuple[str, ...]) -> str:
    import difflib  # only a mistake needs it, and it costs a start-up more than this whole module

    found = difflib.get_close_matches(str(word), allowed, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
