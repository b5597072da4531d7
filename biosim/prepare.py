"""A scenario made ready to run: data loaded, births built, and development under any of its rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from biosim.develop import Development, develop
from biosim.drives import ImageDrive, Images, load_images
from biosim.equations import Rule, parse_rate, parse_time
from biosim.errors import BiosimError, InputError
from biosim.homeostasis import Homeostasis, IncomingResource, InDegree, SynapticScaling
from biosim.options import Options
from biosim.recorder import Recorder
from biosim.scenario import Scenario
from biosim.schedule import Schedule
from biosim.synapses import Network
from biosim.teaching import Feedback

Progress = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Prepared:
    """A scenario with its data loaded and its network shape checked; nothing has been written yet."""

    scenario: Scenario
    images: Images
    drive: ImageDrive
    device: torch.device

    def births(self) -> Network:
        """Build the network as born; the same births every time."""
        s = self.scenario
        network: Network = s.build(self.drive.inputs, self.drive.outputs, s.birth_seeds, **s.model_arguments)
        if network.spiking is not None and self.drive.encoding is not None:
            network.spiking = network.spiking.shown(self.drive.encoding)
        return network.to(self.device)


def prepare(scenario: Scenario, device: str = "cpu") -> Prepared:
    """Load a scenario's data and try its model.

    Raises
    ------
    BiosimError
        Naming the file, line and key of what is wrong.
    """
    if device not in ("cpu", "cuda"):
        raise BiosimError(f"--device {device}: there are cpu and cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise BiosimError("--device cuda: torch finds no CUDA device here; leave --device out to run on the CPU")
    spec = scenario.spec.drive
    try:
        images = load_images(spec.dataset, train_size=spec.train_size, validation=spec.validation)
    except InputError as error:
        raise scenario.error(error.under("drive") if error.key else InputError(error.message, ("drive", "dataset"))) from None
    try:
        drive = ImageDrive(images, spec.batch, spec.epochs, parse_time(spec.presentation).value)
    except InputError as error:
        raise scenario.error(error.under("drive")) from None
    try:
        one = scenario.build(drive.inputs, drive.outputs, scenario.birth_seeds[:1], **scenario.model_arguments)
    except InputError as error:
        raise scenario.error(error.under("model")) from None
    if not isinstance(one, Network):
        raise scenario.error(InputError(f"build() returned {type(one).__name__}, not a Network", ("model", "name")))
    return Prepared(scenario, images, _encoded(scenario, drive, one), torch.device(device))


def _encoded(scenario: Scenario, drive: ImageDrive, network: Network) -> ImageDrive:
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
        made = drive.encoded(replace(own, kind=spec.encoding or own.kind, peak=peak, window=drive.presentation), spec.centred is not False)
    except InputError as error:
        key = "presentation" if error.key in (("window",), ("dt",)) else str(error.key[0])
        raise scenario.error(InputError(error.message, ("drive", key))) from None
    return made


def _homeostasis(prepared: Prepared) -> list[Homeostasis]:
    duration = prepared.drive.clock.duration
    made: list[Homeostasis] = []
    for index, spec in enumerate(prepared.scenario.spec.homeostasis):
        if spec.kind == "in-degree":
            made.append(InDegree())
        elif spec.kind == "incoming-resource":
            made.append(IncomingResource())
        else:
            try:
                tau = parse_time(spec.tau).resolve(duration)
            except InputError as error:
                raise prepared.scenario.error(InputError(error.message, ("homeostasis", index, "tau"))) from None
            made.append(SynapticScaling(spec.target, tau))
    return made


def develop_under(
    prepared: Prepared,
    rule: Rule,
    options: Options,
    density: float,
    progress: Progress | None,
    stage: str,
    sink: Callable[[dict[str, Any]], None] | None = None,
) -> Development:
    """Develop the births of a scenario under a rule and what takes part beside it, down to ``density``."""
    scenario, network = prepared.scenario, prepared.births()
    report = None if progress is None else (lambda step, steps, numbers: progress(stage, step, steps, numbers))
    return develop(
        network,
        prepared.drive,
        rule,
        schedule=replace(Schedule(**scenario.spec.schedule.model_dump()), density=density),
        homeostasis=_homeostasis(prepared),
        feedback=None if options.feedback is None else Feedback(network, options.feedback, scenario.seeds),
        seeds=scenario.seeds,
        recorder=Recorder(scenario.spec.moments, sink),
        progress=report,
        plasticity=options.plasticity,
        growth=options.growth,
        readout=options.readout,
        neuron_death=options.neuron_death(prepared.drive.clock.duration),
        exploration=options.exploration,
    )
