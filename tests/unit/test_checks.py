"""What a reader is told by a check, whatever their code does."""

from __future__ import annotations

import linecache
from typing import Any

import pandas as pd
import pytest

from labkit import checks
from labkit.checks import CheckFailed


def cells(*sources: str) -> dict[str, Any]:
    """Run these as a notebook runs its cells, one after the other; the names they leave."""
    names: dict[str, Any] = {"__name__": "__main__", "checks": checks, "pd": pd}
    for number, source in enumerate(sources, start=1):
        file = f"<cell {number}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), names)
    return names


def told(answer: str, check: str) -> str:
    """The message that this check cell gives for this exercise cell."""
    body = "\n".join(f"    {line}" for line in check.splitlines())
    with pytest.raises(CheckFailed) as refused:
        cells(answer, f'with checks.exercise(3, "Doubling") as check:\n{body}\n')
    message = str(refused.value)
    assert message.startswith("Exercise 3 · Doubling: not yet.\n  ")
    assert refused.value._render_traceback_() == message.splitlines()
    return message


CALL = "check.that(check.call(double, 2, gives=int, idea='how much is twice?') == 4, 'two of each')"


def test_a_right_answer_is_named_and_nothing_else_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    cells("def double(n): return 2 * n", f'with checks.exercise(3, "Doubling") as check:\n    {CALL}\n')
    assert capsys.readouterr().out == "Exercise 3 · Doubling: right.\n"


def test_a_wrong_answer_is_told_with_what_was_tried_what_came_out_and_the_idea() -> None:
    assert told("def double(n): return n + 3", CALL) == (
        "Exercise 3 · Doubling: not yet.\n"
        "  tried     double(2)\n"
        "  came out  5\n"
        "  think of  two of each"
    )  # fmt: skip


@pytest.mark.parametrize(
    "body", ["...", "pass", "return None", "return ...", "return NotImplemented", "raise NotImplementedError"]
)
def test_a_function_that_is_still_to_be_written_is_told_so(body: str) -> None:
    assert "think of  nothing comes out yet: write your code" in told(f"def double(n): {body}", CALL)


def test_none_is_an_answer_where_it_is_asked_for_and_not_looked_at_where_nothing_is() -> None:
    cells(
        "def nothing(): pass",
        'with checks.exercise(1, "x") as check:\n'
        "    assert check.call(nothing, gives=(int, type(None))) is None\n"
        "    assert check.call(nothing, gives=None) is None\n",
    )


def test_an_exception_is_told_with_the_line_of_the_readers_cell_and_the_idea() -> None:
    message = told("def double(n):\n    known = {}\n    return known[n]\n", CALL)
    assert "came out  KeyError: 2\n            in line 3 of your cell: return known[n]" in message
    assert message.endswith("think of  how much is twice?")


def test_of_several_lines_the_readers_own_is_named_not_the_library_s_and_not_the_checks() -> None:
    deep = "import json\ndef double(n):\n    return json.loads('{')\n"
    assert "in line 3 of your cell: return json.loads('{')" in told(deep, CALL)
    calls_back = "def bad(): raise ValueError('line lost')\ncheck.call(double, bad)"
    message = told("def double(send):\n    return send()\n", calls_back)
    assert "tried     double(bad)" in message
    assert "ValueError: line lost\n            in line 2 of your cell: return send()" in message


def test_a_reader_who_leaves_the_kernel_or_never_ends_a_recursion_is_told_so() -> None:
    assert "SystemExit" in told("import sys\ndef double(n): sys.exit(1)", CALL)
    assert "RecursionError" in told("def double(n): return double(n)", CALL)


def test_an_interrupt_of_the_reader_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        cells(
            "def double(n): raise KeyboardInterrupt",
            f'with checks.exercise(3, "Doubling") as check:\n    {CALL}\n',
        )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("def double(n): return '4'", "a str: '4'"),
        ("def double(n): yield 4", "a generator: <generator object double>"),
        ("def double(n): return [4]", "a list: [4]"),
    ],
)
def test_another_type_is_told_by_its_name(answer: str, words: str) -> None:
    message = told(answer, CALL)
    assert f"came out  {words}" in message
    assert "think of  an int is asked for; how much is twice?" in message


def test_an_async_function_is_told_so_and_leaves_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert "leave out its `async`" in told("async def double(n): return 4", CALL)
    assert not list(recwarn)


def test_other_parameters_are_told_before_anything_runs() -> None:
    message = told("def double(): raise SystemError", CALL)
    assert "TypeError: too many positional arguments" in message
    assert "this is how it is called" in message


def test_a_name_used_for_something_else_is_told() -> None:
    assert "a function is asked for: is its name used for something else?" in told("double = 4", CALL)


def test_a_cell_that_was_not_run_is_told_by_the_missing_name() -> None:
    message = told("", CALL)
    assert "there is no `double` yet: run the cells above this one first" in message
    assert "tried" not in message


def test_a_name_that_the_readers_own_code_lacks_is_their_own_error() -> None:
    message = told("def double(n): return m", CALL)
    assert "NameError: name 'm' is not defined" in message
    assert "in line 1 of your cell: def double(n): return m" in message


def test_a_value_that_is_not_written_yet_is_not_asked_to_be_returned() -> None:
    message = told("units = ...", "check.answer(units, gives=int)")
    assert "came out  ...\n" in message
    assert "write your answer in place of what is given" in message
    assert "return" not in message


