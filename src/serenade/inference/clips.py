"""Emotions of a video clip from its faces, voice and words: fused, of each branch alone, and over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from serenade.core.clip_view import ClipView
from serenade.core.devices import choose_device
from serenade.core.errors import AudioError, UsageError
from serenade.core.records import UNKNOWN_SPEAKER, Utterance, Video
from serenade.core.settings import make_settings
from serenade.inference.shipped import find_model
from serenade.inference.transcripts import Spoken
from serenade.models.mesm import Mesm
from serenade.nn.cross_modal import kept_area
from serenade.signal.multimodal import MultimodalExample
from serenade.signal.video import video_duration
from serenade.systems import load_system
from serenade.systems.mesm import MesmSystem, MesmSystemSettings
from serenade.training.system import Example

__all__ = ["ClipRecognizer", "ClipScores", "require_windows"]


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What a clip, or a window of it, shows.

    Args:
        file: as the user gave it.
        whole: whether this is the clip as a whole, and not a window of it.
        start_s: where the stretch begins.
        end_s: where it ends.
        label: the most probable class.
        score: its probability.
        scores: probability of every class; they sum to 1.
        answers: probability of yes for every emotion by itself.
        said: the emotions whose answer is above the model's threshold.
        branches: the answers of each modality that is there by itself: text, face, audio.
        missing: what is not there, by modality, with the reason.
        notes: what a reader should know, such as that no face was found.
    """

    file: str
    whole: bool
    start_s: float
    end_s: float
    label: str
    score: float
    scores: Mapping[str, float]
    answers: Mapping[str, float]
    said: tuple[str, ...]
    branches: Mapping[str, Mapping[str, float]]
    missing: Mapping[str, str]
    notes: tuple[str, ...]

    def to_row(self) -> dict[str, Any]:
        """In the words of the output formats, rounded as they show it."""
        return {
            "file": self.file,
            "start": round(self.start_s, 3),
            "end": round(self.end_s, 3),
            "whole": self.whole,
            "label": self.label,
            "score": round(self.score, 6),
            "scores": _rounded(self.scores),
            "answers": _rounded(self.answers),
            "said": list(self.said),
            "branches": {name: _rounded(answers) for name, answers in self.branches.items()},
            "missing": dict(self.missing),
            "notes": list(self.notes),
        }


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


