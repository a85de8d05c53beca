"""LF-LSTM, LF-TRANS, EmoEmbs and MulT whole: hand-crafted features of words, voice and face, fused.

Baselines of W. Dai et al., "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021; EmoEmbs: W. Dai et
al., AACL 2020; MulT: Y.-H. H. Tsai et al., ACL 2019. The networks are in `models.hand_crafted`.

Features, with the reasons for deviations: the paper's are GloVe vectors, 142 values of DisVoice per 0.40 s and 35
action units of OpenFace per picture. Words: a file of vectors that the user has, else vectors by spelling. Voice: mean
and deviation of MFCC per 0.40 s, or openSMILE's functionals of the whole. Face: action units from tables that the user
has made with OpenFace. All are standardised on the training part of a fold.

Target numbers (the published split of IEMOCAP, mean accuracy / F1): LF-LSTM 71.8 / 49.5, LF-TRANS 78.8 / 50.3.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from serenade.core.errors import CorpusError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.settings import Settings
from serenade.models.hand_crafted import EmoEmbs, LfLstm, LfTrans, Mult, SequenceNetwork, SequenceSettings
from serenade.models.mesm import Frames
from serenade.models.mesm_settings import Modality
from serenade.signal.audio import SAMPLE_RATE, read_audio
from serenade.signal.features import FrontEnd, MfccSettings, build_front_end
from serenade.signal.functionals import opensmile_functionals, opensmile_version, opensmile_width
from serenade.signal.word_vectors import WORD_WIDTH, WordVectors
from serenade.training.fusion_system import FusionNetwork, FusionSettings, FusionSystem, Judged
from serenade.training.settings import TrainingSettings
from serenade.training.system import Example

__all__ = ["HandCraftedNetwork", "HandCraftedSettings", "HandCraftedSystem"]

_NETWORKS: Mapping[str, type[SequenceNetwork]] = {
    "lf_lstm": LfLstm,
    "lf_trans": LfTrans,
    "emoembs": EmoEmbs,
    "mult": Mult,
}
_UNITS = 35  # action units of OpenFace: 17 intensities, 18 presences
_WINDOW_S = 0.4
_LEAST_SAMPLES = 2048  # of one analysis window
_LEAST_STD = 1e-5
_RAVDESS = re.compile(r"0[123](?=(-\d\d){6}$)")  # the number of the medium, the only one that differs within a take


class HandCraftedSettings(Settings):
    """Settings of these systems; the defaults are LF-LSTM as published, but for the features."""

    modalities: tuple[Modality, ...] = Field(("text", "audio", "face"), min_length=1)
    network: SequenceSettings = SequenceSettings()
    audio: Literal["mfcc", "egemaps"] = Field(
        "mfcc",
        description="mfcc: mean and deviation of 26 coefficients per 0.40 s; egemaps: openSMILE's functionals of the "
        "whole utterance",
    )
    word_vectors: Path | None = Field(
        None, description="file with a word and 300 numbers a line, such as GloVe's; unset: vectors by spelling"
    )
    face_units: Path | None = Field(
        None,
        description="action units: a CSV with an utterance's id and 35 values a line, several lines of an id in their "
        "order, or a folder of OpenFace's tables, ID.csv",
    )
    fusion: FusionSettings = FusionSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=60,
        batch_size=32,
        learning_rate=5e-4,
        learning_rate_decay=1.0,
        weight_decay=0.0,
        clip_norm=2.0,
        criterion="f1",
        patience=8,
        channels_last=False,
    )

    @model_validator(mode="after")
    def _modalities_fit(self) -> Self:
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"name each modality once: found {', '.join(self.modalities)}")
        if self.network.kind == "mult" and len(self.modalities) < 2:
            raise ValueError("network.kind = mult needs two modalities or three")
        return self


class HandCraftedNetwork(FusionNetwork):
    """Standardisation and network: all that has weights or is fitted.

    Args:
        num_classes: K.
        widths: D of the features of each modality.
        body: the network.
    """

    def __init__(self, num_classes: int, widths: Mapping[Modality, int], body: SequenceNetwork) -> None:
        super().__init__(num_classes, tuple(widths))
        self.body = body
        for name, width in widths.items():
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_std", torch.ones(width))

    def fit_scale(self, modality: str, rows: Tensor) -> None:
        """Take mean and deviation of (N, D) rows of a modality; a feature that does not vary stays as it is."""
        std = rows.std(0, unbiased=False)
        self.get_buffer(f"{modality}_mean").copy_(rows.mean(0))
        self.get_buffer(f"{modality}_std").copy_(torch.where(std > _LEAST_STD, std, 1.0))

    def judge(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Judged:
        """Scores of a batch."""
        frames = {name: Frames(self._scaled(name, inputs[name]), inputs[f"{name}_lengths"]) for name in self.modalities}
        return Judged(*self.body.judge(frames, present))

    def _scaled(self, modality: str, rows: Tensor) -> Tensor:
        return (rows - self.get_buffer(f"{modality}_mean")) / self.get_buffer(f"{modality}_std")


class HandCraftedSystem(FusionSystem):
    """One of these systems as the training loop and the recogniser see it.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings_class: type[Settings] = HandCraftedSettings
    settings: HandCraftedSettings
    network: HandCraftedNetwork

    def __init__(self, settings: HandCraftedSettings, labels: LabelSet) -> None:
        super().__init__(settings.fusion, settings.training, labels)
        self.settings = settings
        self.front_end: FrontEnd = build_front_end(MfccSettings())
        sound = opensmile_width("eGeMAPSv02") if settings.audio == "egemaps" else 2 * self.front_end.num_features
        widths: dict[Modality, int] = {"text": WORD_WIDTH, "audio": sound, "face": _UNITS}
        self.widths: dict[Modality, int] = {name: widths[name] for name in settings.modalities}
        self.empty = {name: torch.zeros(0, widths[name]) for name in ("audio", "face", "text") if name in self.widths}
        self.network = HandCraftedNetwork(len(labels), self.widths, self._body())

    def _body(self) -> SequenceNetwork:
        kind = self.settings.network.kind
        if kind == "emoembs":
            names = torch.cat([self._words.vectors(name)[:1] for name in self.labels.names])
            return EmoEmbs(len(self.labels), self.widths, self.settings.network, names)
        return _NETWORKS[kind](len(self.labels), self.widths, self.settings.network)

    @property
    def _words(self) -> WordVectors:
        return _open_vectors(self.settings.word_vectors)

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the standardisation and the weights of the answers on the training part of a fold."""
        super().fit_inputs(train)
        for name in self.network.modalities:
            rows = [example.inputs[name] for example in train if name in example.inputs]
            if rows:
                self.network.fit_scale(name, torch.cat(rows))

    def cache_key(self, *, training: bool) -> str:
        """The features; training and scoring see the same."""
        parts = [*self.settings.modalities, f"audio {self.settings.audio}"]
        if self.settings.audio == "egemaps":
            parts.append(opensmile_version())
        if "text" in self.widths:
            parts.append(self._words.name)
        return "|".join(parts)

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (S, D)`` of a (T,) waveform: an utterance of which there is nothing but the sound.

        Raises:
            UsageError: the system does not listen.
            MissingPluginError: openSMILE is not installed.
        """
        if "audio" not in self.widths:
            raise UsageError("this system does not listen", expected=", ".join(self.settings.modalities))
        if self.settings.audio == "egemaps":
            return {"audio": opensmile_functionals(waveform, "eGeMAPSv02").unsqueeze(0)}
        with torch.inference_mode(not waveform.requires_grad):
            return {"audio": _window_statistics(self.front_end, waveform)}

    def utterance_key(self, utterance: Utterance) -> str:
        """Its words and action units."""
        face = self._face(utterance) if "face" in self.widths else None
        return f"{utterance.text}|{None if face is None else face.tolist()}"

    def extract_utterance(self, utterance: Utterance) -> dict[str, Tensor]:
        """``audio: (S, D)``, ``face: (M, 35)`` and ``text: (W, 300)``, each where it is there."""
        found: dict[str, Tensor] = {}
        if "audio" in self.widths and utterance.has_audio:
            sound = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
            found |= self.extract(sound, training=False)
        if "face" in self.widths and (face := self._face(utterance)) is not None:
            found["face"] = face
        if "text" in self.widths and utterance.text is not None:
            found["text"] = self._words.vectors(utterance.text)
        return {name: rows for name, rows in found.items() if len(rows)}

    def _face(self, utterance: Utterance) -> Tensor | None:
        """(M, 35) action units; None where there are none of this utterance."""
        place = self.settings.face_units
        if place is None:
            return None
        if place.is_dir():
            path = place / f"{utterance.id}.csv"
            return _openface_rows(path) if path.is_file() else None
        return _unit_table(place).get(_take(utterance.id))


