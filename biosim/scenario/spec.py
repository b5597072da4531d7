"""What a scenario file may say, as types: one class a section, unknown keys refused."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from biosim.lif import EncodingKind
from biosim.nursery.exploration import Exploration
from biosim.nursery.growth import Growth
from biosim.nursery.neurons import Without
from biosim.schedule import Schedule, ScheduleKind

TimeText = str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


class ModelSpec(BaseModel):
    """``model:`` a file of ``models/`` and the arguments of its ``build``."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    name: str = Field(description="name of a file in models/, or a path ending in .py")


class DriveSpec(_Strict):
    """``drive:`` what the network is shown."""

    kind: Literal["images"] = Field("images", description="labelled images in shuffled batches")
    dataset: str = Field("digits", description="digits, fashion-mnist, mnist, teacher, a folder of IDX files, or an .npz file")
    batch: int = Field(128, ge=1, description="samples a step")
    epochs: int = Field(30, ge=1, description="passes over the training images")
    presentation: TimeText = Field("50 ms", description="how long one image is shown")
    train_size: int | None = Field(None, ge=1, description="use a fixed subset of this many training images")
    encoding: EncodingKind | None = Field(None, description="how pixels become spikes, for spiking models; poisson when left out")
    peak_rate: str | float | None = Field(
        None, description="spiking models: rate of the input neuron of the brightest pixel, such as 400 Hz"
    )
    centred: bool | None = Field(None, description="spiking models: tonic inhibition cancels the mean brightness; it does when left out")
    validation: float = Field(0.0, ge=0, lt=1, description="hold out this share of the training images and evaluate on it")


class ScheduleSpec(_Strict):
    """``schedule:`` when synapses may die, and how many."""

    kind: ScheduleKind = "decreasing-rate"
    density: float = Field(0.2, gt=0, le=1, description="share of birth synapses left at the end")
    opens: float = Field(Schedule.opens, ge=0, le=1)
    closes: float = Field(Schedule.closes, ge=0, le=1)
    active_at_most: float | None = Field(None, gt=0, le=1, description="share that may transmit at first; the density when left out")
    rounds: int | None = Field(None, ge=1, description="the target moves only at the end of each of so many parts of the window")


class HomeostasisSpec(_Strict):
    """``homeostasis:`` what neurons do to their own gain."""

    kind: Literal["in-degree", "incoming-resource", "synaptic-scaling"]
    target: float = Field(0.5, gt=0, description="synaptic-scaling: mean activity aimed at")
    tau: TimeText = Field("10 % dev", description="synaptic-scaling: time constant")


class GrowthSpec(_Strict):
    """``growth:`` births are candidates; how many exist at first, and what forms the others."""

    rule: str | dict[str, Any] | None = Field(None, description="where synapses form: random-growth, or the rule itself if it regrows")
    start: float = Field(Growth.start, gt=0, le=1, description="share of the candidates that exists at first")
    until: float = Field(Growth.until, gt=0, le=1, description="share of development in which synapses form")
    peak: float = Field(Growth.peak, gt=0, le=1, description="share of the candidates that has formed by then")


class NeuronDeathSpec(_Strict):
    """``neuron_death:`` when a hidden neuron dies with its synapses."""

    without: Without = Field("inputs-or-outputs", description="dies once it has none of these left")
    inactive_for: TimeText | None = Field(None, description="dies once it has been inactive for this long, such as 10 % dev")


class ExplorationSpec(_Strict):
    """``exploration:`` how neurons explore, under rules that read ``noise_post`` or ``advantage``."""

    deviation: float = Field(Exploration.deviation, gt=0, description="size of a neuron's noise, in units of its summed input")
    readout_share: float = Field(Exploration.readout_share, ge=0, le=1, description="share of the samples in which the readout explores")


class LocalSpec(_Strict):
    """``rules:`` a further local rule, developed on the same births, with what takes part beside it."""

    rule: str | dict[str, Any] = Field(description="as the scenario's rule; or all, for every pruning rule not written out")
    label: str | None = Field(None, pattern=r"^[A-Za-z][\w-]*$", description="what tables and checks call it; else the rule's name")
    plasticity: str | dict[str, Any] | None = None
    readout: str | dict[str, Any] | None = None
    exploration: ExplorationSpec | None = None


class RivalSpec(BaseModel):
    """``rivals:`` a scorer with options."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    name: str = Field(description="a scorer, or all")
    label: str | None = Field(None, pattern=r"^[A-Za-z][\w-]*$", description="what tables and checks call it; the name when left out")


class RetrainSpec(_Strict):
    """``retrain:`` how survivors are trained for the retrained regime."""

    epochs: int | None = Field(None, ge=1, description="passes over the training images; as the drive when left out")
    rate: float = Field(0.1, gt=0, description="learning rate, falling to zero along a half cosine")
    momentum: float = Field(0.9, ge=0, lt=1)
    decay: float = Field(0.0, ge=0, description="weight decay")
    clip: float = Field(1.0, gt=0, description="largest norm of a gradient")


class ComparisonsSpec(_Strict):
    """``comparisons:`` is the local circuit the one a rival finds? Each is searched several times on the same births."""

    rivals: list[str] | None = Field(None, description="labels of the rivals compared with the local circuit; all when left out")
    searches: int = Field(3, ge=1, le=100, description="searches by each method on every birth; two or more give a ceiling")
    measures: list[Literal["overlap", "profiles", "flow", "function", "causal"]] = Field(
        ["overlap", "profiles", "flow", "function", "causal"], min_length=1, description="families of measures"
    )
    nulls: int = Field(100, ge=2, le=100_000, description="draws of every null")
    samples: int = Field(500, ge=10, description="at most this many of the images evaluated on are shown")


class CheckSpec(_Strict):
    """``checks:`` an inequality that must hold in at least 80 % of the replicates."""

    name: str
    value: str
    needs: str


class ExperimentSpec(_Strict):
    """What every scenario file may say."""

    kind: ClassVar[str]
    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$")
    question: str = ""
    source: str = ""
    headline: str = ""
    replicates: int = Field(5, ge=1, le=10_000)
    seed: int = Field(0, ge=0, le=2**32 - 1, description="search seed of replicate 0; replicate k uses seed + k")
    checks: list[CheckSpec] = Field(default_factory=list)


class ConditionsSpec(ExperimentSpec):
    """A scenario file with ``conditions:``, beside the sections of the experiment that they change."""

    kind = "conditions"
    conditions: dict[Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*$")], dict[str, Any]] = Field(
        min_length=2, description="by name, the keys that each changes: low: {schedule.density: 0.1}"
    )


class _FileSpec(BaseModel):
    """A file and the arguments of its function; the name alone where it is given none."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class StudySpec(_FileSpec):
    """``study:`` a file of ``studies/`` and the arguments of its ``run``."""

    name: str = Field(description="name of a file in studies/, or a path ending in .py")