class ClipRecognizer:
    """Says which emotions face, voice and words of a clip show; made by `ClipRecognizer.load`.

    Args:
        system: a trained FE2E or MESM.
    """

    def __init__(self, system: MesmSystem) -> None:
        self._system = system
        self._device = next(system.network.parameters()).device

    @classmethod
    def load(cls, model: str | Path, *, device: str = "auto", detector: str | None = None) -> Self:
        """A recogniser from a model folder.

        Args:
            model: of FE2E or MESM.
            device: "auto", "cpu", "cuda" or "cuda:N".
            detector: what finds faces, instead of the model's own setting: auto, mtcnn, cascade or middle.

        Raises:
            CheckpointError: there is no such model, or it is damaged.
            UsageError: it is a model of another system, or there is no such detector.
        """
        system = load_system(find_model(model), choose_device(device))
        if not isinstance(system, MesmSystem):
            raise UsageError(
                "this model looks at sound alone", where=model, expected="a model of fe2e or mesm for clips"
            )
        if detector is not None:
            values = system.settings.model_dump() | {"detector": detector}
            system.settings = make_settings(MesmSystemSettings, values, where="what finds faces")
        return cls(system)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model looks at, in the order of its branches: text, face, audio, or some of them."""
        return self._system.network.modalities

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the scores."""
        return self._system.labels.names

    def __call__(
        self,
        file: str | Path,
        *,
        words: str | Sequence[Spoken] = "",
        window_s: float | None = None,
        hop_s: float | None = None,
    ) -> list[ClipScores]:
        """The clip as a whole, then its windows in order where a length is given.

        The clip is read once. A window takes the faces and pieces of sound that begin in it, and the words that are
        said in it; words without times belong to every window. A window of which nothing is there is left out.

        Args:
            file: a video, or a recording of sound.
            words: what is said.
            window_s: length of a window.
            hop_s: from the start of one window to the start of the next; None puts them side by side.

        Raises:
            AudioError: there is neither sound, nor a picture, nor a word.
            UsageError: a window or hop that is not positive, or a hop without a window.
        """
        require_windows(window_s, hop_s)
        path, spoken = Path(file), _spoken(words)
        if not path.is_file():
            raise AudioError("there is no such file", reason="missing", where=file)
        found = self._read(path, spoken)
        end_s = _duration(path, found)
        if not found.present:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in found.missing.items())
            raise AudioError("nothing of this clip can be scored", reason="empty", where=file, found=reasons)
        whole = self._scores(str(file), 0.0, end_s, found, whole=True)
        if window_s is None:
            return [whole]
        parts = self._windows(found, spoken, end_s, window_s, window_s if hop_s is None else hop_s)
        return [whole, *(self._scores(str(file), *part) for part in parts if part[2].present)]

    def view(self, file: str | Path, *, words: str | Sequence[Spoken] = "") -> ClipView:
        """What the model looked at in a clip: kept cells of MESM's blocks, attention over words.

        Args:
            file: a video, or a recording of sound.
            words: what is said.

        Raises:
            AudioError: there is neither sound, nor a picture, nor a word.
            UsageError: the model is FE2E, which looks at everything.
        """
        system = self._system
        body = system.network.body
        if not isinstance(body, Mesm):
            raise UsageError("this model looks at all cells alike", expected="a model of mesm")
        label = self(file, words=words)[0].label
        spoken = _spoken(words)
        found = self._read(Path(file), spoken)
        nobody = Utterance(found.id, Path(file), "", UNKNOWN_SPEAKER, None)
        inputs = system.collate([Example(nobody, system.inputs_of(found), None)]).to(self._device).inputs
        with torch.no_grad():
            selections = body.selections(**system.network.given(inputs))
            attention = system.network.text_vectors(inputs)[1][0, : len(found.tokens)]
        sizes = {"face": found.faces.pixels.shape[2:], "audio": found.pieces.shape[2:]}
        kept = {
            name: tuple(mask.cpu().numpy() for mask in kept_area(blocks, *sizes[name]))
            for name, blocks in selections.items()
            if blocks
        }
        return ClipView(
            file=str(file),
            label=label,
            faces=found.faces.pixels.permute(0, 2, 3, 1).numpy(),
            face_times_s=found.faces.times_s.numpy(),
            pieces=self._power(found.pieces)[:, 0].numpy(),
            piece_s=system.settings.inputs.pieces.piece_s,
            kept=kept,
            words=system.words_of(" ".join(one.text for one in spoken)) if len(found.tokens) else (),
            attention=attention.cpu().numpy(),
        )

    def _power(self, pieces: Tensor) -> Tensor:
        return pieces.expm1() if self._system.settings.inputs.pieces.log else pieces

    def _read(self, path: Path, spoken: Sequence[Spoken]) -> MultimodalExample:
        text = " ".join(one.text for one in spoken)
        return self._system.read(
            Utterance(path.stem, path, "", UNKNOWN_SPEAKER, None, text=text or None, video=Video(path))
        )

    def _windows(
        self, whole: MultimodalExample, spoken: Sequence[Spoken], end_s: float, window_s: float, hop_s: float
    ) -> list[tuple[float, float, MultimodalExample]]:
        count = max(1, int((end_s - 1e-6) // hop_s) + 1)
        places = [(number * hop_s, min(end_s, number * hop_s + window_s)) for number in range(count)]
        return [(start, end, self._part(whole, spoken, start, end)) for start, end in places]

    def _part(
        self, whole: MultimodalExample, spoken: Sequence[Spoken], start_s: float, end_s: float
    ) -> MultimodalExample:
        """What of a clip lies in a window."""
        begins = self._system.settings.inputs.pieces.piece_s * torch.arange(len(whole.pieces))
        seen = _within(whole.faces.times_s, start_s, end_s)
        faces = replace(
            whole.faces,
            pixels=whole.faces.pixels[seen],
            times_s=whole.faces.times_s[seen],
            boxes=whole.faces.boxes[seen],
            pictures=int(seen.sum()),
        )
        text = " ".join(one.text for one in spoken if one.end_s is None or _overlap(one, start_s, end_s))
        tokens = whole.tokens[:0]
        if text and len(whole.tokens):
            tokens, _ = self._system.tokeniser.encode(text, self._system.settings.inputs.text.max_tokens)
        return replace(whole, pieces=whole.pieces[_within(begins, start_s, end_s)], faces=faces, tokens=tokens)

    def _scores(
        self, file: str, start_s: float, end_s: float, found: MultimodalExample, *, whole: bool = False
    ) -> ClipScores:
        system = self._system
        nobody = Utterance(found.id, Path(file), "", UNKNOWN_SPEAKER, None)
        with torch.inference_mode():
            batch = system.collate([Example(nobody, system.inputs_of(found), None)]).to(self._device)
            outputs = system.predict(batch)
        fused, *branches = torch.split(outputs.embeddings[0], len(self.labels))
        answers = system.answer_probabilities(fused[None])[0].cpu()
        probabilities = self._named(outputs.probabilities[0].cpu())
        label = max(probabilities, key=probabilities.__getitem__)
        above = (answers > system.network.thresholds.cpu()).tolist()
        return ClipScores(
            file=file,
            whole=whole,
            start_s=start_s,
            end_s=end_s,
            label=label,
            score=probabilities[label],
            scores=probabilities,
            answers=self._named(answers),
            said=tuple(name for name, yes in zip(self.labels, above, strict=True) if yes),
            branches={
                name: self._named(system.answer_probabilities(scores[None])[0].cpu())
                for name, scores in zip(system.network.modalities, branches, strict=True)
                if name in found.present
            },
            missing={str(name): reason for name, reason in found.missing.items()},
            notes=found.notes,
        )

    def _named(self, values: Tensor) -> dict[str, float]:
        return dict(zip(self.labels, values.tolist(), strict=True))


def require_windows(window_s: float | None, hop_s: float | None) -> None:
    """Pass if windows have a length, and a hop a window.

    Raises:
        UsageError: they do not.
    """
    lengths = [length for length in (window_s, hop_s) if length is not None]
    if (window_s is None and hop_s is not None) or not all(0 < length < inf for length in lengths):
        raise UsageError(
            "a window has a length above 0, and a hop goes with one",
            found=f"a window of {window_s} s, a hop of {hop_s} s",
        )


def _within(times_s: Tensor, start_s: float, end_s: float) -> Tensor:
    return (times_s >= start_s - 1e-6) & (times_s < end_s - 1e-6)


def _overlap(spoken: Spoken, start_s: float, end_s: float) -> bool:
    return spoken.end_s is not None and spoken.start_s < end_s and spoken.end_s > start_s


def _spoken(words: str | Sequence[Spoken]) -> list[Spoken]:
    return [Spoken(words)] if isinstance(words, str) else list(words)


def _duration(path: Path, found: MultimodalExample) -> float:
    """Of the sound, or of the picture where there is no sound or it ends before the last picture."""
    heard_s = 0.0 if found.duration_s is None else found.duration_s
    if not len(found.faces.times_s) or float(found.faces.times_s[-1]) < heard_s:
        return heard_s
    return max(float(found.faces.times_s[-1]), video_duration(path) or 0.0)
