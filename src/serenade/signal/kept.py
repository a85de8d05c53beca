"""Decoded sound that is read once and kept as long as there is room."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from torch import Tensor

from serenade.core.errors import AudioError

__all__ = ["KeptWaveforms"]


class KeptWaveforms:
    """Waveforms by name; of those not used for the longest so many are forgotten that the rest keep to a bound.

    Threads may share it.

    Args:
        read: gives the waveform of a name.
        most_mb: bound of what is kept; one waveform is always kept.
    """

    def __init__(self, read: Callable[[str], Tensor], most_mb: float) -> None:
        self._read, self._most_bytes = read, round(most_mb * 2**20)
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, name: str) -> Tensor:
        with self._lock:
            if name not in self._kept:
                self._kept[name] = self._read(name)
            self._kept.move_to_end(name)
            while len(self._kept) > 1 and self.num_bytes > self._most_bytes:
                self._kept.popitem(last=False)
            return self._kept[name]

    def unusable(self, names: Iterable[str]) -> dict[str, AudioError]:
        """What is wrong with those that cannot be read, by name; all are read once."""
        failures = {}
        for name in names:
            try:
                self[name]
            except AudioError as error:
                failures[name] = error
        return failures

    @property
    def num_bytes(self) -> int:
        """Memory that the kept samples take."""
        return sum(waveform.nbytes for waveform in self._kept.values())
