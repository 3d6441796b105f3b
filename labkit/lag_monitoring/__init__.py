"""Notebook 05: how far the read models are behind, measured so that the figure cannot lie."""
