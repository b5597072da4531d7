"""Measures: what activity scenarios are judged by, one file each.

A file has ``METRICS`` (name -> one line), ``measure(development, drive, *, ...) -> Findings`` with one value a replicate for each
name, and may have ``check(network, drive, *, ...)``, which raises InputError before a run whose arguments do not suit it, and
``observe(network, drive, *, ...)``, which returns further numbers, (R,) by name, for every record of the history. What these two
take of the measure's arguments they are given.
"""
