"""Circuits that travel: to other simulators and libraries, and from them.

Each file of this package that has a ``FORMAT`` is a format; adding one needs no other change. So is a file of a user's, named
by its path or put into a folder ``formats`` where one stands.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from biosim import library
from biosim.circuit import Circuit
from biosim.errors import BiosimError, InputError, did_you_mean, first_line
from biosim.exchange.base import Format, Imported, Records, single, synapses

__all__ = ["Format", "Imported", "find", "formats", "read", "write"]


def formats() -> dict[str, Format]:
    """Return every format by name: those of this package, and those of files in the folder ``formats`` where one stands.

    Raises
    ------
    BiosimError
        When a file of that folder is none.
    """
    known, broken = _known()
    for error in broken.values():
        raise error
    return known


def _known() -> tuple[dict[str, Format], dict[str, BiosimError]]:
    """Return every format that can be used, by name, and by their files' names why others cannot."""
    found, broken = dict(_own()), {}
    for name, path in library.names("formats").items():
        try:
            form = _load(path)
        except BiosimError as error:
            broken[name] = error
        else:
            found[form.name] = form
    return dict(sorted(found.items())), broken


def _listed(known: Iterable[str], broken: Mapping[str, BiosimError]) -> str:
    return "; ".join([", ".join(known), *map(str, broken.values())])


@cache
def _own() -> dict[str, Format]:
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if isinstance(made := getattr(importlib.import_module(f"{__name__}.{module.name}"), "FORMAT", None), Format):
            found[made.name] = made
    return found


def _load(path: Path) -> Format:
    """Return the format of a file of one's own."""
    made = getattr(library.load_module(path), "FORMAT", None)
    if not isinstance(made, Format):
        raise BiosimError(f"{path}: a format's file has FORMAT = biosim.exchange.Format(...)")
    return made


def find(name: str, writing: bool) -> Format:
    """Return a format by its name, or that of a file by its path.

    Raises
    ------
    BiosimError
        When there is none, or it cannot be written (or read).
    """
    asked = f"{'--to' if writing else '--as'} {name}"
    if name.endswith(".py"):
        try:
            form = _load(library.find("formats", name))
        except InputError as error:
            raise BiosimError(f"{asked}: {error.message}") from None
        if (form.write if writing else form.read) is None:
            raise BiosimError(f"{name}: the format cannot be {'written' if writing else 'read'}")
        return form
    every, broken = _known()
    if name in broken:
        raise broken[name]
    known = {n: f for n, f in every.items() if (f.write if writing else f.read)}
    if name not in known:
        raise BiosimError(f"{asked}: unknown format{did_you_mean(name, list(known))}; there are: {_listed(known, broken)}")
    return known[name]


def write(
    circuit: Circuit, path: Path, form: str | Format, replicate: int | None = None, records: Records = (), force: bool = False
) -> int | None:
    """Write a circuit; the file (or folder) is whole or not there.

    Parameters
    ----------
    circuit : Circuit
    path : Path
        Must not be there yet, unless ``force``.
    form : str or Format
        The name of a format, or the path of its file.
    replicate : int, optional
        All of them when left out, where the format carries them; else the first.
    records : sequence of mapping
        The development's records, for formats that carry history.

    Returns
    -------
    replicate : int, optional
        Which one was written; None when all were.

    Raises
    ------
    BiosimError
        When the format does not exist or cannot carry the circuit, or the file cannot be written.
    """
    form = find(form, True) if isinstance(form, str) else form
    if replicate is not None and not 0 <= replicate < circuit.replicates:
        raise BiosimError(f"--replicate {replicate}: the circuit has {circuit.replicates}, counted from 0")
    if replicate is None and not form.replicates:
        replicate = 0
    chosen = circuit if replicate is None else single(circuit, replicate)
    if form.largest is not None and (count := synapses(chosen)) > form.largest:
        raise BiosimError(f"--to {form.name}: {count:.3g} synapses are more than the {form.largest:.3g} it can carry: {form.because}")
    if path.exists() and not force:
        raise BiosimError(f"{path} is there already; name another with --out, or overwrite it with --force")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise BiosimError(f"{path} is a device or a pipe, not a file; name another with --out")
    if path.is_dir() and (others := sorted({p.name for p in path.iterdir()} - set(form.parts))):
        raise BiosimError(f"{path} is a folder that holds other files, such as {others[0]}; name another with --out")
    aside = path.with_name(f".part-{path.name}")  # the ending stays: some writers look at it
    _remove(aside)
    assert form.write is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        form.write(chosen, aside, records)
        if not aside.exists():  # before what is there makes way
            raise BiosimError(f"{path} cannot be written: the format '{form.name}' left nothing at the path that it was given")
        if path.is_dir() or aside.is_dir():
            _remove(path)
        aside.replace(path)
    except BiosimError:
        raise
    except OSError as error:
        raise BiosimError(f"{path} cannot be written: {error.strerror or error}") from None
    except Exception as error:  # other people's writers raise whatever they like
        raise BiosimError(f"{path} cannot be written as {form.name}: {first_line(error)}") from error
    finally:
        _remove(aside)
    return replicate


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        path.unlink()


def _fits(form: Format, path: Path) -> bool:
    try:
        return form.recognise(path)
    except Exception:  # a damaged file, or a folder that is called like one
        return False


def read(path: Path, name: str | None = None) -> tuple[Imported, Format]:
    """Read a circuit from a file of any format.

    Raises
    ------
    BiosimError
        When the file is missing, damaged, too large, or of no format known here.
    """
    if not path.exists():
        raise BiosimError(f"{path}: there is no such file")
    if not os.access(path, os.R_OK):
        raise BiosimError(f"{path}: it may not be read")
    if name is not None:
        form = find(name, False)
    else:
        every, broken = _known()
        known = {n: f for n, f in every.items() if f.read is not None}
        fitting = [f for f in known.values() if _fits(f, path)]
        if len(fitting) != 1:
            found = f"it may be {' or '.join(f.name for f in fitting)}" if fitting else "no format known here fits it"
            raise BiosimError(f"{path}: {found}; say which with --as, one of: {_listed(known, broken)}")
        form = fitting[0]
    assert form.read is not None
    try:
        return form.read(path), form
    except InputError as error:  # says nothing of the file
        raise BiosimError(f"{path}: {error}") from None
    except BiosimError:
        raise
    except Exception as error:  # other people's readers raise whatever they like when a file is damaged
        raise BiosimError(f"{path}: cannot be read as {form.name}: {first_line(error)}") from None
