"""An utterance with whatever there is of its sound, its face and its words, as tensors for a multimodal network.

What an utterance lacks, or what cannot be read of it, is named with its reason and never stops a batch.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from serenade.core.errors import AudioError, SerenadeError, UsageError, VideoError
from serenade.core.records import Utterance, Video
from serenade.core.settings import Settings
from serenade.core.wording import counted
from serenade.signal import SIGNAL_VERSION
from serenade.signal.audio import SAMPLE_RATE, from_array, read_audio
from serenade.signal.decoding import open_recording
from serenade.signal.face_files import crops_from, read_faces, tensors_of
from serenade.signal.faces import (
    FaceCrops,
    FaceDetector,
    FaceSettings,
    MiddleOfPicture,
    crop_faces,
    no_faces,
    normalise_faces,
)
from serenade.signal.mel_pieces import MelPieces, MelPieceSettings
from serenade.signal.text import TextSettings, Tokeniser
from serenade.signal.video import SPAN_TOLERANCE_S, FrameSettings, sample_frames

__all__ = [
    "Keep",
    "MODALITIES",
    "Modality",
    "MultimodalExample",
    "MultimodalSettings",
    "compare_lengths",
    "find_faces",
    "judge_faces",
    "read_multimodal",
    "read_sound",
]

Modality = Literal["text", "face", "audio"]
MODALITIES: tuple[Modality, ...] = ("text", "face", "audio")
"""In the order of the published fusion layer."""

Keep = Callable[[str, Callable[[], dict[str, Tensor]]], dict[str, Tensor]]
"""Gives the tensors of a key, computed where they are not kept yet; `training.cache.FeatureCache.get` is one."""

_UNEQUAL_S = 1.0  # from this difference on it is told that sound and picture are not equally long


class MultimodalSettings(Settings):
    """How the three modalities are read; the defaults are the published ones."""

    frames: FrameSettings = FrameSettings()
    faces: FaceSettings = FaceSettings()
    pieces: MelPieceSettings = MelPieceSettings()
    text: TextSettings = TextSettings()


@dataclass(frozen=True, slots=True)
class MultimodalExample:
    """An utterance as tensors.

    Args:
        id: of the utterance.
        pieces: (S, 1, F, L) mel pieces of the sound; S is 0 where there is none.
        faces: the faces, uint8; without any where there is no picture.
        tokens: (W,) int64 numbers of the words with the marks of beginning and end; W is 0 where there are no words.
        missing: what is not there, by modality, with the reason.
        notes: what a reader should know of the rest, such as that the words were cut.
        duration_s: length of the sound; None where there is none.
    """

    id: str
    pieces: Tensor
    faces: FaceCrops
    tokens: Tensor
    missing: Mapping[Modality, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    duration_s: float | None = None

    @property
    def present(self) -> tuple[Modality, ...]:
        """The modalities that are there."""
        lengths = {"text": len(self.tokens), "face": len(self.faces.pixels), "audio": len(self.pieces)}
        return tuple(name for name in MODALITIES if lengths[name])

    @property
    def num_frames(self) -> int:
        """Faces and pieces together: what a batch should be counted by."""
        return len(self.faces.pixels) + len(self.pieces)

    def face_frames(self) -> Tensor:
        """(M, 3, H, W) float32 faces, normalised by channel."""
        return normalise_faces(self.faces.pixels)


def read_multimodal(
    utterance: Utterance,
    settings: MultimodalSettings | None = None,
    *,
    modalities: tuple[Modality, ...] = MODALITIES,
    detector: FaceDetector | None = None,
    tokeniser: Tokeniser | None = None,
    keep: Keep | None = None,
) -> MultimodalExample:
    """The tensors of an utterance; what it lacks is empty and named in `missing`.

    Args:
        utterance: with any of sound, picture and words.
        settings: the published ones if not given.
        modalities: what is wanted; of the rest nothing is read.
        detector: finds faces; may be left out where no utterance has a picture, or all have prepared faces.
        tokeniser: numbers the words; may be left out where the text is not wanted.
        keep: a cache of the crops, keyed by the bytes of the video and all settings.

    Raises:
        UsageError: a detector or a tokeniser is needed and not given.
        MissingExtraError: a package is needed that is not installed.
    """
    settings = settings if settings is not None else MultimodalSettings()
    missing: dict[Modality, str] = {name: "not asked for" for name in MODALITIES if name not in modalities}
    notes: list[str] = []
    pieces, duration_s = _no_pieces(settings), None
    faces, tokens = _no_faces(settings), torch.zeros(0, dtype=torch.int64)
    if "audio" in modalities:
        try:
            waveform = read_sound(utterance)
            pieces, duration_s = MelPieces(settings.pieces)(waveform), len(waveform) / SAMPLE_RATE
        except AudioError as error:
            missing["audio"] = _reason(error)
    if "face" in modalities:
        try:
            faces = find_faces(utterance, settings, detector=detector, keep=keep)
        except VideoError as error:
            missing["face"] = _reason(error)
    if "text" in modalities:
        if utterance.text is None or not utterance.text.strip():
            missing["text"] = "no words are written down"
        else:
            tokens = _words(utterance.text, settings.text, tokeniser, notes)
    if "face" in modalities and "face" not in missing:
        told = judge_faces(faces, sought=not isinstance(detector, MiddleOfPicture))
        if len(faces.pixels) == 0:
            missing["face"] = told
        elif not bool(faces.found.all()):
            notes.append(told)
    notes += compare_lengths(faces, duration_s, settings.frames.interval_ms / 1000)
    return MultimodalExample(utterance.id, pieces, faces, tokens, missing, tuple(notes), duration_s)


def _reason(error: SerenadeError) -> str:
    return error.what if error.found is None else f"{error.what}: {error.found}"


def _no_pieces(settings: MultimodalSettings) -> Tensor:
    return torch.zeros(0, 1, settings.pieces.num_bands, settings.pieces.piece_frames)


def _no_faces(settings: MultimodalSettings) -> FaceCrops:
    return no_faces(settings.faces)


def read_sound(utterance: Utterance) -> Tensor:
    """(T,) the utterance's span of its channel, or of the mean of all channels, at 16 kHz.

    A span that ends a little behind the recording (`SPAN_TOLERANCE_S`) ends with it, as that of a picture does.

    Raises:
        AudioError: there is no sound, or it cannot be read.
        MissingExtraError: its format needs PyAV.
    """
    if not utterance.has_audio:
        raise AudioError("there is no recording", reason="missing", where=utterance.id)
    try:
        return _read_span(utterance, utterance.end_s)
    except AudioError as error:
        if error.reason != "bad span" or utterance.end_s is None or not 0 <= utterance.start_s < utterance.end_s:
            raise
        rest = _read_span(utterance, None)
        if utterance.start_s + len(rest) / SAMPLE_RATE < utterance.end_s - SPAN_TOLERANCE_S:
            raise
        return rest


def _read_span(utterance: Utterance, end_s: float | None) -> Tensor:
    path, start_s, channel = utterance.audio, utterance.start_s, utterance.channel
    if channel is None:
        return read_audio(path, start_s=start_s, end_s=end_s)
    with open_recording(path, start_s, end_s) as recording:
        if channel >= recording.channels:
            found, expected = counted(recording.channels, "channel"), f"at least {channel + 1}"
            raise AudioError(
                "the speaker's channel is not there", reason="undecodable", where=path, found=found, expected=expected
            )
        samples = np.concatenate([block[:, channel] for block in recording.blocks])
        return from_array(samples, recording.sample_rate)


def find_faces(
    utterance: Utterance,
    settings: MultimodalSettings,
    *,
    detector: FaceDetector | None = None,
    keep: Keep | None = None,
) -> FaceCrops:
    """The faces of an utterance: prepared ones where it has them, else those of its video.

    Raises:
        VideoError: there is no picture, or it cannot be read.
        UsageError: there is a video and no detector.
        MissingExtraError: PyAV is not installed.
    """
    if utterance.faces is not None:
        return read_faces(utterance.faces)
    video = utterance.video
    if video is None:
        raise VideoError("there is no video", reason="missing", where=utterance.id)
    if detector is None:
        raise UsageError(
            "faces must be found in this video, and no detector is given",
            where=video.path,
            hint="Prepare the corpus (serenade corpus prepare), or give a detector",
        )

    def compute() -> dict[str, Tensor]:
        return tensors_of(crop_faces(sample_frames(video, settings.frames), detector, settings.faces))

    return crops_from(compute() if keep is None else keep(_key(video, settings, detector), compute))


def _key(video: Video, settings: MultimodalSettings, detector: FaceDetector) -> str:
    try:
        with video.path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VideoError(
            "the video cannot be opened", reason="missing", where=video.path, found=error.strerror
        ) from error
    parts = (content, video.start_s, video.end_s, video.side, detector.name)
    return f"faces/{SIGNAL_VERSION}/{parts}/{settings.frames.model_dump_json()}/{settings.faces.model_dump_json()}"


def _words(text: str, settings: TextSettings, tokeniser: Tokeniser | None, notes: list[str]) -> Tensor:
    if tokeniser is None:
        raise UsageError("words must be numbered, and no tokeniser is given", hint="Give the folder of a text encoder")
    tokens, cut = tokeniser.encode(text, settings.max_tokens)
    if cut:
        notes.append(f"of {counted(len(text.split()), 'word')} only the first {counted(len(tokens), 'token')} are read")
    return tokens


def judge_faces(faces: FaceCrops, *, sought: bool = True) -> str:
    """In how many pictures a face was found, in words.

    Args:
        faces: what was cut.
        sought: whether a detector has looked for faces.
    """
    seen, pictures = int(faces.found.sum()), counted(faces.pictures, "picture")
    if seen:
        return f"a face in {seen} of {pictures}"
    none = f"no face in any of {pictures}" if sought else f"no face was sought in {pictures}"
    if not len(faces.pixels):
        return none
    return f"{none}: {'its' if faces.pictures == 1 else 'their'} middle is used"


def compare_lengths(faces: FaceCrops, duration_s: float | None, interval_s: float) -> list[str]:
    """Where sound and picture are not equally long, in words; each is used as far as it goes."""
    if duration_s is None or len(faces.pixels) == 0:
        return []
    last_s = float(faces.times_s[-1])
    if last_s + interval_s < duration_s - _UNEQUAL_S:
        return [f"the pictures end {duration_s - last_s - interval_s:.1f} s before the sound"]
    if duration_s < last_s - _UNEQUAL_S:
        return [f"the sound ends {last_s + interval_s - duration_s:.1f} s before the pictures"]
    return []
