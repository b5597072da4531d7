"""What ``results.nc`` holds: history, death steps and the table of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def results_dataset(
    records: list[dict[str, Any]],
    death_step: Mapping[str, npt.NDArray[np.int32]],
    table: list[dict[str, Any]],
    formed_step: Mapping[str, npt.NDArray[np.int32]] | None = None,
) -> Any:
    """Return history, death steps, the steps at which synapses formed (where any did) and table as one xarray Dataset."""
    import xarray

    data: dict[str, Any] = {}
    coordinates: dict[str, Any] = {"time": ("moment", [r["time"] for r in records], {"units": "s"})}
    coordinates["step"] = ("moment", [r["step"] for r in records])
    coordinates["u"] = ("moment", [r["u"] for r in records], {"long_name": "fraction of development"})
    for name in records[0] if records else ():
        if name not in ("step", "time", "u"):
            data[name] = (("moment", "replicate"), np.array([r[name] for r in records], np.float64))
    for name, steps in death_step.items():
        pre, post = name.split("-", 1) if "-" in name else (f"{name}_pre", f"{name}_post")
        about = {"long_name": "step at which the synapse was eliminated; -1 alive, -2 never born, -3 never formed"}
        data[f"death_step.{name}"] = (("replicate", f"{pre}.neuron", f"{post}.neuron_"), steps, about)
        if formed_step:
            said = {"long_name": "step at which the synapse formed, last; -1 at birth or in the first step"}
            data[f"formed_step.{name}"] = (("replicate", f"{pre}.neuron", f"{post}.neuron_"), formed_step[name], said)
    coordinates["row_method"] = ("row", [r["method"] for r in table])
    coordinates["row_regime"] = ("row", [r["regime"] for r in table])
    coordinates["row_target_density"] = ("row", np.array([r["target_density"] for r in table], np.float64))
    for column in ("density", "effective_density", "accuracy") if table else ():
        missing = [float("nan")] * len(table[0][column])  # a cell that is not defined
        values = np.array([missing if r[column] is None else r[column] for r in table], np.float64)
        data[f"table.{column}"] = (("row", "replicate"), values)
    return xarray.Dataset(data, coordinates)