def _window_statistics(front_end: FrontEnd, waveform: Tensor) -> Tensor:
    """(S, 2 F) mean and deviation of each band per 0.40 s, the rest joined to the last window."""
    padded = torch.nn.functional.pad(waveform, (0, max(0, _LEAST_SAMPLES - len(waveform))))
    bands = front_end(padded.unsqueeze(0))[0]
    frames = max(1, round(_WINDOW_S * SAMPLE_RATE / MfccSettings().hop_length))
    count = max(1, bands.shape[1] // frames)
    windows = [bands[:, i * frames : (i + 1) * frames if i + 1 < count else None] for i in range(count)]
    return torch.stack([torch.cat([part.mean(1), part.std(1, unbiased=False)]) for part in windows])


def _take(name: str) -> str:
    """An utterance without the medium: RAVDESS numbers the video and the sound of one take differently."""
    return _RAVDESS.sub("", name)


@cache
def _open_vectors(path: Path | None) -> WordVectors:
    return WordVectors(path)


@cache
def _unit_table(path: Path) -> dict[str, Tensor]:
    """Rows of 35 action units by take.

    Raises:
        CorpusError: the file cannot be read, or a line does not hold an id and 35 numbers.
    """
    rows: dict[str, list[list[float]]] = {}
    for number, cells in _lines(path):
        if len(cells) != 1 + _UNITS:
            raise CorpusError(
                "a line of the action units is of another form",
                where=f"{path}, line {number}",
                found=f"{len(cells)} cells",
                expected=f"an utterance's id and {_UNITS} numbers",
            )
        rows.setdefault(_take(cells[0]), []).append(_numbers(cells[1:], path, number))
    return {name: torch.tensor(values) for name, values in rows.items()}


@cache
def _openface_rows(path: Path) -> Tensor:
    """The last 35 columns of a table of OpenFace."""
    return torch.tensor([_numbers(cells[-_UNITS:], path, number) for number, cells in _lines(path)])


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines after the header, with their numbers."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError("the action units cannot be read", where=path, found=str(error)) from error
    return [
        (number, [cell.strip() for cell in line.split(",")])
        for number, line in enumerate(lines, start=1)
        if number > 1 and line.strip()
    ]


def _numbers(cells: Sequence[str], path: Path, line: int) -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        raise CorpusError("an action unit is no number", where=f"{path}, line {line}", found=str(error)) from error
