"""Analyses of finished runs: one file a question, each with a function ``analyse(run)``."""
