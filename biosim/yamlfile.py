"""YAML 1.2 with the line of every key, so that an error can say where it is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biosim.errors import BiosimError, Key, dotted

MOST = 1_000_000  # values of a file


@dataclass(frozen=True)
class Document:
    """A YAML mapping and where it was read from."""

    path: Path
    data: dict[str, Any]
    tree: Any

    def line(self, key: Key) -> int:
        """Return the line (from 1) of the deepest part of ``key`` that the file has."""
        node, line = self.tree, 1
        for part in key:
            try:
                place = node.lc.item(part) if isinstance(part, int) else node.lc.key(part)
                line, node = place[0] + 1, node[part]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
        return line

    def locate(self, key: Key) -> str:
        """Return ``file:line: key`` for an error message."""
        place = f"{self.path}:{self.line(key)}"
        return f"{place}: {dotted(key)}" if key else place


def read_yaml(path: Path) -> Document:
    """Read a YAML file that holds one mapping.

    Raises
    ------
    BiosimError
        When it cannot be read or is not a mapping; the message names the file and the line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BiosimError(f"{path}: cannot be read: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise BiosimError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except Exception as error:  # ruamel lets some mistakes through as whatever they lead to
        raise BiosimError(f"{path}: not valid YAML: {(str(error) or type(error).__name__).splitlines()[0]}") from None
    if _too_large(tree):
        raise BiosimError(f"{path}: not valid YAML: its aliases stand for more than {MOST} values")
    if not isinstance(tree, dict):
        raise BiosimError(f"{path}:1: expected 'key: value' lines, found {'nothing' if tree is None else type(tree).__name__}")
    return Document(path, plain(tree), tree)


def _too_large(tree: Any) -> bool:
    """Return whether a tree has more than ``MOST`` nodes once its aliases are written out; stops counting there."""
    waiting, count = [tree], 0
    while waiting and count <= MOST:
        node = waiting.pop()
        count += 1
        waiting += list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else ()
    return count > MOST


def plain(node: Any) -> Any:
    """Return ruamel's tree as plain dicts, lists, strings and numbers."""
    if isinstance(node, dict):
        return {str(k): plain(v) for k, v in node.items()}
    if isinstance(node, list):
        return [plain(v) for v in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
