"""A transformer over the frames of an utterance that is read out at a learned first vector."""

from math import log

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from serenade.nn.masking import valid_steps

__all__ = ["SequenceEncoder"]

_LONGEST_WAVE = 10_000.0  # of the sinusoidal positions, in steps over 2 pi


class SequenceEncoder(nn.Module):
    """A learned vector put before the frames, post-norm transformer layers with ReLU, the output at that vector.

    Without positions the order of the frames does not matter.

    Args:
        width: D of a frame.
        num_layers: layers.
        num_heads: heads, a divisor of D.
        feed_forward: units of the inner layer.
        dropout: in attention and after both sublayers.
        sinusoidal: add the positions of Vaswani et al., NeurIPS 2017, to the frames; the first vector gets none.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        num_heads: int,
        feed_forward: int,
        dropout: float,
        *,
        sinusoidal: bool = False,
    ) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, num_heads, feed_forward, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.first = nn.Parameter(torch.randn(width))
        self.sinusoidal = sinusoidal

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """One vector per utterance.

        Args:
            frames: (S, D) frames of all utterances, one utterance after the other.
            lengths: (B,) int64 frames of each, 0 or more, S in sum; without frames only the first vector is read.

        Returns:
            (B, D); no utterance depends on another.
        """
        padded = pad_sequence(list(torch.split(frames, lengths.tolist())), batch_first=True)
        return self.encode_padded(padded, lengths)

    def encode_padded(self, frames: Tensor, lengths: Tensor | None) -> Tensor:
        """As `forward`, of frames that are padded already.

        Args:
            frames: (B, L, D).
            lengths: (B,) int64 valid frames; None attends to padding too.
        """
        if self.sinusoidal:
            frames = frames + _positions(frames)
        first = self.first.expand(len(frames), 1, -1).to(frames.dtype)
        hidden = torch.cat([first, frames], dim=1)
        padding = None if lengths is None else ~valid_steps(lengths + 1, hidden.shape[1])
        out: Tensor = self.encoder(hidden, src_key_padding_mask=padding)
        return out[:, 0]


def _positions(frames: Tensor) -> Tensor:
    """(L, D): sines at even places, cosines at odd ones."""
    length, width = frames.shape[1:]
    steps = torch.arange(length, device=frames.device)[:, None]
    places = torch.arange(width, device=frames.device)
    angles = steps * torch.exp(-log(_LONGEST_WAVE) * (places - places % 2) / width)
    return torch.where(places % 2 == 0, angles.sin(), angles.cos()).to(frames.dtype)
