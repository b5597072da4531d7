"""Brian2 made quick enough for tests."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import brian2 as b2


@contextmanager
def quick_brian() -> Iterator[None]:
    """Generate NumPy code, log little, and spare Brian2's garbage collection before every run what was there already."""
    before, logger = b2.prefs.codegen.target, logging.getLogger("brian2")
    level = logger.level
    b2.prefs.codegen.target = "numpy"
    logger.setLevel(logging.ERROR)  # below it pytest would format every line of generated code
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        logger.setLevel(level)
        b2.prefs.codegen.target = before
        b2.start_scope()
