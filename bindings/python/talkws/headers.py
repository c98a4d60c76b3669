"""HTTP headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Union

__all__ = ["Headers", "HeadersLike", "MultipleValuesError"]


class MultipleValuesError(LookupError):
    """One value of a header was asked for, and there are several."""


class Headers(MutableMapping[str, str]):
    """Headers, to be looked up in any case of their names.

    One name may have several values: :meth:`get_all` gives them all, and setting a header adds
    one. ``headers[name]`` gives the value of a header that has one; otherwise it raises
    ``KeyError`` or :exc:`MultipleValuesError`.

    >>> headers = Headers({"Content-Type": "text/plain"})
    >>> headers["content-type"]
    'text/plain'

    Values are text in ISO-8859-1, in which every sequence of bytes means something.
    """

    __slots__ = ("_items",)

    def __init__(self, headers: HeadersLike = (), /) -> None:
        self._items: list[tuple[str, str]]
        if isinstance(headers, Headers):
            self._items = list(headers._items)
        elif isinstance(headers, Mapping):
            self._items = list(headers.items())
        else:
            self._items = [(name, value) for name, value in headers]

    def get_all(self, name: str) -> list[str]:
        """All values of a header in their order; an empty list when there is none."""
        name = name.lower()
        return [value for found, value in self._items if found.lower() == name]

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """All headers as pairs of name and value, as they came and in their order."""
        return iter(self._items)

    def copy(self) -> Headers:
        """Headers of their own with the same values."""
        return Headers(self)

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        if len(values) > 1:
            raise MultipleValuesError(name)
        return values[0]

    def __setitem__(self, name: str, value: str) -> None:
        self._items.append((name, value))

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        lower = name.lower()
        self._items = [item for item in self._items if item[0].lower() != lower]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._items))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._items})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        names = set(self)
        return names == set(other) and all(
            self.get_all(name) == other.get_all(name) for name in names
        )

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self._items) + "\r\n"

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"


HeadersLike = Union[Headers, Mapping[str, str], Iterable[tuple[str, str]]]
"""What can be given as headers."""
