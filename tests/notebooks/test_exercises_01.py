"""The exercises of notebook 01: see `exercises`."""

from tests.notebooks.exercises import EachExercise


class TestExercises(EachExercise):
    notebook = "01_write_model"
