"""`to_js` and the proxies: deep copies in JavaScript's types, which are Python's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from durable.errors import JsException
from durable.host.compat import pyodide_ffi
from durable.host.compat.js_data import Array, Object
from durable.host.compat.pyodide_ffi import (
    JsProxy,
    create_once_callable,
    create_proxy,
    destroy_proxies,
    to_js,
)
from durable.sdk.buffers import JsBuffer
from durable.sdk.js_values import JsArray, JsMap, JsObject, JsSet
from durable.sdk.websocket import WebSocketPair


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1], JsArray), ((1, 2), JsArray), ({"a": 1}, JsMap), ({1}, JsSet), (frozenset({1}), JsSet),
        (b"x", JsBuffer), (bytearray(b"x"), JsBuffer), (memoryview(b"x"), JsBuffer),
    ],
)  # fmt: skip
def test_a_container_becomes_its_counterpart_and_equals_what_it_was(value: Any, kind: type) -> None:
    made = to_js(value)
    assert type(made) is kind
    assert made == (list(value) if isinstance(value, tuple) else value)
    assert isinstance(made, JsProxy)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", 2**70])
def test_primitive_values_stay_as_they_are(value: Any) -> None:
    assert to_js(value) is value
    assert not isinstance(value, JsProxy)


def test_the_copy_is_deep_and_the_original_untouched() -> None:
    value = {"list": [1, {"inner": (2,)}]}
    made = to_js(value)
    made["list"][1]["inner"].push(3)
    assert value == {"list": [1, {"inner": (2,)}]}
    assert made == {"list": [1, {"inner": [2, 3]}]}


def test_dicts_become_what_the_converter_makes_at_every_depth() -> None:
    made = to_js({"a": {"b": 1}, 2: None}, dict_converter=Object.fromEntries)
    assert type(made) is JsObject
    assert (made.a.b, made["2"]) == (1, None)
    assert to_js({"a": 1}, dict_converter=Array.from_) == [["a", 1]]
    assert to_js({"a": {"b": 1}}, dict_converter=dict) == {"a": {"b": 1}}


def test_to_py_is_the_way_back() -> None:
    value = {"list": [1, {2}], "inner": {"b": b"x"}}
    back = to_js(value).to_py()
    assert back == value
    assert [type(back), type(back["list"]), type(back["list"][1]), type(back["inner"])] == [dict, list, set, dict]


def test_depth_ends_the_conversion() -> None:
    inner = [2]
    assert to_js([inner], depth=1)[0] is inner
    assert type(to_js([inner], depth=2)[0]) is JsArray


def test_what_occurs_twice_is_converted_once_and_a_cycle_stays_one() -> None:
    shared = [1]
    made = to_js([shared, shared])
    assert made[0] is made[1]
    cycle: list[Any] = []
    cycle.append(cycle)
    made = to_js(cycle)
    assert made[0] is made


def test_what_has_no_counterpart_goes_through_the_default_converter_or_stays() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert to_js([moment])[0] is moment
    assert to_js([moment], default_converter=lambda value, convert, cache: convert([value.year]))[0] == [2026]
    assert to_js([[1]], eager_converter=lambda value, convert, cache: convert(value))[0] == [1]


def test_what_is_a_proxy_already_is_given_back() -> None:
    pair = WebSocketPair()
    made = to_js({"pair": pair}, dict_converter=Object.fromEntries)
    assert made.pair is pair
    assert to_js(made) is made


def test_a_proxy_of_a_function_is_called_like_it() -> None:
    proxy = create_proxy(lambda a, b=2: (a, b))
    assert isinstance(proxy, JsProxy)
    assert callable(proxy)
    assert (proxy(1), proxy(1, b=3)) == ((1, 2), (1, 3))


def test_a_proxy_of_an_object_has_its_attributes_and_is_no_function() -> None:
    pair = WebSocketPair()
    proxy = create_proxy(pair)
    assert proxy.client is pair.client
    assert proxy.unwrap() is pair
    assert not callable(proxy)


def test_a_destroyed_proxy_is_not_called_any_more() -> None:
    proxy: Any = create_proxy(lambda: "called")
    destroy_proxies([proxy, "no proxy"])
    with pytest.raises(JsException, match="Object has already been destroyed"):
        proxy()


def test_a_once_callable_is_called_once() -> None:
    proxy: Any = create_once_callable(lambda: "called")
    assert proxy() == "called"
    with pytest.raises(JsException, match="already been destroyed"):
        proxy()


def test_there_is_one_nothing() -> None:
    assert pyodide_ffi.jsnull is None
    assert pyodide_ffi.jsundefined is None


def test_its_public_names_are_there() -> None:
    assert all(hasattr(pyodide_ffi, name) for name in pyodide_ffi.__all__)
    with pytest.raises(AttributeError, match="`pyodide.ffi.JsDomElement` of the platform is not here. Of its names"):
        _ = pyodide_ffi.JsDomElement
