"""Substrates turn input into activity."""
