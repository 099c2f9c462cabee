"""JavaScript's global names, each as far as programs use it."""

from __future__ import annotations

import asyncio
import math
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from durable.errors import JsException
from durable.host.compat import js as js_module
from durable.sdk.js_values import JsArray, JsMap, JsObject, JsSet

js: Any = js_module


def test_every_public_name_is_there() -> None:
    assert sorted(set(js.__all__)) == sorted(js.__all__)
    for name in js.__all__:
        assert hasattr(js, name)
    assert js.globalThis is js.self is js
    assert set(js._INSTEAD).isdisjoint(js.__all__)
    with pytest.raises(ImportError, match="`js.eval` of the platform is not here. Write it in Python."):
        exec("from durable.host.compat.js import eval")


# --- data ----------------------------------------------------------------------------------------------------------
def test_object_reads_mappings_lists_and_pairs() -> None:
    assert js.Object.keys({"a": 1, 2: 3}) == ["a", "2"]
    assert js.Object.values([7, 8]) == [7, 8]
    assert js.Object.entries({"a": 1}) == [["a", 1]]
    assert js.Object.entries(js.Map.new([["a", 1]])) == []
    assert js.Object.fromEntries({"a": 1}.items()).a == 1
    assert js.Object.assign(js.Object.new(), {"a": 1}, None, {"b": 2}) == {"a": 1, "b": 2}
    assert js.Object.freeze([1]) == [1]


def test_an_object_has_attributes_that_are_its_items() -> None:
    made = js.Object.new({"a": 1})
    made.b = 2
    del made.a
    assert (made, made.hasOwnProperty("b"), made.object_keys()) == ({"b": 2}, True, ["b"])
    assert (made.object_values(), made.object_entries(), made.as_object_map()) == ([2], [["b", 2]], made)
    with pytest.raises(AttributeError, match="no property 'c'; it has b"):
        _ = made.c


def test_arrays() -> None:
    assert js.Array.new(3) == [None, None, None]
    assert js.Array.new(1, 2) == js.Array.of(1, 2) == js.Array.from_((1, 2)) == [1, 2]
    assert js.Array.from_("ab", lambda item, index: f"{item}{index}") == ["a0", "b1"]
    assert (js.Array.isArray([]), js.Array.isArray("ab")) == (True, False)
    array = js.Array.of(1, 2)
    assert (array.push(3), array.length, array.at(-1), array.at(9)) == (3, 3, 3, None)
    assert (array.indexOf(2), array.indexOf(9), array.includes(3)) == (1, -1, True)
    assert (array.join(), array.join("-"), array.slice(1), array.concat([4], [5])) == (
        "1,2,3", "1-2-3", [2, 3], [1, 2, 3, 4, 5],
    )  # fmt: skip
    assert (array.shift(), array.unshift(9, 8), array) == (1, 4, [9, 8, 2, 3])
    assert (js.Array.of().shift(), array.object_keys()) == (None, ["0", "1", "2", "3"])


def test_maps_and_sets() -> None:
    made = js.Map.new([["a", 1]]).set("b", 2)
    assert (made.get("a"), made.get("z"), made.has("b"), made.size) == (1, None, True, 2)
    assert (made.delete("a"), made.delete("a"), list(made.entries())) == (True, False, [["b", 2]])
    seen: list[Any] = []
    made.forEach(lambda value, key, whole: seen.append((value, key, whole is made)))
    assert seen == [(2, "b", True)]
    chosen = js.Set.new([1, 1, 2])
    chosen.add(3)
    assert (chosen.size, chosen.has(3), chosen.delete(1), chosen.delete(1), chosen.to_py()) == (
        3,
        True,
        True,
        False,
        {2, 3},
    )


def test_arrays_of_bytes() -> None:
    array = js.Uint8Array.new(4)
    array.set([1, 2], 1)
    assert (list(array), array.length, array.byteLength) == ([0, 1, 2, 0], 4, 4)
    assert js.Uint8Array.new(js.ArrayBuffer.new(2)).to_bytes() == b"\0\0"
    assert (js.Uint8Array.of(1, 258), js.Uint8Array.from_([7])) == (b"\x01\x02", b"\x07")
    assert js.Uint8Array.new(b"abcd", 1, 2) == b"bc"
    assert (bytes(array.buffer), bytes(array.to_py()), array.subarray(1, 3)) == (b"\0\1\2\0", b"\0\1\2\0", b"\1\2")
    assert array.fill(9).to_bytes() == b"\x09" * 4