def test_what_a_check_says_in_words_is_shown_without_quotes() -> None:
    assert "came out  2 orders in 3 rows\n" in told("", "check.that(False, 'b', came_out='2 orders in 3 rows')")
    assert "came out  ''\n" in told("", "check.that(False, 'b', came_out='')")


def test_a_check_that_cannot_go_on_with_what_came_out_says_so() -> None:
    message = told("def double(n): return {}", "found = check.call(double, 2)\ncheck.that(found['a'] == 1, 'b')")
    assert "came out  {}\n            KeyError: 'a'" in message
    assert "does it have the form that the task asks for?" in " ".join(message.split())


def test_an_object_of_the_readers_that_stumbles_in_the_check_is_told_with_their_line() -> None:
    broken = "class Double:\n    def __eq__(self, other):\n        return 1 / 0\ndouble = lambda n: Double()\n"
    message = told(broken, "check.that(check.call(double, 2) == 4, 'two')")
    assert "ZeroDivisionError: division by zero\n            in line 3 of your cell: return 1 / 0" in message


def test_values_that_are_long_or_cannot_be_shown_are_cut_or_named() -> None:
    long = told("def double(n): return 'x' * 5000", "check.that(check.call(double, list(range(900))) == 4, 'two')")
    assert len(long) < 900
    assert long.count(" ...") == 2
    broken = "class Half:\n    def __repr__(self): return self.missing\ndouble = lambda n: Half()"
    assert "a Half that cannot be shown (AttributeError in its __repr__)" in told(broken, CALL.replace("int", "Half"))
    plain = told("class Plain: pass\ndouble = lambda n: Plain()", "check.that(check.call(double, 2) == 4, 'two')")
    assert " at 0x" not in plain


def test_long_lines_are_folded_beside_their_label() -> None:
    message = told("def double(n): return 1", "check.call(double, 2)\ncheck.that(False, 'word ' * 60)")
    assert max(map(len, message.splitlines())) <= checks.LINE_WIDTH
    assert message.splitlines()[-1].startswith(" " * checks.LABEL_WIDTH + "word")


def test_arguments_are_shown_as_they_were_before_the_call() -> None:
    message = told("def double(items): items.clear(); return 1", "check.that(check.call(double, [1]) == 2, 'two')")
    assert "tried     double([1])" in message


def test_a_value_is_looked_at_like_an_answer() -> None:
    assert "nothing is there yet" in told("size = ...", "check.answer(size, gives=int)")
    assert "an int or a float is asked for" in told("size = '3'", "check.answer(size, gives=(int, float))")
    assert "think of  an int is asked for" in told("size = '3'", "check.answer(size, gives=(int, type('int', (), {})))")
    message = told("size = 3", "check.that(check.answer(size) > 3, 'what does a batch cost?')")
    assert message.splitlines()[1:] == ["  came out  3", "  think of  what does a batch cost?"]


def test_cases_are_tried_in_order_and_each_brings_its_own_idea() -> None:
    cases = "check.cases(double, [((1,), 2, 'one'), ((2,), 4, 'two'), ((None,), 0, 'nothing doubled')], gives=int)"
    assert told("def double(n): return 2", cases).endswith("  tried     double(2)\n  came out  2\n  think of  two")
    assert "TypeError" in told("def double(n): return n * 2", cases)
    assert told("def double(n): return n * 2", cases).endswith("think of  nothing doubled")
    assert told("def double(n): return 'x'", cases).endswith("think of  an int is asked for; one")


def test_a_case_whose_arguments_are_long_brings_what_to_show_for_them() -> None:
    cases = "check.cases(double, [((1,), 2, 'one'), ((2,), 4, 'two', 'a sample, 2')], gives=int)"
    assert "\n  tried     double(a sample, 2)\n  came out  2\n" in told("def double(n): return 2", cases)
    assert "\n  tried     double(a sample, 2)\n" in told("def double(n): return 2 if n < 2 else None", cases)
    assert "\n  tried     double(1)\n" in told("def double(n): return 4", cases)


def test_words_of_the_check_replace_the_last_call() -> None:
    message = told("def double(n): return n", "check.call(double, 2)\ncheck.that(0, 'b', tried='both', came_out=[1])")
    assert message.splitlines()[1:] == ["  tried     both", "  came out  [1]", "  think of  b"]


def test_an_exception_that_is_an_answer_reaches_the_check() -> None:
    cells(
        "def double(n): raise LookupError('none')",
        'with checks.exercise(3, "Doubling") as check:\n'
        "    try:\n        check.call(double, 2, lets=(LookupError,))\n"
        "    except LookupError:\n        seen = True\n"
        "assert seen\n",
    )


def test_a_refusal_inside_what_the_readers_code_calls_is_told_as_it_is() -> None:
    calls_back = "def send(): check.that(False, 'sent twice')\ncheck.call(double, send)"
    assert told("def double(send): return send()", calls_back).endswith("think of  sent twice")


def test_a_table_that_came_out_is_shown_as_a_table() -> None:
    message = told(
        "def double(n): return pd.DataFrame({'a': [1, 2]})", "check.that(check.call(double, 2) is None, 'x')"
    )
    assert "came out     a\n            0  1\n            1  2" in message
