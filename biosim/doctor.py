"""What this installation has, what it lacks, and the command that adds it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from biosim.errors import BiosimError
from biosim.processes.launch import usable_cores

DATA = ("digits", "fashion-mnist", "mnist")
PROGRAMS = {  # what is asked of the system: names to look for, what for, where it comes from
    "browser": (
        ("chromium", "chromium-browser", "google-chrome", "chrome"),
        "checks of the pages in a browser",
        "add it by: apt-get install chromium",
    ),
    "C++ compiler": (("g++", "clang++"), "Brian2's fast targets", "add it by: apt-get install g++"),
    "Slurm": (("sbatch",), "biosim sweep --on slurm", "a cluster's login node has it"),
}


def diagnosis() -> list[str]:
    """Return lines on packages by extra, programs, threads, devices and data sets."""
    lines = [f"biosim {version('biosim')} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    return [*lines, *_packages(), *_programs(), *_machine(), *_data()]


def needs() -> dict[str, list[Requirement]]:
    """Return what biosim needs, under no name, and what each of its extras adds."""
    found: dict[str, list[Requirement]] = {"": []}
    for text in requires("biosim") or []:
        wanted = Requirement(text)
        named = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", str(wanted.marker or ""))
        found.setdefault(named[1] if named else "", []).append(wanted)
    return dict(sorted(found.items()))


def _packages() -> Iterator[str]:
    for extra, every in needs().items():
        present, missing = [], []
        for wanted in every:
            try:
                have = version(wanted.name)
            except PackageNotFoundError:
                missing.append(wanted.name)
                continue
            old = not wanted.specifier.contains(have, prereleases=True)
            present.append(f"{wanted.name} {have}" + (f" (not {wanted.specifier})" if old else ""))
            missing += [f"{wanted.name}{wanted.specifier}"] * old
        title = f"extra {extra}" if extra else "needed"
        yield f"{title}: {', '.join(present) or 'nothing of it is installed'}"
        if missing:
            remedy = f"pip install 'biosim[{extra}]'" if extra else "pip install --upgrade biosim"
            yield f"  missing: {', '.join(missing)}; add by: {remedy}"


def _programs() -> Iterator[str]:
    for what, (candidates, purpose, remedy) in PROGRAMS.items():
        found = next((path for name in candidates if (path := shutil.which(name))), None)
        yield f"{what}: {found}" if found else f"{what}: none, for {purpose}; {remedy}"


def _machine() -> Iterator[str]:
    import numba
    import torch

    yield f"cores: {usable_cores()} of {os.cpu_count()}; threads: torch {torch.get_num_threads()}, numba {numba.get_num_threads()}"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield f"memory: {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(k)
            yield f"GPU: {properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    else:
        yield f"GPU: {_no_gpu(torch.version.cuda)}"


def _no_gpu(built: str | None) -> str:
    """Say why torch sees no GPU."""
    if shutil.which("nvidia-smi") is None:
        return "none"
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"torch (CUDA {built}) finds none, and nvidia-smi does not answer: {error}"
    if listed and built is None:
        return f"{listed.splitlines()[0]}, but this torch is built for the CPU; add by: pip install --force-reinstall torch (a CUDA build)"
    return f"torch (CUDA {built}) finds none" + (f", though the driver lists {listed.splitlines()[0]}" if listed else "")


def _data() -> Iterator[str]:
    from biosim.drives.images import load_images

    for name in DATA:
        try:
            images = load_images(name)
            yield f"data {name}: {len(images.train)} + {len(images.test)} images from {images.source}"
        except BiosimError as error:
            yield f"data {name}: {error}"
