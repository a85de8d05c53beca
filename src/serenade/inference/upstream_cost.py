"""What an upstream is, how quick it is on this machine, and what the extraction of a corpus would cost."""

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from serenade.core.errors import SerenadeError
from serenade.core.records import Utterance
from serenade.models.upstreams.engine_choice import EngineSpeed
from serenade.models.upstreams.engines import EngineName, deviation, with_engine
from serenade.models.upstreams.text import TEN_WORDS
from serenade.models.upstreams.upstream import Upstream
from serenade.signal.audio import SAMPLE_RATE, read_audio

__all__ = [
    "ExtractionCost",
    "UpstreamFacts",
    "describe_upstream",
    "expected_frames",
    "extraction_cost",
    "measure_engine",
    "measure_speed",
    "text_cost",
    "trial_speed",
]

_BYTES_PER_NUMBER = 2  # frames are stored in float16
_GIB = 2**30
_FEWEST_CLIPS = 2
_TRIALS = 20


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
        most_tokens: to how many tokens a transcript is cut; None for upstreams of speech.
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
    most_tokens: int | None = None


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
    longest, rate = upstream.most_samples, max(1, upstream.sample_rate)
    is_text = upstream.modality == "text"
    return UpstreamFacts(
        kind=upstream.kind,
        weights=len(upstream.state_dict()),
        parameters=sum(parameter.numel() for parameter in upstream.parameters()),
        num_layers=upstream.num_layers,
        dim=upstream.dim,
        modality=upstream.modality,
        frame_rate=upstream.frame_rate,
        sample_rate=upstream.sample_rate,
        shortest_s=upstream.least_samples / rate,
        longest_s=None if longest is None or is_text else longest / rate,
        most_tokens=longest if is_text else None,
    )


def measure_speed(upstream: Upstream, *, clip_s: float = 5.0, budget_s: float = 5.0) -> float:
    """Seconds of sound, or transcripts, per second of wall time, clips one by one; the median of some clips.

    Args:
        upstream: on the device to measure, in evaluation mode.
        clip_s: length of a clip of noise; transcripts have ten words.
        budget_s: no further clip is begun after so long; at least two are measured after one to warm up.

    Raises:
        UsageError: the clip is too short or too long for the upstream.
    """
    device = next((parameter.device for parameter in upstream.parameters()), torch.device("cpu"))
    if upstream.modality == "text":
        clip, amount = upstream.prepare_text(TEN_WORDS)[None].to(device), 1.0
    else:
        noise = torch.randn(round(clip_s * upstream.sample_rate), generator=torch.Generator().manual_seed(0))
        clip, amount = upstream.prepare(noise, upstream.sample_rate)[None].to(device), clip_s
    lengths = torch.tensor([clip.shape[1]], device=device)
    return amount / _median_time(upstream, clip, lengths, budget_s)


def trial_speed(upstream: Upstream, utterances: Sequence[Utterance], *, budget_s: float = 3.0) -> float:
    """Seconds of sound per second for recordings of a corpus, one by one, reading included.

    Args:
        upstream: of speech, on the device to measure, in evaluation mode.
        utterances: of known lengths; some from all over are tried.
        budget_s: no further one is begun after so long.
    """
    device = next((parameter.device for parameter in upstream.parameters()), torch.device("cpu"))
    sound_s, began = 0.0, math.inf
    for place in range(_TRIALS):
        utterance = utterances[place * len(utterances) // _TRIALS]
        started = time.perf_counter()
        with suppress(SerenadeError):  # what cannot be read or taken is told by the extraction
            waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
            one = upstream.prepare(waveform, SAMPLE_RATE)[None].to(device)
            _time(upstream, one, torch.tensor([one.shape[1]], device=device))
            if place:  # the first one warms up
                began = min(began, started)
                sound_s += len(waveform) / SAMPLE_RATE
        if time.perf_counter() - began > budget_s:
            break
    return sound_s / (time.perf_counter() - began) if sound_s else math.inf


def measure_engine(upstream: Upstream, engine: EngineName, *, clip_s: float, budget_s: float = 5.0) -> EngineSpeed:
    """Speed of an engine, and how far its frames are from those of torch in float32.

    Args:
        upstream: on the CPU, in evaluation mode.
        engine: one of `engines_for(upstream)`.
        clip_s: length of a clip of noise; transcripts have ten words.
        budget_s: no further clip is begun after so long.

    Raises:
        UsageError: the clip is too short or too long, or the engine cannot compute this upstream.
    """
    other = with_engine(upstream, engine)
    speed = measure_speed(other, clip_s=clip_s, budget_s=budget_s)
    return EngineSpeed(engine, speed, deviation(upstream, other, clip_s))


def expected_frames(upstream: Upstream, utterances: Sequence[Utterance]) -> int:
    """Frames that an upstream of speech will give for recordings of known lengths."""
    samples = [round((utterance.duration_s or 0.0) * upstream.sample_rate) for utterance in utterances]
    return int(upstream.num_frames(torch.tensor(samples)).sum())


def _median_time(upstream: Upstream, inputs: torch.Tensor, lengths: torch.Tensor, budget_s: float) -> float:
    _time(upstream, inputs, lengths)  # to warm up
    spent: list[float] = []
    while len(spent) < _FEWEST_CLIPS or sum(spent) < budget_s:
        spent.append(_time(upstream, inputs, lengths))
    return statistics.median(spent)


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


def text_cost(facts: UpstreamFacts, transcripts: float, tokens: int, speed: float) -> ExtractionCost:
    """What extracting transcripts costs.

    Args:
        facts: of a text encoder.
        transcripts: how many.
        tokens: of all of them.
        speed: transcripts per second.
    """
    one_layer = tokens * facts.dim * _BYTES_PER_NUMBER / _GIB
    return ExtractionCost(transcripts / speed / 3600, one_layer, facts.num_layers * one_layer)
