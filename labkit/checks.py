"""Checks of exercises: they say what was tried, what came out and which idea to think of, and never the answer.

    with checks.exercise(1, "Where to begin") as check:
        found = check.call(begin, positions, gives=dict)
        check.that(found["0"] == 7, "which table would miss an event?")

Owns: calling a learner's code so that whatever it does is told in words, and how a refusal looks in a notebook: one
block without a traceback. Refuses to know: any exercise. At the end of the `with` block it prints that the answer is
right, and each run of a check in a reader's own copy is noted for `labkit progress` (`labkit.verbs.noted`).
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, EllipsisType, NoneType, NotImplementedType, TracebackType
from typing import Any, Final, NoReturn, Self

from labkit.verbs import noted

LABEL_WIDTH: Final = 12
LINE_WIDTH: Final = 88
"""What an output shows without breaking a line again, in a window of 1,200 pixels with the list of files beside it."""
SHOWN_LENGTH: Final = 400
ARGUMENT_LENGTH: Final = 180
"""Characters that are shown of what came out, and of each argument; a data frame may be long."""

TAKING_IN_SECONDS: Final = 0.3
"""For a kernel to take in some sixty requests on a busy machine, and no more than a reader would notice."""

UNFINISHED: Final = "nothing comes out yet: write your code in place of what is given, and `return` its result"
UNWRITTEN: Final = "nothing is there yet: write your answer in place of what is given"
STUMBLED: Final = "an exception is no answer here: what did that line get, and what does it take it for?"
WRONG_SHAPE: Final = "the check cannot go on with what came out: does it have the form that the task asks for?"


class CheckFailed(AssertionError):
    """An exercise is not solved yet. Its text is the whole message; Jupyter shows it and no traceback."""

    def _render_traceback_(self) -> list[str]:
        """Asked for by a kernel alone (IPython, `InteractiveShell.showtraceback`), before it drops the cells that are
        still to be run. Of "Run All" it drops those that its receiving thread has taken in by then, and runs the last
        few which that had no time for (ipykernel 7.4, `Kernel._abort_queues`): here it gets the time.
        """
        time.sleep(TAKING_IN_SECONDS)
        return str(self).splitlines()


def exercise(number: int, title: str) -> Check:
    """What a check cell opens with `with`; number and title are those of the exercise's heading."""
    return Check(number, title)


class Check:
    """One run of one exercise's check. It remembers the last thing tried, so that a refusal can show it."""

    def __init__(self, number: int, title: str) -> None:
        self._number = number
        self._name = f"Exercise {number} · {title}"
        self._tried = ""
        self._came_out = ""

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        gives: type | tuple[type, ...] | None = object,
        idea: str = "",
        lets: tuple[type[BaseException], ...] = (),
        tried: str = "",
        **named: Any,
    ) -> Any:
        """What the learner's function answers to these arguments.

        `gives`: the types an answer may have; None is one only if NoneType is among them. `gives=None` asks nothing of
        what comes out. `idea`: shown if an exception or another type comes out. `lets`: exceptions that are an answer,
        and reach the check. `tried`: what to show for the arguments, where they are long.
        Raises: `CheckFailed` for everything else that is no answer.
        """
        self._tried, self._came_out = _call_text(function, arguments, named, tried), ""
        if not callable(function):
            self._refuse("a function is asked for: is its name used for something else?", came_out=_shown(function))
        self._insist_on_parameters(function, arguments, named)
        passed_on: tuple[type[BaseException], ...] = (*lets, CheckFailed)
        try:
            result = function(*arguments, **named)
        except passed_on:
            raise
        except NotImplementedError:
            self._refuse(UNFINISHED, came_out="NotImplementedError")
        except (Exception, SystemExit) as error:
            came_out = _error_text(error, _line_in(error.__traceback__, of=_code_of(function)))
            self._refuse(idea or STUMBLED, came_out=came_out)
        return result if gives is None else self._insist_on_type(result, gives, idea)

    def answer(self, value: Any, *, gives: type | tuple[type, ...] = object, idea: str = "") -> Any:
        """What the learner wrote as a value. Raises: `CheckFailed` if it is still to be written, or of another type."""
        self._tried = ""
        return self._insist_on_type(value, gives, idea, UNWRITTEN)

    def cases(
        self,
        function: Callable[..., Any],
        cases: Iterable[tuple[tuple[Any, ...], Any, str] | tuple[tuple[Any, ...], Any, str, str]],
        *,
        gives: type | tuple[type, ...] = object,
    ) -> None:
        """Call the function once per case: arguments, the answer that is right, the idea to think of if it differs.

        A fourth text is what to show for the arguments, where they are long.
        """
        for arguments, right, idea, *tried in cases:
            found = self.call(function, *arguments, gives=gives, idea=idea, tried="".join(tried))
            self.that(found == right, idea)

    def that(self, holds: object, idea: str, *, tried: str | None = None, came_out: object = None) -> None:
        """Go on only if it holds. `tried` (in words) and `came_out` (words or a value) replace the last call where that
        tells too little.

        Raises: `CheckFailed` with the idea.
        """
        if not holds:
            self._tried = self._tried if tried is None else tried
            words = came_out if isinstance(came_out, str) and came_out else _shown(came_out)
            self._refuse(idea, came_out=self._came_out if came_out is None else words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            sys.stdout.write(f"{self._name}: right.\n{noted.note(self._number, right=True)}")
            return
        if isinstance(error, Exception):
            noted.note(self._number, right=False)
        if isinstance(error, Exception) and not isinstance(error, CheckFailed):
            place = _line_in(trace, but=trace.tb_frame.f_code if trace else None)
            if place is None and isinstance(error, NameError):
                self._tried = ""
                self._refuse(
                    f"there is no `{error.name}` yet: run the cells above this one first, the exercise's own too"
                )
            if place is None:
                self._refuse(WRONG_SHAPE, came_out=f"{self._came_out}\n{_error_text(error, None)}".strip())
            self._refuse(STUMBLED, came_out=_error_text(error, place))

    def _insist_on_parameters(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]
    ) -> None:
        try:
            inspect.signature(function).bind(*arguments, **named)
        except TypeError as error:
            self._refuse(
                "this is how it is called: keep the number, order and names of the parameters",
                came_out=f"TypeError: {error}",
            )
        except ValueError:  # written in C, without a signature
            return

    def _insist_on_type(
        self, value: Any, gives: type | tuple[type, ...], idea: str, unfinished: str = UNFINISHED
    ) -> Any:
        self._came_out = _shown(value)
        wanted = gives if isinstance(gives, tuple) else (gives,)
        if isinstance(value, EllipsisType | NotImplementedType) or (value is None and NoneType not in wanted):
            self._refuse(unfinished)
        if inspect.iscoroutine(value):
            value.close()
            self._refuse("the function is called without `await`: leave out its `async`")
        if not isinstance(value, wanted):
            self._came_out = f"{_kind(type(value))}: {self._came_out}"
            asked = f"{' or '.join(dict.fromkeys(map(_kind, wanted)))} is asked for"
            self._refuse(f"{asked}; {idea}" if idea else asked)
        return value

    def _refuse(self, idea: str, came_out: str | None = None) -> NoReturn:
        parts = {"tried": self._tried, "came out": self._came_out if came_out is None else came_out, "think of": idea}
        lines = [_labelled(label, text) for label, text in parts.items() if text]
        raise CheckFailed("\n".join([f"{self._name}: not yet.", *lines])) from None


