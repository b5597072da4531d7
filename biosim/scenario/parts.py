"""The Python files that a scenario names: what each must offer, and the arguments that the scenario gives it."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from biosim.arguments import checked_arguments
from biosim.errors import InputError, Key
from biosim.library import Kind, find, load_module


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file: part of a run's id."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Part:
    """A file that a scenario names, and the arguments of its function; call it to call that with them.

    Attributes
    ----------
    module : module
    function : callable
    arguments : mapping
        Checked against the function's signature.
    sha256 : str
        Of the file.
    """

    module: ModuleType
    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    sha256: str

    def __call__(self, *given: Any, **beside: Any) -> Any:
        """Call the function with what biosim gives it and what the scenario does."""
        return self.function(*given, **self.arguments, **beside)

    @property
    def metrics(self) -> dict[str, str]:
        """What the file measures, with one line on each."""
        return dict(self.module.METRICS)

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of this name."""
        return name in inspect.signature(self.function).parameters

    def also(self, name: str, **beside: Any) -> Callable[..., Any] | None:
        """Return another function of the file, with those of the arguments, and of ``beside``, that it takes too; None without one."""
        function = getattr(self.module, name, None)
        if function is None:
            return None
        known = inspect.signature(function).parameters
        return functools.partial(function, **{n: v for n, v in {**beside, **self.arguments}.items() if n in known})


@dataclass(frozen=True)
class Role:
    """What a file must offer to be named in a section of a scenario.

    Attributes
    ----------
    section, key : str
        Where the scenario names it.
    folder : str
        Where such files are found.
    function : str
    takes : tuple of str
        What biosim gives the function, by position; the scenario gives the rest, by keyword.
    what : str
        What the errors call it.
    measures : bool
        Whether it says in METRICS what it finds.
    beside : str
        What there is that is no file.
    """

    section: str
    folder: Kind
    function: str
    takes: tuple[str, ...]
    what: str
    key: str = "name"
    measures: bool = False
    beside: str = ""

    def read(self, name: str, given: Mapping[str, Any] | None, errors: list[InputError]) -> Part | None:
        """Load the file of this name; where it is not what is needed, or is not given what it takes, file every error."""
        place = (self.section, self.key)
        try:
            path = find(self.folder, name)
        except InputError as error:
            errors.append(InputError(error.message + self.beside, place))
            return None
        module = load_module(path)
        function = self._function(module, path, place, errors)
        measures = not self.measures or isinstance(getattr(module, "METRICS", None), Mapping)
        if not measures:
            errors.append(InputError(f"{path} has no METRICS, a mapping of what it measures to one line on each", place))
        if function is None or not measures:
            return None
        arguments, wrong = checked_arguments(function, given or {}, self.section, name)
        errors += wrong
        return Part(module, function, arguments, file_hash(path))

    def _function(self, module: ModuleType, path: Path, place: Key, errors: list[InputError]) -> Callable[..., Any] | None:
        function: Callable[..., Any] | None = getattr(module, self.function, None)
        wanted = f"{self.function}({', '.join(self.takes)}, *, ...)"
        if function is None:
            errors.append(InputError(f"{path} has no function {wanted}", place))
            return None
        parameters = inspect.signature(function).parameters.values()
        given = [p.name for p in parameters if p.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        if len(given) != len(self.takes):
            errors.append(InputError(f"{path} has {self.function}({', '.join(given)}, *, ...); {self.what} needs {wanted}", place))
            return None
        return function


MODEL = Role("model", "models", "build", ("inputs", "outputs", "seeds"), "a network that images are shown to")
DRIVEN_MODEL = Role("model", "models", "build", ("seeds",), "a network that such a drive runs")
SPIKING_MODEL = Role("model", "models", "build", ("seeds",), "a spiking network")
DRIVE = Role("drive", "drives", "drive", ("network",), "a drive", key="kind", beside="; and images")
MEASURE = Role("measure", "measures", "measure", ("development", "drive"), "a measure", measures=True)
STUDY = Role("study", "studies", "run", ("seeds",), "a study", measures=True)
