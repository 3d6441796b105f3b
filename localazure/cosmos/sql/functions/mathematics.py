"""Mathematical functions over doubles, and those over 64-bit integers.

Owns: their meaning; a wrong type gives undefined, an argument outside the domain NaN or infinity. Refuses to know:
evaluation.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/abs and its neighbours acos, asin, atan, atn2, ceiling, cos,
cot, degrees, exp, floor, intadd, intbitand, intbitleftshift, intbitnot, intbitor, intbitrightshift, intbitxor, intdiv,
intmod, intmul, intsub, log, log10, numberbin, pi, power, radians, rand, round, sign, sin, sqrt, square, tan, trunc
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.values import UNDEFINED, Value, is_number, number, whole


def _numeric(function: Callable[..., float]) -> Callable[..., Value]:
    def apply(*values: Value) -> Value:
        if not all(map(is_number, values)):
            return UNDEFINED
        try:
            return number(function(*values))
        except ValueError:
            return math.nan
        except (OverflowError, ZeroDivisionError):
            return math.inf

    return apply


def round_half_away(value: float, length: float = 0) -> float:
    """To `length` places, halves away from zero."""
    scale = 10.0 ** int(length)
    if not math.isfinite(value * scale):
        return value
    scaled = abs(value) * scale
    return math.copysign(math.floor(scaled + 0.5) / scale, value)


def number_bin(value: float, size: float = 1) -> float:
    """`value` rounded down to a multiple of `size`."""
    return math.floor(value / size) * size


def _bin(value: Value, size: Value = 1) -> Value:
    return UNDEFINED if size == 0 else _numeric(number_bin)(value, size)


def _sign(value: float) -> float:
    return (value > 0) - (value < 0)


def _rand() -> float:
    from random import random  # asked for by few queries, and slow to import

    return random()


def _wrap_64(value: int) -> int:
    bits = value & 0xFFFFFFFFFFFFFFFF
    return bits - (1 << 64) if bits >> 63 else bits


def _integers(function: Callable[..., int]) -> Callable[..., Value]:
    """Of whole numbers within 64 bits only; wraps around as a 64-bit integer does."""

    def apply(*values: Value) -> Value:
        if not all(is_number(value) and whole(value) == value and abs(value) < 2**63 for value in values):
            return UNDEFINED
        try:
            return _wrap_64(function(*map(int, values)))
        except (ValueError, ZeroDivisionError):
            return UNDEFINED

    return apply


def _truncated_division(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


FUNCTIONS: Final = {
    "ABS": Function(1, 1, _numeric(abs)),
    "ACOS": Function(1, 1, _numeric(math.acos)),
    "ASIN": Function(1, 1, _numeric(math.asin)),
    "ATAN": Function(1, 1, _numeric(math.atan)),
    "ATN2": Function(2, 2, _numeric(math.atan2)),
    "CEILING": Function(1, 1, _numeric(math.ceil)),
    "COS": Function(1, 1, _numeric(math.cos)),
    "COT": Function(1, 1, _numeric(lambda value: 1 / math.tan(value))),
    "DEGREES": Function(1, 1, _numeric(math.degrees)),
    "EXP": Function(1, 1, _numeric(math.exp)),
    "FLOOR": Function(1, 1, _numeric(math.floor)),
    "INTADD": Function(2, 2, _integers(lambda left, right: left + right)),
    "INTBITAND": Function(2, 2, _integers(lambda left, right: left & right)),
    "INTBITLEFTSHIFT": Function(2, 2, _integers(lambda left, right: left << (right & 63))),
    "INTBITNOT": Function(1, 1, _integers(lambda value: ~value)),
    "INTBITOR": Function(2, 2, _integers(lambda left, right: left | right)),
    "INTBITRIGHTSHIFT": Function(2, 2, _integers(lambda left, right: left >> (right & 63))),
    "INTBITXOR": Function(2, 2, _integers(lambda left, right: left ^ right)),
    "INTDIV": Function(2, 2, _integers(_truncated_division)),
    "INTMOD": Function(2, 2, _integers(lambda left, right: left - right * _truncated_division(left, right))),
    "INTMUL": Function(2, 2, _integers(lambda left, right: left * right)),
    "INTSUB": Function(2, 2, _integers(lambda left, right: left - right)),
    "LOG": Function(1, 2, _numeric(math.log)),
    "LOG10": Function(1, 1, _numeric(math.log10)),
    "NUMBERBIN": Function(1, 2, _bin),
    "PI": Function(0, 0, lambda: math.pi),
    "POWER": Function(2, 2, _numeric(math.pow)),
    "RADIANS": Function(1, 1, _numeric(math.radians)),
    "RAND": Function(0, 0, _rand),
    "ROUND": Function(1, 2, _numeric(round_half_away)),
    "SIGN": Function(1, 1, _numeric(_sign)),
    "SIN": Function(1, 1, _numeric(math.sin)),
    "SQRT": Function(1, 1, _numeric(math.sqrt)),
    "SQUARE": Function(1, 1, _numeric(lambda value: value * value)),
    "TAN": Function(1, 1, _numeric(math.tan)),
    "TRUNC": Function(1, 1, _numeric(math.trunc)),
}
