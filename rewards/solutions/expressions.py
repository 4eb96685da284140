"""Answers that are expressions, by the package math-verify: whether two are equal, and one text of each."""

import threading
from decimal import Context
from functools import lru_cache
from importlib import import_module
from types import ModuleType

from rewards.errors import MissingExtraError

SECONDS = 5
"""Time limit for an expression, in the main thread; on a timeout it counts as not equal."""


def math_verify_package() -> ModuleType:
    """Return the package, which loads sympy.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module("math_verify")
    except ImportError:
        raise MissingExtraError("math-verify", "math") from None


@lru_cache(maxsize=4096)
def same_expression(reference: str, answer: str) -> bool:
    """Return whether math-verify calls an answer equal to a reference; it is not symmetric in them."""
    gold, parsed = _parsed(reference), _parsed(answer)
    return bool(math_verify_package().verify(gold, parsed, timeout_seconds=_limit()))


def expression_text(answer: str) -> str | None:
    """Return a canonical text of an expression, up to evident equality; None if it is no expression."""
    expressions = _parsed(answer)
    if not expressions:
        return None
    first = expressions[0]
    if not getattr(first, "is_number", False):
        return str(first)
    math_verify_package()
    from math_verify.errors import TimeoutException
    from math_verify.utils import timeout

    try:
        return digits(str(timeout(_limit())(lambda: first.evalf(20))()))  # type: ignore[attr-defined]  # is_number
    except (TimeoutException, ArithmeticError, ValueError, TypeError, AttributeError, RecursionError):
        return str(first)  # a complex number, or one that takes too long


def digits(value: int | str, divisor: int = 1) -> str:
    """Return the first 12 digits of a number, or of a fraction."""
    context = Context(prec=12)
    number = context.divide(context.create_decimal(value), context.create_decimal(divisor)).normalize(context)
    return f"{number:f}" if abs(number.adjusted()) <= 20 else str(number)


def _parsed(answer: str) -> list[object]:
    # A box delimits the answer; the package's own search would take a part of it.
    return list(math_verify_package().parse(rf"\boxed{{{answer}}}", parsing_timeout=_limit()))


def _limit() -> int | None:
    """Return the time limit in seconds, if any: the package's alarm works in the main thread alone."""
    return SECONDS if threading.current_thread() is threading.main_thread() else None
