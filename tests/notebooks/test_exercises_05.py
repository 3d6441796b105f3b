"""The exercises of notebook 05: see `exercises`."""

from tests.notebooks.exercises import EachExercise


class TestExercises(EachExercise):
    notebook = "05_lag_monitoring"
