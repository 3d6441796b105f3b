"""The exercises of notebook 03: see `exercises`."""

from tests.notebooks.exercises import EachExercise


class TestExercises(EachExercise):
    notebook = "03_projections"
