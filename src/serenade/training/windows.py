"""Features of whole utterances as windows of a fixed number of frames, padded into batches with their valid lengths."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from serenade.core.labels import LabelSet
from serenade.training.batches import collate
from serenade.training.system import Batch, Example

__all__ = ["collate_windows", "random_crop", "windows_of"]


def windows_of(features: Tensor, frames: int) -> Tensor:
    """Consecutive windows without overlap, the last one aligned with the end.

    Args:
        features: (N, F, L), L at least 1; N is 1 where L exceeds `frames`.
        frames: of a window.

    Returns:
        (N, F, L) as it is where L is at most `frames`, else (W, F, frames).
    """
    length = features.shape[2]
    if length <= frames:
        return features
    starts = [*range(0, length - frames, frames), length - frames]
    return torch.cat([features[:, :, start : start + frames] for start in starts])


def random_crop(features: Tensor, frames: int, generator: Generator) -> Tensor:
    """(N, F, L) as it is where L is at most `frames`, else so many neighbouring frames of it, a view."""
    spare = features.shape[2] - frames
    if spare <= 0:
        return features
    start = int(torch.randint(spare + 1, (), generator=generator))
    return features[:, :, start : start + frames]


def collate_windows(
    items: Sequence[Example], frames: int, *, reach: int | None, voted: LabelSet | None = None
) -> Batch:
    """Windows of all items along the first axis, filled up with zeros, and how many frames of each are valid.

    Args:
        items: examples whose features are (N, F, L); other inputs, with one axis, are put together as they are.
        frames: of a window; longer features are cut.
        reach: fill up to so many frames behind the longest window of the batch, at most to `frames`; None fills up to
            `frames`.
        voted: the classes, where the votes of raters are the targets.

    Returns:
        A batch with ``NAME: (sum of lengths, F, L)`` float32 and ``NAME_frames: (sum of lengths,)`` int64 for every
        input NAME.
    """
    cut = [_cut(item, frames) for item in items]
    longest = max(tensor.shape[2] for item in cut for tensor in item.inputs.values() if tensor.ndim == 3)
    width = frames if reach is None else min(frames, longest + reach)
    return collate([_padded(item, width) for item in cut], voted)


def _cut(item: Example, frames: int) -> Example:
    inputs = {name: windows_of(tensor, frames) if tensor.ndim == 3 else tensor for name, tensor in item.inputs.items()}
    return Example(item.utterance, inputs, item.target)


def _padded(item: Example, width: int) -> Example:
    inputs: dict[str, Tensor] = {}
    for name, tensor in item.inputs.items():
        if tensor.ndim != 3:
            inputs[name] = tensor
            continue
        windows, _, length = tensor.shape
        inputs[name] = functional.pad(tensor.float(), (0, width - length))
        inputs[f"{name}_frames"] = torch.full((windows,), length)
    return Example(item.utterance, inputs, item.target)
