"""Dictionaries kept in an order: what concerns the present is at their end, however long history is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Rank = Callable[[K, V], Any]


def place(found: dict[K, V], key: K, value: V, rank: Rank[K, V]) -> None:
    """Puts `value` under `key` where `rank(key, value)` belongs in `found`, which ascends by it."""
    found.pop(key, None)
    mine, later = rank(key, value), list[tuple[K, V]]()
    while found:
        last = found.popitem()
        if rank(*last) <= mine:
            found[last[0]] = last[1]
            break
        later.append(last)
    found[key] = value
    found.update(reversed(later))


def since(found: dict[K, V], first: Any, rank: Rank[K, V]) -> list[tuple[K, V]]:
    """The items whose rank is `first` or above, in order."""
    items: list[tuple[K, V]] = []
    for key in reversed(found):
        if rank(key, found[key]) < first:
            break
        items.append((key, found[key]))
    return items[::-1]


def by_key(key: K, value: object) -> K:
    """The rank of what ascends by its keys."""
    del value
    return key
