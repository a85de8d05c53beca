"""Recurrent layers over padded sequences."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

__all__ = ["PackedBlstm"]


class PackedBlstm(nn.Module):
    """One bidirectional LSTM layer that goes through the valid steps of each sequence only.

    Args:
        width: D of the steps.
        units: H per direction.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, units, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor, lengths: Tensor | None) -> Tensor:
        """States of both directions side by side.

        Args:
            steps: (B, L, D).
            lengths: (B,) int64 valid steps, at least 1; None where all are valid.

        Returns:
            (B, L, 2 H), 0 where there is padding.
        """
        if lengths is None:
            states: Tensor = self.lstm(steps)[0]
            return states
        packed = pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
        unpacked: tuple[Tensor, Tensor] = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=steps.shape[1]
        )
        return torch.as_tensor(unpacked[0])