# --- JSON ----------------------------------------------------------------------------------------------------------
def test_json_is_written_as_javascript_writes_it() -> None:
    value = {"a": [1, 2.0, 0.5, None, True], "moment": datetime(2020, 1, 1, tzinfo=UTC), "nan": math.nan, 1: "é"}
    assert js.JSON.stringify(value) == (
        '{"a":[1,2,0.5,null,true],"moment":"2020-01-01T00:00:00.000Z","nan":null,"1":"é"}'
    )
    assert js.JSON.stringify({"a": {"b": 1, "c": 2}}, ["a", "c"]) == '{"a":{"c":2}}'
    assert js.JSON.stringify([1], None, 2) == "[\n  1\n]"
    assert js.JSON.stringify({"m": js.Map.new([["a", 1]]), "s": {1}, "b": b"\x01"}) == '{"m":{},"s":{},"b":{"0":1}}'


def test_what_json_cannot_hold_is_a_type_error() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(TypeError, match="circular structure"):
        js.JSON.stringify(cycle)
    with pytest.raises(TypeError, match="a value of type object has no JSON form; make it a dict or a str first"):
        js.JSON.stringify([object()])


def test_json_is_read_into_objects_and_arrays() -> None:
    found = js.JSON.parse('{"a": [{"b": 1}]}')
    assert (type(found), type(found.a), found.a[0].b) == (JsObject, JsArray, 1)
    with pytest.raises(JsException, match="position 1 of the JSON text") as caught:
        js.JSON.parse("{")
    assert caught.value.name == "SyntaxError"


# --- time ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0,), "1970-01-01T00:00:00.000Z"),
        ((1_700_000_000_123,), "2023-11-14T22:13:20.123Z"),
        (("2020-02-03",), "2020-02-03T00:00:00.000Z"),
        (("2020-02-03T04:05:06.789Z",), "2020-02-03T04:05:06.789Z"),
        (("2020-02-03T04:05:06+01:00",), "2020-02-03T03:05:06.000Z"),
        (("Mon, 03 Feb 2020 04:05:06 GMT",), "2020-02-03T04:05:06.000Z"),
        ((2020, 1, 3, 4, 5, 6, 7), "2020-02-03T04:05:06.007Z"),
        ((2020, 12, 1), "2021-01-01T00:00:00.000Z"),
    ],
)
def test_a_date_is_made_of_what_javascript_takes(arguments: tuple[Any, ...], text: str) -> None:
    assert js.Date.new(*arguments).toISOString() == text


def test_a_date_is_a_datetime_with_javascripts_parts() -> None:
    date = js.Date.new(Date := 1_580_704_506_789)
    assert date == datetime(2020, 2, 3, 4, 35, 6, 789_000, UTC)
    assert (date.getTime(), date.valueOf(), js.Date.parse(date.toJSON())) == (Date, Date, Date)
    parts = [date.getFullYear(), date.getMonth(), date.getDate(), date.getDay(), date.getHours(), date.getMinutes()]
    assert [*parts, date.getSeconds(), date.getUTCMilliseconds()] == [2020, 1, 3, 1, 4, 35, 6, 789]


def test_a_text_that_is_no_date_is_a_range_error() -> None:
    with pytest.raises(JsException, match="Invalid time value: 'soon'") as caught:
        js.Date.new("soon")
    assert caught.value.name == "RangeError"


# --- numbers -------------------------------------------------------------------------------------------------------
def test_math_and_number() -> None:
    assert (js.Math.round(2.5), js.Math.round(-2.5), js.Math.max(), js.Math.min(3, 1), js.Math.sign(-3)) == (
        3, -2, -math.inf, 1, -1,
    )  # fmt: skip
    assert [js.Number.isInteger(x) for x in (1, 1.0, 1.5, True, math.inf, "1")] == [True, True] + [False] * 4
    assert (js.Number.isSafeInteger(2**53), js.Number.isNaN(math.nan), js.Number.isFinite(math.inf)) == (
        False, True, False,
    )  # fmt: skip


# --- console, crypto, text -----------------------------------------------------------------------------------------
def test_console_writes_warnings_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    js.console.log("a", 1, {"b": [None]}, None)
    js.console.error("wrong", {"no json": object})
    out, err = capsys.readouterr()
    assert out == 'a 1 {"b": [null]} None\n'
    assert err.startswith("wrong {'no json'")


async def test_crypto() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", js.crypto.randomUUID())
    array = js.Uint8Array.new(32)
    assert js.crypto.getRandomValues(array) is array
    assert any(array)
    digest = await js.crypto.subtle.digest("SHA-256", js.TextEncoder.new().encode("abc"))
    assert digest.hex().startswith("ba7816bf8f01cfea")
    assert (await js.crypto.subtle.digest({"name": "sha-1"}, b"abc")).hex().startswith("a9993e36")
    assert js.crypto.subtle.timingSafeEqual(b"a", bytearray(b"a"))
    with pytest.raises(JsException, match="no digest 'SHA-3'; it has SHA-1"):
        await js.crypto.subtle.digest("SHA-3", b"")
    with pytest.raises(TypeError, match="fills a Uint8Array, got bytes"):
        js.crypto.getRandomValues(b"")
    with pytest.raises(ValueError, match="at most 65536 bytes, got 65537"):
        js.crypto.getRandomValues(js.Uint8Array.new(65_537))


