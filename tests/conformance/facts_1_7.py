"""Exceptions across the boundary: of their own type here, and a JsException as on the platform."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.stage import Facts, Stage

FACTS = Facts()

FAILING = """
class Odd(Exception):
    def __init__(self, text, code):
        super().__init__(text, code)
        self.code = code

class Thing(_Base, platform.DurableObject):
    async def fails(self):
        raise ValueError("boo")

    def fails_oddly(self):
        raise Odd("odd", 7)

    def lacks_key(self):
        return {}["missing"]

    async def fetch(self, request):
        raise ValueError("boo")

    def ends(self):
        self.ctx.abort("over")

    attribute = 5
"""


@FACTS.both("1.7 what the callee raises is raised here as the same type, and says that it is remote", program=FAILING)
async def own_type(thing: Any, platform: Any) -> None:
    other = thing.env.THINGS.getByName("b")
    with pytest.raises(ValueError, match="^boo$") as caught:
        await other.fails()
    error: Any = caught.value
    assert (error.remote, error.durableObjectReset, error.overloaded, error.retryable) == (True, False, False, False)
    assert error.durable_object_reset is False
    assert error.durableObjectId == other.id.toString()
    with pytest.raises(KeyError, match="missing"):
        await other.lacks_key()
    with pytest.raises(Exception, match="odd") as caught_odd:
        await other.fails_oddly()
    assert (type(caught_odd.value).__name__, caught_odd.value.code) == ("Odd", 7)  # type: ignore[attr-defined]


@FACTS.cloudflare("1.7 and is a JsException there, called PythonError, whose message is the traceback", program=FAILING)
async def js_exception(thing: Any, platform: Any) -> None:
    other = thing.env.THINGS.getByName("b")
    with pytest.raises(platform.JsException) as caught:
        await other.fails()
    error: Any = caught.value
    assert issubclass(type(error), ValueError)
    assert error.name == "PythonError"
    assert error.message.startswith("Traceback (most recent call last):\n")
    assert error.message.endswith("ValueError: boo\n")
    assert str(error) == "boo"
    for method in ("lacks_key", "fails_oddly"):
        with pytest.raises(platform.JsException):
            await getattr(other, method)()


@FACTS.both_driven("1.7 not in a program that does not import workers", program=FAILING)
async def only_there(stage: Stage, platform: Any) -> None:
    async def kind(thing: Any) -> bool:
        with pytest.raises(ValueError, match="boo") as caught:
            await thing.env.THINGS.getByName("b").fails()
        return isinstance(caught.value, platform.JsException)

    assert await stage.run(kind) is platform.is_cloudflare


@FACTS.cloudflare(
    "1.7 a call that is passed on keeps its type through both objects",
    program=FAILING
    + """
    async def passes_on(self):
        await self.env.THINGS.getByName("c").fails()
""",
)
async def passed_on(thing: Any, platform: Any) -> None:
    with pytest.raises(ValueError, match="^boo$") as caught:
        await thing.env.THINGS.getByName("b").passes_on()
    assert isinstance(caught.value, platform.JsException)
    assert caught.value.message.count("ValueError: boo\n") == 1


@FACTS.both("1.7 errors of the platform's own have its names", program=FAILING)
async def own_names(thing: Any, platform: Any) -> None:
    other = thing.env.THINGS.getByName("b")
    for call, name, kind in (
        (lambda: other.nope(), "TypeError", TypeError),
        (lambda: other.alarm(), "TypeError", TypeError),
        (lambda: thing.env.THINGS.idFromString("zz"), "TypeError", TypeError),
        (lambda: thing.ctx.storage.sql.exec("SELEC"), "Error", Exception),
        (lambda: thing.ctx.storage.kv.put("key", object()), "DataCloneError", TypeError),
    ):
        with pytest.raises(platform.JsException) as caught:
            await call()
        error: Any = caught.value
        assert (error.name, error.message) == (name, str(error))
        assert isinstance(error, kind)


@FACTS.both("1.7 a reset says so, and is not remote", program=FAILING)
async def reset(thing: Any, platform: Any) -> None:
    with pytest.raises(platform.JsException, match="^over$") as caught:
        await thing.env.THINGS.getByName("b").ends()
    assert (caught.value.durableObjectReset, caught.value.remote, caught.value.name) == (True, False, "Error")


@FACTS.both("1.7 an error of SQL has SQLite's text")
def sql(thing: Any, platform: Any) -> None:
    with pytest.raises(platform.JsException) as caught:
        thing.ctx.storage.sql.exec("SELEC")
    assert caught.value.message == 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'


@FACTS.both("1.7 transaction and transactionSync raise what their function raised")
async def transactions(thing: Any, platform: Any) -> None:
    error = ValueError("rolled back")

    async def fails(txn: Any) -> None:
        raise error

    def fails_at_once() -> None:
        raise error

    with pytest.raises(ValueError, match="rolled back"):
        await thing.ctx.storage.transaction(fails)
    with pytest.raises(ValueError, match="rolled back") as caught:
        thing.ctx.storage.transactionSync(fails_at_once)
    assert caught.value is error


@FACTS.cloudflare("1.7 stub.fetch fails as pyodide.http.AbortError, an OSError", program=FAILING)
async def abort_error(thing: Any, platform: Any) -> None:
    from pyodide.http import AbortError  # type: ignore[import-not-found]

    with pytest.raises(AbortError, match="^boo$") as caught:
        await thing.env.THINGS.getByName("b").fetch("http://localhost/")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, OSError)
    with pytest.raises(platform.JsException, match="Invalid URL: /x") as relative:
        await thing.env.THINGS.getByName("b").fetch("/x")
    assert not isinstance(relative.value, AbortError)
    assert relative.value.name == "TypeError"


OWN = """
class Own(ValueError):
    pass

class Thing(_Base, platform.DurableObject):
    async def fetch(self, request):
        raise Own("boo")

    def own(self):
        return Own
"""


@FACTS.cloudflare("1.7 a class of the program's own is caught as such from stub.fetch, too", program=OWN)
async def own_class(thing: Any, platform: Any) -> None:
    with pytest.raises(thing.own(), match="^boo$") as caught:
        await thing.env.THINGS.getByName("b").fetch("http://localhost/")
    assert isinstance(caught.value, platform.AbortError)


@FACTS.cloudflare("1.7 errors of JavaScript's can be made and raised")
def made(thing: Any, platform: Any) -> None:
    with pytest.raises(platform.JsException) as caught:
        raise platform.Error.new("why")
    assert (caught.value.name, caught.value.message) == ("Error", "why")
    with pytest.raises(TypeError, match="what"):
        raise platform.TypeError.new("what")
    assert platform.RangeError.new("far").name == "RangeError"
