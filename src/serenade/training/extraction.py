"""Frames of frozen upstreams, computed in batches of similar length into a `FrameStore`.

What is stored already is not computed again, so an extraction that was interrupted goes on where it was.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from serenade.core.errors import AudioError, UsageError
from serenade.core.records import LeftOut, Utterance
from serenade.signal.audio import SAMPLE_RATE, read_audio
from serenade.training.buckets import length_batches, padding_waste
from serenade.training.frame_store import FrameNumbers, FrameStore, FrameWriter, StoreKind

__all__ = ["Extraction", "ExtractionProgress", "Frozen", "FrozenFrames", "extract_frames", "frame_key", "store_kind"]

_BATCH_S = 20.0  # seconds of padded sound in a batch
_BATCH_TOKENS = 2048

ExtractionProgress = Callable[[float, float], None]
"""Seconds of sound (for text: transcripts) that are done, and all there are to do."""


class FrozenFrames(Protocol):
    """What `Frozen` gives for a batch."""

    @property
    def layers(self) -> tuple[Tensor, ...]:
        """(B, L, D) each."""
        ...

    @property
    def lengths(self) -> Tensor:
        """(B,) int64 valid frames."""
        ...


class Frozen(Protocol):
    """An upstream as extraction sees it; `models.upstreams.upstream.Upstream` is one."""

    kind: str
    dim: int
    num_layers: int
    sample_rate: int
    most_samples: int | None

    @property
    def modality(self) -> str:
        """ "speech" or "text"."""
        ...

    @property
    def frame_rate(self) -> float | None:
        """Frames per second."""
        ...

    def identity(self) -> str:
        """Changes with whatever the frames depend on."""
        ...

    def prepare(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """A (T,) waveform as the network wants it."""
        ...

    def prepare_text(self, text: str) -> Tensor:
        """(T,) tokens of a transcript."""
        ...

    def __call__(self, waveforms: Tensor, lengths: Tensor) -> FrozenFrames:
        """Frames of a padded batch."""
        ...


@dataclass(frozen=True, slots=True)
class Extraction:
    """How an extraction ended.

    Args:
        new: recordings or transcripts whose frames were computed now.
        known: utterances whose frames were there already, or are those of another one.
        left_out: utterances that give no frame, with the reason.
        new_s: seconds of sound computed now; 0 for text.
        seconds: that it took.
        waste: share of the padded batches that was padding.
    """

    new: int
    known: int
    left_out: tuple[LeftOut, ...]
    new_s: float
    seconds: float
    waste: float


def store_kind(
    upstream: Frozen, layers: Sequence[int], *, engine: str = "float32", numbers: FrameNumbers = "float16"
) -> StoreKind:
    """What a store of an upstream's layers holds."""
    return StoreKind(
        upstream=upstream.identity(),
        kind=upstream.kind,
        dim=upstream.dim,
        layers=tuple(layers),
        frame_rate=upstream.frame_rate,
        engine=engine,
        numbers=numbers,
    )


def frame_key(utterance: Utterance, modality: str) -> str | None:
    """Under which the frames of an utterance are stored: what is heard or said, not how it is called.

    None for a text encoder where there is no transcript.

    Raises:
        UsageError: the recording was not examined when the corpus was read.
    """
    if modality == "text":
        text = (utterance.text or "").strip()
        return sha256(text.encode()).hexdigest()[:32] if text else None
    if utterance.content is None:
        raise UsageError(
            "frames are stored under the content of a recording, which is not known",
            where=utterance.id,
            hint="Read the corpus with examine",
        )
    return utterance.content


def extract_frames(
    upstream: Frozen,
    utterances: Sequence[Utterance],
    store: FrameStore,
    *,
    device: torch.device | None = None,
    batch_s: float = _BATCH_S,
    progress: ExtractionProgress | None = None,
) -> Extraction:
    """Put the frames of all utterances into a store; call it again after an interruption.

    Args:
        upstream: in evaluation mode, on the device.
        utterances: of any length; recordings of any rate and format.
        store: of this upstream.
        device: where to compute; None for the CPU.
        batch_s: most seconds of padded sound that go through the network at a time.
        progress: told after every batch.

    Raises:
        TrainingError: the upstream gave frames that are not finite.
        StorageError: the disk is full or refuses.
        UsageError: the store is of something else.
    """
    began = time.perf_counter()
    wanted, left_out, known = _wanted(upstream, utterances, store)
    if not wanted:
        return Extraction(0, known, tuple(left_out), 0.0, time.perf_counter() - began, 0.0)
    with store.writing() as writer:
        wanted, left_out, known = _wanted(upstream, utterances, store)  # while waiting another process may have done it
        new, shapes = _extract(upstream, wanted, store, writer, left_out, device, batch_s, progress)
    new_s = 0.0 if upstream.modality == "text" else sum(map(sum, shapes)) / upstream.sample_rate
    return Extraction(new, known, tuple(left_out), new_s, time.perf_counter() - began, padding_waste(shapes))