def test_text_and_bytes() -> None:
    assert js.TextEncoder.new().encode("é").to_bytes() == b"\xc3\xa9"
    decoder = js.TextDecoder.new()
    assert (decoder.decode(b"\xef\xbb\xbf\xc3\xa9"), decoder.decode(b"\xff")) == ("é", "�")
    with pytest.raises(TypeError, match="the bytes are not utf-8"):
        js.TextDecoder.new("utf-8", {"fatal": True}).decode(b"\xff")
    assert (js.btoa("\xff"), js.atob("/w"), js.atob(" /w== ")) == ("/w==", "\xff", "\xff")
    with pytest.raises(JsException, match="up to U[+]00FF, got '€'"):
        js.btoa("€")
    with pytest.raises(JsException, match="atob.. takes base64"):
        js.atob("*")
    assert (js.encodeURIComponent("a b/é'"), js.decodeURIComponent("a%20b%2F%C3%A9")) == ("a%20b%2F%C3%A9'", "a b/é")


def test_structured_clone_is_a_copy_and_refuses_what_cannot_be_stored() -> None:
    value = {"a": [1]}
    copy = js.structuredClone(value)
    assert (copy, copy["a"] is value["a"]) == (value, False)
    with pytest.raises(JsException) as caught:
        js.structuredClone(object())
    assert caught.value.name == "DataCloneError"


# --- later ---------------------------------------------------------------------------------------------------------
async def test_a_timeout_calls_once_with_its_arguments_and_runs_coroutines() -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    js.setTimeout(heard.put_nowait, 0, "one")
    js.setTimeout(heard.put, None, "two")
    assert {await heard.get(), await heard.get()} == {"one", "two"}


async def test_a_cleared_timeout_is_not_called() -> None:
    heard: list[str] = []
    js.clearTimeout(js.setTimeout(heard.append, 0, "never"))
    js.clearTimeout(None)
    js.clearTimeout(12_345_678)
    done = asyncio.Event()
    js.setTimeout(done.set, 1)
    await done.wait()
    assert heard == []


async def test_an_interval_goes_on_until_it_is_cleared() -> None:
    heard: list[int] = []
    done = asyncio.Event()

    def tick() -> None:
        heard.append(1)
        if len(heard) == 3:
            js.clearInterval(timer)
            js.setTimeout(done.set, 5)

    timer = js.setInterval(tick, 0)
    await done.wait()
    assert len(heard) == 3


async def test_a_microtask_comes_after_the_code_that_runs_and_before_timers() -> None:
    order: list[str] = []
    done = asyncio.Event()
    js.setTimeout(order.append, 0, "timer")
    js.setTimeout(done.set, 1)
    js.queueMicrotask(lambda: order.append("microtask"))
    order.append("now")
    await done.wait()
    assert order == ["now", "microtask", "timer"]


async def test_a_timer_wants_a_function() -> None:
    with pytest.raises(TypeError, match="a timer calls a function, got str"):
        js.setTimeout("alert()", 0)


async def test_promises() -> None:
    async def late(value: str) -> str:
        await js.scheduler.wait(0)
        return value

    async def fails() -> None:
        raise LookupError("failed")

    assert await js.Promise.all([late("a"), "b", js.Promise.resolve("c")]) == ["a", "b", "c"]
    assert await js.Promise.race([asyncio.Event().wait(), late("first")]) == "first"
    with pytest.raises(LookupError, match="failed"):
        await js.Promise.all([fails()])
    settled = await js.Promise.allSettled([late("a"), fails()])
    assert [(one.status, one.get("value"), str(one.get("reason"))) for one in settled] == [
        ("fulfilled", "a", "None"), ("rejected", None, "failed"),
    ]  # fmt: skip
    assert await js.Promise.new(lambda resolve, reject: resolve(7)) == 7
    with pytest.raises(JsException, match="no"):
        await js.Promise.reject("no")


def test_to_py_reaches_everything_inside() -> None:
    value = JsArray([JsMap(a=JsSet([1])), JsObject(b=JsArray())])
    found = value.to_py()
    assert [type(found), type(found[0]), type(found[0]["a"]), type(found[1]), type(found[1]["b"])] == [
        list, dict, set, dict, list,
    ]  # fmt: skip
