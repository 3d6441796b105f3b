"""Notebook 01: commands, the decision, and one transaction that keeps state, events and receipt together."""