def _extract(
    upstream: Frozen,
    wanted: Sequence[tuple[str, Utterance]],
    store: FrameStore,
    writer: FrameWriter,
    left_out: list[LeftOut],
    device: torch.device | None,
    batch_s: float,
    progress: ExtractionProgress | None,
) -> tuple[int, list[list[int]]]:
    """How many utterances were computed, and the lengths in each batch."""
    is_text = upstream.modality == "text"
    sizes = [_size(upstream, utterance) for _, utterance in wanted]
    total_s = len(wanted) if is_text else sum(sizes) / SAMPLE_RATE
    budget = _BATCH_TOKENS if is_text else round(batch_s * SAMPLE_RATE)
    done_s, new = 0.0, 0
    shapes: list[list[int]] = []
    for places in length_batches(sizes, budget):
        items = list(_prepared(upstream, [wanted[place] for place in places], left_out))
        if items:
            shapes.append([len(inputs) for _, inputs in items])
            new += _compute(upstream, items, store, writer, device, left_out)
        done_s += len(places) if is_text else sum(sizes[place] for place in places) / SAMPLE_RATE
        if progress is not None:
            progress(done_s, total_s)
    return new, shapes


_Item = tuple[tuple[str, Utterance], Tensor]


def _wanted(
    upstream: Frozen, utterances: Sequence[Utterance], store: FrameStore
) -> tuple[list[tuple[str, Utterance]], list[LeftOut], int]:
    """Key and utterance of what is not stored yet, what cannot be, and how many are stored."""
    wanted: dict[str, Utterance] = {}
    left_out, known = [], 0
    for utterance in utterances:
        key = frame_key(utterance, upstream.modality)
        if key is None:
            left_out.append(LeftOut(utterance.id, "no text", "it has no transcript"))
        elif key in store or key in wanted:
            known += 1
        else:
            wanted[key] = utterance
    return list(wanted.items()), left_out, known


def _size(upstream: Frozen, utterance: Utterance) -> int:
    """Tokens, or samples at 16 kHz, of an utterance."""
    if upstream.modality == "text":
        return len(upstream.prepare_text(utterance.text or ""))
    return round(SAMPLE_RATE * (utterance.duration_s or 0.0))


def _prepared(upstream: Frozen, wanted: Sequence[tuple[str, Utterance]], left_out: list[LeftOut]) -> Iterator[_Item]:
    """What goes into the network; what the upstream does not take is left out."""
    for key, utterance in wanted:
        try:
            yield (key, utterance), _inputs(upstream, utterance)
        except AudioError as error:
            left_out.append(LeftOut(utterance.id, error.reason, error.what))
        except UsageError as error:  # shorter or longer than it takes
            seconds = utterance.duration_s or 0.0
            is_long = upstream.most_samples is not None and seconds * upstream.sample_rate > upstream.most_samples / 2
            left_out.append(
                LeftOut(utterance.id, "too long" if is_long else "too short", f"{error.what}: {error.found}")
            )


def _inputs(upstream: Frozen, utterance: Utterance) -> Tensor:
    if upstream.modality == "text":
        return upstream.prepare_text(utterance.text or "")
    waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
    return upstream.prepare(waveform, SAMPLE_RATE)


def _compute(
    upstream: Frozen,
    items: Sequence[_Item],
    store: FrameStore,
    writer: FrameWriter,
    device: torch.device | None,
    left_out: list[LeftOut],
) -> int:
    """Frames of one batch into the store; return of how many utterances."""
    inputs = pad_sequence([item for _, item in items], batch_first=True)
    lengths = torch.tensor([len(item) for _, item in items])
    with torch.inference_mode():
        found = upstream(inputs.to(device), lengths.to(device))
        chosen = torch.stack([found.layers[place] for place in store.kind.layers], dim=1)  # (B, layers, L, D)
    frames = found.lengths.tolist()
    short = [place for place, count in enumerate(frames) if count == 0]
    left_out += [LeftOut(items[place][0][1].id, "too short", "it gives no frame") for place in short]
    new = [(items[place][0][0], chosen[place, :, :count]) for place, count in enumerate(frames) if count]
    writer.add(new)
    return len(new)
