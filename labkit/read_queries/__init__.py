"""Notebook 04: questions put to the read models, in the T-SQL that Synapse serverless understands."""
