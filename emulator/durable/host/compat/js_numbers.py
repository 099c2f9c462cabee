"""`Math` and `Number`, of Python's own functions."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any, Final

SAFE_INTEGER_MAX: Final = 2**53 - 1


def _round(x: float) -> int:
    """Halves go up."""
    return math.floor(x + 0.5)


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


def _max(*numbers: float) -> float:
    return max(numbers, default=-math.inf)


def _min(*numbers: float) -> float:
    return min(numbers, default=math.inf)


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def _is_finite(x: Any) -> bool:
    return _is_number(x) and math.isfinite(x)


def _is_integer(x: Any) -> bool:
    return _is_finite(x) and x == math.trunc(x)


def _is_safe_integer(x: Any) -> bool:
    return _is_integer(x) and abs(x) <= SAFE_INTEGER_MAX


def _is_nan(x: Any) -> bool:
    return isinstance(x, float) and math.isnan(x)


Math: Final = SimpleNamespace(
    E=math.e, PI=math.pi, SQRT2=math.sqrt(2), LN2=math.log(2), LN10=math.log(10),
    abs=abs, ceil=math.ceil, floor=math.floor, trunc=math.trunc, round=_round, pow=math.pow, sqrt=math.sqrt,
    cbrt=math.cbrt, exp=math.exp, log=math.log, log2=math.log2, log10=math.log10, log1p=math.log1p, hypot=math.hypot,
    sin=math.sin, cos=math.cos, tan=math.tan, asin=math.asin, acos=math.acos, atan=math.atan, atan2=math.atan2,
    random=random.random, max=_max, min=_min, sign=_sign,
)  # fmt: skip

Number: Final = SimpleNamespace(
    MAX_SAFE_INTEGER=SAFE_INTEGER_MAX, MIN_SAFE_INTEGER=-SAFE_INTEGER_MAX, MAX_VALUE=1.7976931348623157e308,
    EPSILON=2.0**-52, isInteger=_is_integer, isFinite=_is_finite, isNaN=_is_nan, isSafeInteger=_is_safe_integer,
)  # fmt: skip
