"""Where in a YAML file something stands, to tell a person who has to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml


def keys_twice(node: yaml.Node, at: tuple[str | int, ...] = ()) -> Iterator[tuple[int, str]]:
    """The line and path of every key that stands twice in its mapping: YAML takes the last in silence."""
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if key.value in keys:
                yield key.start_mark.line + 1, _dotted((*at, key.value))
            keys.add(key.value)
            yield from keys_twice(value, (*at, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from keys_twice(value, (*at, number))


def where(root: yaml.Node, at: Sequence[str | int]) -> tuple[int, str]:
    """The line of the deepest part of the path `at` that is in the file, and that part, dotted."""
    node, path, line = root, list[str | int](), 1
    for step in at:
        if isinstance(step, int) and isinstance(node, yaml.SequenceNode) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == step), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        else:
            break
        path.append(step)
    return line, _dotted(path)


def _dotted(path: Sequence[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
