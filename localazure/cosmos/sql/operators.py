"""What the operators mean: one function each over values that may be undefined.

Owns: arithmetic, comparison, NOT, text concatenation, bits, LIKE. Refuses to know: syntax, documents.

How: an operand of the wrong type makes the result undefined. AND, OR and ??, which need not evaluate all operands, are
in `expressions`. Bits are those of a 32-bit integer, as JavaScript has them.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/arithmetic-operators, /logical-operators, /bitwise-operators,
/equality-comparison-operators, /like, /ternary-coalesce-operators
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from localazure.cosmos.sql.limits import check_size
from localazure.cosmos.sql.values import UNDEFINED, Value, at_most, double, equal, is_number, less, number


def _of_numbers(operation: Callable[[float, float], float]) -> Callable[[Value, Value], Value]:
    def apply(left: Value, right: Value) -> Value:
        if not (is_number(left) and is_number(right)):
            return UNDEFINED
        try:
            return number(operation(left, right))
        except OverflowError:  # an integer of a document that no double holds
            return number(operation(double(left), double(right)))

    return apply


add = _of_numbers(operator.add)
subtract = _of_numbers(operator.sub)
multiply = _of_numbers(operator.mul)


def divide(left: Value, right: Value) -> Value:
    """Infinite or NaN for a division by zero, as of doubles."""
    if not (is_number(left) and is_number(right)):
        return UNDEFINED
    if right == 0:
        return math.nan if left == 0 or left != left else math.copysign(math.inf, left)
    return number(double(left) / double(right))


def modulo(left: Value, right: Value) -> Value:
    """The remainder with the sign of the dividend; NaN for a divisor of zero."""
    if not (is_number(left) and is_number(right)):
        return UNDEFINED
    if right == 0 or math.isinf(double(left)):
        return math.nan
    return number(math.fmod(double(left), double(right)))


def negate(operand: Value) -> Value:
    return number(-operand) if is_number(operand) else UNDEFINED


def plus(operand: Value) -> Value:
    return operand if is_number(operand) else UNDEFINED


def logical_not(operand: Value) -> Value:
    return not operand if type(operand) is bool else UNDEFINED


def logical_and(left: Value, right: Value) -> Value:
    if left is False or right is False:
        return False
    return True if left is True and right is True else UNDEFINED


def concatenate(left: Value, right: Value) -> Value:
    if type(left) is not str or type(right) is not str:
        return UNDEFINED
    check_size(len(left) + len(right))
    return left + right


def not_equal(left: Value, right: Value) -> Value:
    result = equal(left, right)
    return UNDEFINED if result is UNDEFINED else not result


def greater(left: Value, right: Value) -> Value:
    return less(right, left)


def at_least(left: Value, right: Value) -> Value:
    return at_most(right, left)


def between(subject: Value, low: Value, high: Value) -> Value:
    return logical_and(at_most(low, subject), at_most(subject, high))


def as_int32(value: float) -> int:
    """The 32 low bits of the truncated number, signed; 0 for NaN and infinity."""
    if not math.isfinite(double(value)):
        return 0
    bits = int(value) & 0xFFFFFFFF
    return bits - (1 << 32) if bits & 0x80000000 else bits


def _bits(operation: Callable[[int, int], int]) -> Callable[[Value, Value], Value]:
    def apply(left: Value, right: Value) -> Value:
        if not (is_number(left) and is_number(right)):
            return UNDEFINED
        return as_int32(operation(as_int32(left), as_int32(right)))

    return apply


def shift_right_unsigned(left: Value, right: Value) -> Value:
    if not (is_number(left) and is_number(right)):
        return UNDEFINED
    return (as_int32(left) & 0xFFFFFFFF) >> (as_int32(right) & 31)


def complement(operand: Value) -> Value:
    return ~as_int32(operand) if is_number(operand) else UNDEFINED


BINARY: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "||": concatenate,
    "=": equal,
    "!=": not_equal,
    "<": less,
    "<=": at_most,
    ">": greater,
    ">=": at_least,
    "&": _bits(lambda left, right: left & right),
    "|": _bits(lambda left, right: left | right),
    "^": _bits(lambda left, right: left ^ right),
    "<<": _bits(lambda left, right: left << (right & 31)),
    ">>": _bits(lambda left, right: left >> (right & 31)),
    ">>>": shift_right_unsigned,
}
UNARY: Final[dict[str, Callable[[Value], Value]]] = {"NOT": logical_not, "-": negate, "+": plus, "~": complement}


def like(subject: Value, pattern: Value, escape: Value = None) -> Value:
    """LIKE: `%` any text, `_` one character, `[a-c]` one of, `[^a-c]` one other; after `escape` one as it is."""
    if type(subject) is not str or type(pattern) is not str or (escape is not None and type(escape) is not str):
        return UNDEFINED
    return _like_pattern(pattern, escape).fullmatch(subject) is not None


@lru_cache(maxsize=256)
def _like_pattern(pattern: str, escape: str | None) -> re.Pattern[str]:
    """Every part between two `%` is sought once, from the left, and kept: no pattern takes more than linear tries."""
    first, *others = _like_parts(pattern, escape)
    if not others:
        return re.compile(first, re.DOTALL)
    sought = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return re.compile(f"{first}{sought}.*{others[-1]}", re.DOTALL)


def _like_parts(pattern: str, escape: str | None) -> list[str]:
    """The regular expressions between the `%` signs."""
    parts = [""]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        closing = pattern.find("]", at + 2) if character == "[" else -1
        if character == escape and at + 1 < len(pattern):
            at += 1
            parts[-1] += re.escape(pattern[at])
        elif character == "%":
            parts.append("")
        elif character == "_":
            parts[-1] += "."
        elif closing > 0:
            parts[-1] += _one_of(pattern[at + 1 : closing])
            at = closing
        else:
            parts[-1] += re.escape(character)
        at += 1
    return parts


def _one_of(members: str) -> str:
    negated = members.startswith("^") and len(members) > 1
    listed = members[1:] if negated else members
    safe = re.sub(r"([\\\[\]^&~|])", r"\\\1", listed)
    text = f"[{'^' if negated else ''}{safe}]"
    try:
        re.compile(text)
    except re.error:
        return f"[{'^' if negated else ''}{re.escape(listed)}]"
    return text
