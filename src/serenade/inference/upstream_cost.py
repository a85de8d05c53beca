"""What an upstream is, how quick it is on this machine, and what the extraction of a corpus would cost."""

import statistics
import time
from dataclasses import dataclass

import torch

from serenade.models.upstreams.upstream import Upstream

__all__ = ["ExtractionCost", "UpstreamFacts", "describe_upstream", "extraction_cost", "measure_speed"]

_BYTES_PER_NUMBER = 2  # frames are stored in float16
_GIB = 2**30
_FEWEST_CLIPS = 2


@dataclass(frozen=True)
class UpstreamFacts:
    """What an upstream is.

    Attributes:
        kind: its architecture.
        weights: how many tensors were loaded; there are no others.
        parameters: how many numbers are in its parameters.
        num_layers: blocks + 1.
        dim: numbers in a frame.
        modality: what it takes, "speech" or "text".
        frame_rate: frames per second; None where they are not evenly spaced in time.
        sample_rate: of the waveforms it takes, in hertz.
        shortest_s: the shortest recording it takes.
        longest_s: the longest, None where there is no limit.
    """

    kind: str
    weights: int
    parameters: int
    num_layers: int
    dim: int
    modality: str
    frame_rate: float | None
    sample_rate: int
    shortest_s: float
    longest_s: float | None


@dataclass(frozen=True)
class ExtractionCost:
    """What extracting a corpus costs.

    Attributes:
        hours: of computing.
        one_layer_gib: of disk for one layer in float16.
        all_layers_gib: of disk for all layers in float16.
    """

    hours: float
    one_layer_gib: float
    all_layers_gib: float


def describe_upstream(upstream: Upstream) -> UpstreamFacts:
    """What an upstream is."""
    longest = upstream.most_samples
    return UpstreamFacts(
        kind=upstream.kind,
        weights=len(upstream.state_dict()),
        parameters=sum(parameter.numel() for parameter in upstream.parameters()),
        num_layers=upstream.num_layers,
        dim=upstream.dim,
        modality=upstream.modality,
        frame_rate=upstream.frame_rate,
        sample_rate=upstream.sample_rate,
        shortest_s=upstream.least_samples / upstream.sample_rate,
        longest_s=None if longest is None else longest / upstream.sample_rate,
    )


def measure_speed(upstream: Upstream, *, clip_s: float = 5.0, budget_s: float = 5.0) -> float:
    """Seconds of sound per second of wall time, clips one by one, in single precision; the median of some clips.

    Args:
        upstream: on the device to measure, in evaluation mode.
        clip_s: length of a clip of noise.
        budget_s: no further clip is begun after so long; at least two are measured after one to warm up.

    Raises:
        UsageError: the clip is too short or too long for the upstream.
    """
    device = next(upstream.parameters()).device
    noise = torch.randn(round(clip_s * upstream.sample_rate), generator=torch.Generator().manual_seed(0))
    clip = upstream.prepare(noise, upstream.sample_rate)[None].to(device)
    lengths = torch.tensor([clip.shape[1]], device=device)
    _time(upstream, clip, lengths)
    spent: list[float] = []
    while len(spent) < _FEWEST_CLIPS or sum(spent) < budget_s:
        spent.append(_time(upstream, clip, lengths))
    return clip_s / statistics.median(spent)


def _time(upstream: Upstream, clip: torch.Tensor, lengths: torch.Tensor) -> float:
    began = time.perf_counter()
    with torch.inference_mode():
        upstream(clip, lengths).last.cpu()  # waits for a device that computes on its own
    return time.perf_counter() - began


def extraction_cost(facts: UpstreamFacts, corpus_hours: float, speed: float) -> ExtractionCost:
    """What extracting a corpus costs; the room of frames that are not evenly spaced in time is not told.

    Args:
        facts: of the upstream.
        corpus_hours: of speech.
        speed: seconds of sound per second.
    """
    frame_rate = 0.0 if facts.frame_rate is None else facts.frame_rate
    one_layer = corpus_hours * 3600 * frame_rate * facts.dim * _BYTES_PER_NUMBER / _GIB
    return ExtractionCost(corpus_hours / speed, one_layer, facts.num_layers * one_layer)
