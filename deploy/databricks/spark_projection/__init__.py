"""The projection on Spark: from Event Hubs to the same Delta tables that the projector of `labkit` writes."""
