"""`-p name=value` against what notebooks declare."""

from __future__ import annotations

import pytest
from nbformat import v4

from labkit.errors import LabError
from labkit.verbs import parameters


def declared(source: str) -> dict[str, parameters.Value]:
    tagged = v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    return parameters.declared(v4.new_notebook(cells=[v4.new_code_cell("seed = 99"), tagged]))


def test_a_notebook_declares_the_literals_of_its_parameters_cell_and_no_others() -> None:
    assert declared("seed = 7  # any number\nloss_rate: float = 0.5\nname = 'a'\nrates = [1, 2]") == {
        "seed": 7,
        "loss_rate": 0.5,
        "name": "a",
        "rates": [1, 2],
    }


def test_each_notebook_gets_the_values_of_the_parameters_it_has() -> None:
    books: dict[str, dict[str, parameters.Value]] = {"01": {"seed": 7}, "02": {"seed": 7, "orders": 10}}

    assert parameters.assign({"orders": "20"}, books) == {"01": {}, "02": {"orders": 20}}


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        (7, "8", 8),
        (0.5, "1", 1.0),
        (0.5, "0.25", 0.25),
        ("a", "7", "7"),
        ([1], "[1, 2]", [1, 2]),
        (True, "False", False),
    ],
)
def test_a_value_is_read_as_what_the_default_is(default: parameters.Value, text: str, value: parameters.Value) -> None:
    assert parameters.assign({"p": text}, {"01": {"p": default}}) == {"01": {"p": value}}


@pytest.mark.parametrize(
    ("default", "text"), [(7, "many"), (7, "1.5"), (7, "True"), (True, "1"), ([1], "1"), (0.5, "True")]
)
def test_a_value_of_another_kind_is_refused_with_the_default_as_example(default: parameters.Value, text: str) -> None:
    with pytest.raises(LabError, match=r"^the parameter 'p' takes a "):
        parameters.assign({"p": text}, {"01": {"p": default}})


def test_a_parameter_that_no_notebook_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"no notebook here has a parameter 'sede'; there are orders, seed"):
        parameters.assign({"sede": "1"}, {"01": {"seed": 1}, "02": {"orders": 1}})


@pytest.mark.parametrize("text", ["seed", "=3", ""])
def test_an_assignment_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="write it as name=value"):
        parameters.split([text])