class StudyScenarioSpec(ExperimentSpec):
    """A scenario file with a ``study:``."""

    kind = "study"
    study: StudySpec


class SimulationSpec(_Strict):
    """``simulation:`` how long a spiking network lives, and how often its synapses are judged."""

    duration: TimeText = Field(description="of development, in the network's own time, such as 60 s")
    decide_every: TimeText = Field("1 s", description="how often conditions on synapses are judged")
    window: TimeText = Field("2 s", description="how long rates and irregularity are measured, weights frozen, as born and as it ended")
    tau_activity: TimeText = Field("20 ms", description="time constant of the filtered rates that rate rules sense")
    precision: Literal["float32", "float64"] = "float32"
    rate_cap: float = Field(300.0, gt=0, description="Hz; a population that fires faster has exploded, and the run stops")


class NetworkSpec(ExperimentSpec):
    """A scenario file with a ``model:`` that is born and develops."""

    model: ModelSpec
    births_seed: int | None = Field(None, ge=0, le=2**32 - 1, description="births seed of replicate 0; the seed when left out")
    moments: int = Field(50, ge=1, le=10_000, description="how many times development is recorded")


class SpikingSpec(NetworkSpec):
    """A scenario file in which a spiking network lives and loses synapses."""

    kind = "spiking"
    simulation: SimulationSpec
    rules: dict[str, str | dict[str, Any]] = Field(min_length=1, description="the rule of each plastic projection")
    schedule: ScheduleSpec | None = Field(None, description="how many synapses competitions leave; conditions alone decide without")


class DevelopingSpec(NetworkSpec):
    """What every scenario says in which a network develops step by step under a rule."""

    rule: str | dict[str, Any]
    plasticity: str | dict[str, Any] | None = Field(None, description="equations that change weights while synapses die; frozen without")
    growth: GrowthSpec | None = Field(None, description="synapses form before they are lost; all births exist from the start without")
    neuron_death: NeuronDeathSpec | None = Field(None, description="hidden neurons die too; none does without")
    schedule: ScheduleSpec = Field(default_factory=ScheduleSpec)  # type: ignore[arg-type]
    homeostasis: list[HomeostasisSpec] = Field(default_factory=list)


class ActivityDriveSpec(BaseModel):
    """``drive:`` of an activity scenario: a file of ``drives/`` and the arguments of its ``drive``."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    kind: str = Field(description="name of a file in drives/, or a path ending in .py")


class MeasureSpec(_FileSpec):
    """``measure:`` a file of ``measures/`` and the arguments of its ``measure``."""

    name: str = Field(description="name of a file in measures/, or a path ending in .py")


class ActivitySpec(DevelopingSpec):
    """A scenario file in which a network develops from activity of any kind, and is judged by a measure of its own."""

    kind = "activity"
    drive: ActivityDriveSpec
    measure: MeasureSpec
    schedule: ScheduleSpec = Field(default_factory=lambda: ScheduleSpec(kind="free", opens=0, closes=1))  # type: ignore[call-arg]


class ScenarioSpec(DevelopingSpec):
    """A scenario file in which a network that is shown images develops."""

    kind = "development"
    drive: DriveSpec = Field(default_factory=DriveSpec)  # type: ignore[arg-type]
    readout: str | dict[str, Any] | None = Field(None, description="rule for the synapses that end in the readout; the rule without")
    exploration: ExplorationSpec | None = Field(None, description="how neurons explore, for rules that do")
    homeostasis: list[HomeostasisSpec] = Field(default_factory=lambda: [HomeostasisSpec(kind="in-degree")])  # type: ignore[call-arg]
    rules: list[str | LocalSpec] = Field(default_factory=list, description="further local rules to develop on the same births")
    rivals: list[str | RivalSpec] = Field(default_factory=list)
    densities: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=list, description="densities of rivals beside the local one"
    )
    local_densities: bool = Field(False, description="develop the local rule anew at each of the densities too")
    retrain: RetrainSpec | None = Field(None, description="also train every circuit's survivors from their birth weights")
    comparisons: ComparisonsSpec | None = Field(None, description="compare circuits over several searches on the same births")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files of every kind."""
    schema: dict[str, Any] = TypeAdapter(ScenarioSpec | ActivitySpec | SpikingSpec | StudyScenarioSpec).json_schema()
    conditions = ConditionsSpec.model_json_schema()["properties"]["conditions"]
    for kind in (ScenarioSpec, ActivitySpec, SpikingSpec, StudyScenarioSpec):
        schema["$defs"][kind.__name__]["properties"]["conditions"] = conditions
    return schema
