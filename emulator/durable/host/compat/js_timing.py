"""JavaScript's ways to do something later: timers, microtasks, promises. All of it is the event loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from durable.errors import JsException, JsTypeError
from durable.sdk.js_values import JsArray, JsObject

_timers: dict[int, asyncio.TimerHandle] = {}
_made = 0
_running: set[asyncio.Future[Any]] = set()
"""What nobody else holds: the loop alone would let it be collected half-way."""


def setTimeout(callback: Callable[..., Any], milliseconds: float | None = 0, *args: Any) -> int:
    """Call it once, later; a coroutine function runs as a task. The number is for `clearTimeout`."""
    return _schedule(callback, milliseconds, args, again=False)


def setInterval(callback: Callable[..., Any], milliseconds: float | None = 0, *args: Any) -> int:
    """Call it again and again, until `clearInterval`."""
    return _schedule(callback, milliseconds, args, again=True)


def clearTimeout(timer: int | None = None) -> None:
    """Does nothing for a timer that has run, or never was."""
    handle = _timers.pop(timer, None) if timer is not None else None
    if handle is not None:
        handle.cancel()


clearInterval = clearTimeout


def queueMicrotask(callback: Callable[[], Any]) -> None:
    """Call it when the code that runs now comes to its next wait."""
    asyncio.get_running_loop().call_soon(_run, _checked(callback), ())


def _schedule(callback: Callable[..., Any], milliseconds: float | None, args: tuple[Any, ...], *, again: bool) -> int:
    global _made
    _made += 1
    number, loop, function = _made, asyncio.get_running_loop(), _checked(callback)
    seconds = max(0.0, (milliseconds or 0) / 1000)

    def due() -> None:
        if again:
            _timers[number] = loop.call_later(seconds, due)
        else:
            _timers.pop(number, None)
        _run(function, args)

    _timers[number] = loop.call_later(seconds, due)
    return number


def _checked(callback: Any) -> Callable[..., Any]:
    if not callable(callback):
        raise JsTypeError(f"a timer calls a function, got {type(callback).__name__}")
    return callback  # type: ignore[no-any-return]


def _run(callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
    result = callback(*args)
    if hasattr(result, "__await__"):
        _ = _keep(asyncio.ensure_future(result))


def _keep(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    _running.add(future)
    future.add_done_callback(_running.discard)
    return future


class Promise:
    """`Promise.all` and its like give awaitables. Inside, write `asyncio.gather`."""

    @staticmethod
    def new(executor: Callable[[Callable[..., None], Callable[..., None]], Any]) -> asyncio.Future[Any]:
        """`executor(resolve, reject)` is called at once."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def resolve(value: Any = None) -> None:
            if not future.done():
                future.set_result(value)

        def reject(reason: Any = None) -> None:
            if not future.done():
                future.set_exception(_as_error(reason))

        try:
            executor(resolve, reject)
        except Exception as error:
            reject(error)
        return future

    @staticmethod
    def resolve(value: Any = None) -> asyncio.Future[Any]:
        return _keep(asyncio.ensure_future(_value(value)))

    @staticmethod
    def reject(reason: Any = None) -> asyncio.Future[Any]:
        return Promise.new(lambda _, reject: reject(reason))

    @staticmethod
    def all(work: Iterable[Any]) -> Awaitable[JsArray[Any]]:
        """All results in order, or the first failure."""
        futures = _started(work)

        async def wait() -> JsArray[Any]:
            return JsArray(await asyncio.gather(*futures))

        return _keep(asyncio.ensure_future(wait()))

    @staticmethod
    def allSettled(work: Iterable[Any]) -> Awaitable[JsArray[Any]]:
        """An object for each: `status`, and `value` or `reason`."""
        futures = _started(work)

        async def wait() -> JsArray[Any]:
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
            return JsArray(
                JsObject(status="rejected", reason=outcome)
                if isinstance(outcome, BaseException)
                else JsObject(status="fulfilled", value=outcome)
                for outcome in outcomes
            )

        return _keep(asyncio.ensure_future(wait()))

    @staticmethod
    def race(work: Iterable[Any]) -> Awaitable[Any]:
        """Whatever comes first."""
        futures = _started(work)

        async def wait() -> Any:
            done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            return next(future for future in futures if future in done).result()

        return _keep(asyncio.ensure_future(wait()))


def _started(work: Iterable[Any]) -> list[asyncio.Future[Any]]:
    return [_keep(asyncio.ensure_future(_value(item))) for item in work]


async def _value(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


def _as_error(reason: Any) -> BaseException:
    return reason if isinstance(reason, BaseException) else JsException(str(reason))


class _Scheduler:
    """`scheduler` of the platform."""

    @staticmethod
    async def wait(milliseconds: float) -> None:
        await asyncio.sleep(max(0.0, milliseconds / 1000))


scheduler = _Scheduler()
