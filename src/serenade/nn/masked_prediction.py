"""Masked prediction: which steps are hidden, and how well the network tells what was there.

W.-N. Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units", 2021,
arXiv 2106.07447.
"""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["draw_spans", "masked_losses"]


def draw_spans(lengths: Tensor, steps: int, share: float, span: int, generator: torch.Generator) -> Tensor:
    """Which steps are hidden: spans that may overlap, begun at drawn places, at least one in every sequence.

    As many spans as would hide `share` of a sequence if they did not overlap; an utterance shorter than a span is
    hidden whole but for one step, if it has more than one.

    Args:
        lengths: (B,) int64 valid steps, at least 1.
        steps: padded length.
        share: of the valid steps, in (0, 1].
        span: steps of a span.
        generator: on the CPU.

    Returns:
        (B, steps) bool, False in the padding.
    """
    masked = torch.zeros(len(lengths), steps, dtype=torch.bool)
    for row, length in enumerate(lengths.tolist()):
        long = min(span, max(1, length - 1))
        count = max(1, round(share * length / span))
        places = torch.randint(length - long + 1, (count,), generator=generator)
        masked[row, (places[:, None] + torch.arange(long)).flatten()] = True
    return masked


def masked_losses(
    scores: Tensor, mels: Tensor, clusters: Tensor, truth: Tensor, *, mel_weight: float
) -> dict[str, Tensor]:
    """What a step of pretraining lowers, and how often the cluster is right.

    Args:
        scores: (N, K) of the clusters of N masked steps.
        mels: (N, F) what the network takes their log-mel for.
        clusters: (N,) int64 true clusters.
        truth: (N, F) true log-mel, standardised.
        mel_weight: of the error of log-mel beside the cross-entropy.

    Returns:
        ``loss``, the sum; ``clusters``, cross-entropy in nats; ``mels``, mean absolute error in deviations;
        ``accuracy``, share of clusters told right, without gradient.
    """
    scores, mels = scores.float(), mels.float()
    cross_entropy = functional.cross_entropy(scores, clusters)
    error = functional.l1_loss(mels, truth)
    with torch.no_grad():
        accuracy = (scores.argmax(dim=1) == clusters).float().mean()
    return {
        "loss": cross_entropy + mel_weight * error,
        "clusters": cross_entropy,
        "mels": error,
        "accuracy": accuracy,
    }
