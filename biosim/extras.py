"""Optional packages: imported where they are used; a missing one says what to type."""

from __future__ import annotations

import importlib
from typing import Any

from biosim.errors import BiosimError


def need(module: str, extra: str) -> Any:
    """Return an optional module.

    Raises
    ------
    BiosimError
        When it is not installed, with the pip line that adds it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise BiosimError(f"{module} cannot be imported: {error}; mend it by: pip install --upgrade 'biosim[{extra}]'") from None
        raise BiosimError(f"{module} is not installed; add it by: pip install 'biosim[{extra}]'") from None
