"""Tables of names: what a user may write for a model, corpus, system or command, and where it lives."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, cast

from serenade.core.errors import UnknownNameError

__all__ = ["NameTable", "did_you_mean", "nearest"]

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest in spelling to `name`, upper and lower case alike, or None where nothing is close."""
    spellings = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), spellings, n=1, cutoff=0.5)
    return spellings[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint of an error about an unknown name, where a known one is close."""
    close = nearest(name, known)
    return f"Did you mean {close!r}?" if close else None


class NameTable(Generic[T]):
    """A table from names to ``"module:attribute"``, resolved on use so that nothing heavy is imported before.

    Args:
        kind: what the names stand for, in the singular; used in messages.
        entries: pairs of name and target; a name given twice is an error.
    """

    def __init__(self, kind: str, entries: Iterable[tuple[str, str]]) -> None:
        self.kind = kind
        self._targets: dict[str, str] = {}
        for name, target in entries:
            if name in self._targets:
                raise ValueError(f"the {kind} {name!r} is registered twice")
            self._targets[name] = target

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def target(self, name: str) -> str:
        """The ``"module:attribute"`` of a name.

        Raises:
            UnknownNameError: the table does not hold the name.
        """
        if name not in self._targets:
            raise UnknownNameError(
                f"there is no {self.kind} called {name!r}",
                expected=f"one of {', '.join(self._targets)}",
                hint=did_you_mean(name, self._targets),
            )
        return self._targets[name]

    def resolve(self, name: str) -> T:
        """Import what the name stands for.

        Raises:
            UnknownNameError: the table does not hold the name.
        """
        module, _, attribute = self.target(name).partition(":")
        return cast(T, getattr(importlib.import_module(module), attribute))
