"""Notebook 02: the envelope, the order of events, and the relay from the outbox to Event Hubs."""
