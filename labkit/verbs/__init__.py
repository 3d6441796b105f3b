"""The verbs of `python -m labkit`: one module each, or one for a family."""
