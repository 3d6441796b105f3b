"""The exercises of notebook 04: see `exercises`."""

from tests.notebooks.exercises import EachExercise


class TestExercises(EachExercise):
    notebook = "04_read_queries"
