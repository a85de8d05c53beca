"""Frames of several upstreams side by side, whatever their rates."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from serenade.core.errors import UsageError

__all__ = ["RateRule", "concatenate_frames", "frames_at_rate", "require_one_rate", "resample_frames"]

RateRule = Literal["refuse", "resample"]
"""What becomes of sequences of different rates: an error, or frames at the times of the first sequence."""

_MOST_DIFFERENCE = 1  # frames by which sequences of one rate may differ in length


def resample_frames(frames: Tensor, lengths: Tensor, ratio: float, new_lengths: Tensor) -> Tensor:
    """Frames at other times: linear between the two nearest, the first and the last one held beyond the ends.

    Frame t is taken to stand for the stretch from t to t + 1 hops, so frame t of the new sequence is the old one at
    ``(t + 1/2) ratio - 1/2``. With ratio 2 it is the mean of two frames, with ratio 1 the frame itself.

    Args:
        frames: (B, L, D).
        lengths: (B,) int64 valid frames, at least 1.
        ratio: old frames per new frame.
        new_lengths: (B,) int64 valid frames of the result, at least 1.

    Returns:
        (B, longest of the new lengths, D); what stands in its padding is of no meaning, but finite.
    """
    return frames_at_rate(frames, lengths, ratio, int(new_lengths.max()))


def frames_at_rate(frames: Tensor, lengths: Tensor, ratio: float, count: int) -> Tensor:
    """The first `count` frames, which may be a symbol while a graph is made, of `resample_frames`."""
    steps = torch.arange(count, device=frames.device)
    places = ((steps + 0.5) * ratio - 0.5).clamp_min(0)[None].minimum(lengths[:, None] - 1)  # (B, L')
    below = places.floor().long()
    above = (below + 1).minimum(lengths[:, None] - 1)
    share = (places - below)[:, :, None].to(frames.dtype)
    rows = torch.arange(frames.shape[0], device=frames.device)[:, None]
    return frames[rows, below] * (1 - share) + frames[rows, above] * share


def concatenate_frames(
    frames: Sequence[Tensor], lengths: Sequence[Tensor], rates: Sequence[float], rule: RateRule = "refuse"
) -> tuple[Tensor, Tensor]:
    """Frame t of every sequence side by side.

    Sequences of one rate are cut to the shortest of them, utterance by utterance, and may differ by one frame, as
    their receptive fields do. With the rule "resample" all others get frames at the times of the first one, as many as
    that has.

    Args:
        frames: (B, L, D) of each sequence.
        lengths: (B,) int64 valid frames of each.
        rates: frames per second of each.
        rule: what becomes of sequences whose rate is not that of the first.

    Returns:
        (B, L', sum of D) and its (B,) valid frames.

    Raises:
        UsageError: the rates differ and are not to be resampled, or the lengths differ by more than one frame.
    """
    if rule == "refuse":
        require_one_rate(rates)
        shortest = torch.stack(list(lengths)).amin(dim=0)
        _require_close(lengths, shortest)
        longest = int(shortest.max())
        return torch.cat([each[:, :longest] for each in frames], dim=2), shortest
    first = lengths[0]
    aligned = [
        resample_frames(each, valid, rate / rates[0], first)
        for each, valid, rate in zip(frames, lengths, rates, strict=True)
    ]
    return torch.cat(aligned, dim=2), first


def require_one_rate(rates: Sequence[float]) -> None:
    """Pass if all sequences have the same rate."""
    if len(set(rates)) > 1:
        raise UsageError(
            "frames of different rates cannot stand side by side",
            found=", ".join(f"{rate:g} per second" for rate in rates),
            hint="Use late fusion, or frame_rates = resample, which takes all to the times of the first branch",
        )


def _require_close(lengths: Sequence[Tensor], shortest: Tensor) -> None:
    most = int((torch.stack(list(lengths)) - shortest).max())
    if most > _MOST_DIFFERENCE:
        raise UsageError(
            "the frames of the branches do not belong together",
            found=f"their numbers differ by {most}",
            expected=f"at most {_MOST_DIFFERENCE}",
            hint="Use late fusion, or frame_rates = resample",
        )
