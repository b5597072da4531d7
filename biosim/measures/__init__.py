"""Measures: what activity scenarios are judged by, one file each.

A file has ``METRICS`` (name -> one line), ``measure(development, drive, *, ...) -> Findings`` with one value a replicate for each
name, and may have ``check(network, drive, *, ...)``, which raises InputError before a run whose arguments do not suit it, and
``observe(network, drive, *, ...)``, which returns further numbers, (R,) by name, for every record of the history, or
``listen(network, activity, step, drive, *, ...)``, which does so from the activity of the step just taken, by population, and how
many steps were. What these take of the measure's arguments they are given.
"""
