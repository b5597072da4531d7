"""Where scorers come from: biosim itself, plugins, the folder ``scorers/`` here, or a file named by its path."""

from __future__ import annotations

import ast
import hashlib
import importlib
import re
import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from biosim.errors import BiosimError, InputError, did_you_mean
from biosim.library import load_module, names

GROUP = "biosim.scorers"
_DEFINES = re.compile(r"^class Scorer\b(?!\(Protocol\))", re.MULTILINE)  # other files of the package are parts of these


@dataclass(frozen=True)
class Source:
    """One scorer, not yet imported.

    Attributes
    ----------
    name : str
        As tables and checks write it.
    path : Path
        Its file.
    module : str or None
        Its importable module; None for a file outside any package.
    own : bool
        Whether biosim ships it: then its version says what the file holds.
    """

    name: str
    path: Path
    module: str | None
    own: bool = False

    @property
    def about(self) -> str:
        """The module's docstring, read without running the file."""
        try:
            return ast.get_docstring(ast.parse(self.path.read_text())) or ""
        except (OSError, SyntaxError, ValueError) as error:
            return f"cannot be read: {error}"

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def load(self) -> ModuleType:
        """Import it.

        Raises
        ------
        InputError
            When it cannot be imported or has no ``Scorer``.
        """
        try:
            module = importlib.import_module(self.module) if self.module else load_module(self.path)
        except BiosimError as error:
            raise InputError(str(error), ("name",)) from None
        except ImportError as error:
            raise InputError(f"scorer '{self.name}' of {self.path} cannot be imported: {error}", ("name",)) from error
        if not isinstance(getattr(module, "Scorer", None), type):
            raise InputError(f"{self.path} has no class Scorer with scope, level and score(), or level and make()", ("name",))
        return module


def sources() -> dict[str, Source]:
    """Return every scorer known by name: biosim's own, those of ``biosim.scorers`` entry points, those in ./scorers/.

    An entry point names a module that holds a ``Scorer``. The first of a name wins, in this order.
    """
    folder = Path(__file__).parent / "scorers"
    found = {}
    for path in folder.glob("*.py"):
        if _DEFINES.search(path.read_text()):
            found[_spelled(path.stem)] = Source(_spelled(path.stem), path, f"biosim.scorers.{path.stem}", own=True)
    for point in entry_points(group=GROUP):
        plugin = _plugin(point)
        if plugin is not None:
            found.setdefault(plugin.name, plugin)
    for name, path in names("scorers").items():
        found.setdefault(name, Source(name, path, None))
    return dict(sorted(found.items()))


def _plugin(point: EntryPoint) -> Source | None:
    try:
        spec = find_spec(point.module)
        if spec is None or spec.origin is None:
            raise ImportError(f"there is no module {point.module}")
        return Source(_spelled(point.name), Path(spec.origin), point.module)
    except Exception as error:  # a broken plugin must not break everybody else
        owner = point.dist.name if point.dist else "unknown"
        warnings.warn(f"plugin '{point.name}' of distribution '{owner}' cannot be loaded: {error}", stacklevel=2)
        return None


def find_source(name: str) -> Source:
    """Return a scorer by name, or by the path of its file.

    Raises
    ------
    InputError
        When there is none; the message lists what there is.
    """
    if name.endswith(".py"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise InputError(f"there is no scorer file {name}", ("name",))
        return Source(_spelled(path.stem), path, None)
    known = sources()
    if name not in known:
        listing = ", ".join(known)
        raise InputError(
            f"unknown rival '{name}'{did_you_mean(name, list(known))}; there are: {listing}, or a path ending in .py", ("name",)
        )
    return known[name]


def _spelled(name: str) -> str:
    return name.replace("_", "-")
