"""Processes that share one network: who has which synapses, what goes round, and how they start and end together."""
