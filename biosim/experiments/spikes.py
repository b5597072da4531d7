"""How a development scenario shows images to a model that spikes."""

from __future__ import annotations

from dataclasses import replace

from biosim.drives import ImageDrive
from biosim.equations import parse_rate
from biosim.errors import InputError
from biosim.lif import Encoding
from biosim.scenario import DevelopmentScenario
from biosim.synapses import Network


def encoded(scenario: DevelopmentScenario, drive: ImageDrive, network: Network) -> ImageDrive:
    """Return the drive as the network needs it: spikes for spiking neurons, as the scenario asks; pixels for others."""
    spec = scenario.spec.drive
    if network.spiking is None:
        for key in ("encoding", "peak_rate", "centred"):
            if getattr(spec, key) is not None:
                message = f"the model '{scenario.spec.model.name}' does not spike: leave {key} out, or take one that does"
                raise scenario.error(InputError(message, ("drive", key)))
        return drive
    own = network.spiking.encoding
    try:
        peak = own.peak if spec.peak_rate is None else parse_rate(spec.peak_rate)
    except InputError as error:
        raise scenario.error(InputError(error.message, ("drive", "peak_rate"))) from None
    try:
        wanted = replace(own, kind=spec.encoding or own.kind, peak=peak, window=drive.presentation)
        return drive.encoded(wanted, spec.centred is not False)
    except InputError as error:
        key = "presentation" if error.key in (("window",), ("dt",)) else str(error.key[0])
        raise scenario.error(InputError(error.message, ("drive", key))) from None


def signals_of(encoding: Encoding | None) -> list[str]:
    """Say how a spiking network is shown its images, and what its rules see of them."""
    if encoding is None:
        return []
    how = f"{encoding.kind} code, up to {encoding.peak:g} Hz" if encoding.kind != "latency" else "latency code, one spike a pixel"
    found = [f"spikes of the input neurons: {how}, {1e3 * encoding.window:g} ms an image in steps of {1e3 * encoding.dt:g} ms"]
    if encoding.baseline:
        found.append("tonic inhibition: every input synapse takes away what it brings for a pixel of average brightness")
    found.append("slope of a hidden neuron: 1 where it fires in the window, else 0")
    return [*found, "pre and post: rates in Hz filtered as by a membrane, pre taken on arrival, one number a neuron and image"]
