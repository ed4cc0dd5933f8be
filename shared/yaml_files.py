"""YAML files that people write, and where in one something stands, to tell who has to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from shared.errors import NeedsAPerson


class ConfigurationInvalid(NeedsAPerson):
    """The file cannot be used; `mistakes` says each one as "file:line: path: what is allowed"."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class Mapping(Struct, frozen=True):
    """What stands in a file: a mapping, as values and as YAML's own nodes."""

    data: dict[str, Any]
    root: yaml.Node


def text_of(path: Path, hint: str = "") -> str:
    """The file's text. Raises ConfigurationInvalid, with `hint` behind the reason."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationInvalid([f"{path}: cannot be read: {reason}{hint}"]) from None


def mapping_in(text: str, name: str, expected: str) -> Mapping:
    """The mapping written in `text`, a file called `name`; `expected` says which fields it has.

    Raises ConfigurationInvalid, also where a key stands twice: YAML would take the last in silence.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationInvalid([f"{name}:{line}: not YAML: {error.problem or error}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationInvalid([f"{name}: not YAML: {error}"]) from None
    if not isinstance(data, dict) or root is None:
        raise ConfigurationInvalid([f"{name}:1: a mapping with {expected} is expected"])
    if twice := list(_keys_twice(root, (), set())):
        raise ConfigurationInvalid([f"{name}:{line}: {at}: stands twice; once" for line, at in twice])
    return Mapping(data, root)


def where(root: yaml.Node, at: Sequence[str | int]) -> tuple[int, list[str | int]]:
    """The line of the deepest part of the path `at` that is in the file, and that part; steps in between that
    are not in it are passed over."""
    node, path, line = root, list[str | int](), 1
    for step in at:
        if isinstance(step, int) and isinstance(node, yaml.SequenceNode) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
            path.append(step)
        elif isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == step), None)
            if entry is not None:
                line, node = entry[0].start_mark.line + 1, entry[1]
                path.append(step)
    return line, path


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: `targets[2].checks[0].port`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _keys_twice(node: yaml.Node, at: tuple[str | int, ...], seen: set[int]) -> Iterator[tuple[int, str]]:
    if id(node) in seen:
        return  # an alias: looked at where it is anchored
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if key.value in keys:
                yield key.start_mark.line + 1, dotted((*at, key.value))
            keys.add(key.value)
            yield from _keys_twice(value, (*at, key.value), seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _keys_twice(value, (*at, number), seen)
