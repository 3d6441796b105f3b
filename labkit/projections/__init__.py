"""From events to read models: folds, the Delta tables, the projector, and the lane for what cannot be applied."""
