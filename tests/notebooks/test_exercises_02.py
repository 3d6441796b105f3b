"""The exercises of notebook 02: see `exercises`."""

from tests.notebooks.exercises import EachExercise


class TestExercises(EachExercise):
    notebook = "02_events"