def _labelled(label: str, text: str) -> str:
    """The text beside its label, its own lines kept, long ones folded."""
    folded = [part for line in text.splitlines() for part in textwrap.wrap(line, LINE_WIDTH - LABEL_WIDTH)]
    return textwrap.indent("\n".join(folded), " " * LABEL_WIDTH).replace(" " * LABEL_WIDTH, f"  {label:<10}", 1)


def _call_text(function: object, arguments: tuple[Any, ...], named: Mapping[str, Any], tried: str) -> str:
    given = [tried] if tried else [_shown(value, ARGUMENT_LENGTH) for value in arguments]
    given += [f"{name}={_shown(value, ARGUMENT_LENGTH)}" for name, value in named.items()]
    return f"{getattr(function, '__name__', 'your function')}({', '.join(given)})"


def _shown(value: object, length: int = SHOWN_LENGTH) -> str:
    """A value as a learner would type it, without addresses, cut where it gets long."""
    if inspect.isroutine(value) or inspect.isclass(value):
        return str(getattr(value, "__name__", "a function"))
    if value is ...:
        return "..."
    try:
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    except Exception as error:  # the learner's own class, perhaps half written
        return f"{_kind(type(value))} that cannot be shown ({type(error).__name__} in its __repr__)"
    return text if len(text) <= length else text[:length] + " ..."


def _kind(of: type) -> str:
    if of in (NoneType, EllipsisType, NotImplementedType):
        return {NoneType: "None", EllipsisType: "...", NotImplementedType: "NotImplemented"}[of]
    return f"{'an' if of.__name__[0].lower() in 'aeiou' else 'a'} {of.__name__}"


def _error_text(error: BaseException, place: str | None) -> str:
    words = str(error)
    return type(error).__name__ + (f": {words}" if words else "") + (f"\n{place}" if place else "")


def _code_of(function: object) -> CodeType | None:
    for holder in (function, getattr(function, "__init__", None)):
        if isinstance(code := getattr(holder, "__code__", None), CodeType):
            return code
    return None


def _line_in(trace: TracebackType | None, *, of: CodeType | None = None, but: CodeType | None = None) -> str | None:
    """The deepest line typed in the notebook where it went wrong: in the cell that holds `of`, not in that of `but`."""
    found = None
    for (frame, _), line in zip(traceback.walk_tb(trace), traceback.extract_tb(trace), strict=True):
        file = frame.f_code.co_filename
        typed = frame.f_globals.get("__name__") == "__main__"
        if typed and (of is None or file == of.co_filename) and (but is None or file != but.co_filename):
            found = f"in line {line.lineno} of your cell" + (f": {line.line}" if line.line else "")
    return found
