"""biosim: can a dense random network become a working circuit only by losing synapses?

The names below are the public API; they are imported when first used, so that ``import biosim`` and
``biosim --help`` stay quick.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")  # the same bits from MKL on any number of threads
if os.environ.get("OMP_NUM_THREADS", "").isdecimal():  # numba's threads are torch's too once they start: one variable for both
    os.environ.setdefault("NUMBA_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

__version__ = "0.1.0"

_EXPORTS = {
    "Circuit": "biosim.circuit",
    "Development": "biosim.develop",
    "Feedback": "biosim.teaching",
    "ImageDrive": "biosim.drives",
    "Network": "biosim.synapses",
    "Population": "biosim.synapses",
    "Projection": "biosim.synapses",
    "Recorder": "biosim.recorder",
    "Rule": "biosim.equations",
    "Run": "biosim.store",
    "Schedule": "biosim.schedule",
    "from_torch_prune": "biosim.torch_bridge",
    "keep": "biosim.scorers",
    "load_images": "biosim.drives",
    "load_rule": "biosim.rules",
    "load_scorer": "biosim.scorers",
    "network_from_torch": "biosim.torch_bridge",
    "open_run": "biosim.store",
    "overlap": "biosim.compare",
    "parse_rule": "biosim.equations",
    "prune": "biosim.scorers",
    "read_scenario": "biosim.scenario",
    "run": "biosim.runner",
    "to_torch": "biosim.torch_bridge",
    "to_torch_prune": "biosim.torch_bridge",
}
__all__ = ["__version__", *sorted(_EXPORTS)]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'biosim' has no attribute '{name}'")
    value = getattr(importlib.import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
