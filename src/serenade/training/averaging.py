"""An exponential moving average of the weights: steadier scores from epoch to epoch than the weights themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """``average <- decay * average + (1 - decay) * weights`` after every step, buffers of normalisation included.

    The decay of step t is ``min(decay, (1 + t) / (10 + t))``, so that the first steps do not hold the average back
    (Tarvainen and Valpola, 2017, use the same ramp). With decay 0 the average is the weights themselves.

    Args:
        network: whose weights are averaged.
        decay: share of the past, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.tensors = _copies(network.state_dict()) if decay else {}

    def update(self) -> None:
        """Take in the weights after a step."""
        if not self.decay:
            return
        self.steps += 1
        share = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.tensors[name].lerp_(tensor, 1 - share)
                else:
                    self.tensors[name].copy_(tensor)

    def restore(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Go on from an interrupted run."""
        self.tensors, self.steps = dict(tensors), steps

    def weights(self) -> dict[str, Tensor]:
        """A copy of the average; of the weights where nothing is averaged."""
        return _copies(self.tensors if self.decay else self.network.state_dict())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network holds the average inside, its own weights again afterwards."""
        if not self.decay:
            yield
            return
        own = _copies(self.network.state_dict())
        self.network.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self.network.load_state_dict(own)


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
