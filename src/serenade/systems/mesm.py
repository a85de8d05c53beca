"""FE2E and MESM whole: emotion from face, voice and words, end to end; MESM looks at what the words attend to only.

W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021, pages
5305-5316, arXiv 2103.09666.

Idea to code:
    pieces of the mel spectrogram, faces, words    `signal.multimodal`
    both networks                                  `models.mesm`
    text vector, the encoder fine-tuned            `MesmNetwork.words`
    BCE with positive weights, thresholds on valid `training.fusion_system`, `training.answers`
    text at a tenth of the rate                    `MesmSystem.rate_groups`

Deviations, with reasons: the text encoder is whatever the user has (the paper: ALBERT base); without one, words are
hashed and learnt from scratch, so that nothing must be fetched. What an utterance lacks is left out of the fusion, and
without words MESM's attention is that of the cells alone; the paper has no such case. The table of all choices is in
docs/mesm.md.

Target numbers (the published split of IEMOCAP, mean accuracy / F1): FE2E 84.5 / 58.8, MESM 84.4 / 57.4; "no" to
everything has 83.3 / 0.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.settings import Settings
from serenade.models.faces.detectors import open_detector
from serenade.models.mesm import Fe2e, Frames, Mesm
from serenade.models.mesm_settings import CellOrder, Fe2eSettings, MesmSettings
from serenade.nn.cross_modal import MaskGradient
from serenade.nn.masking import valid_steps
from serenade.nn.words import WordEncoder
from serenade.signal.faces import FaceDetector, MiddleOfPicture, normalise_faces
from serenade.signal.hashed_words import HashedTokeniser, words_of
from serenade.signal.mel_pieces import MelPieces
from serenade.signal.multimodal import MultimodalExample, MultimodalSettings, read_multimodal
from serenade.signal.text import FolderTokeniser, Tokeniser, open_tokeniser
from serenade.training.fusion_system import FusionNetwork, FusionSettings, FusionSystem, Judged
from serenade.training.settings import TrainingSettings
from serenade.training.system import RateGroup

__all__ = ["MesmNetwork", "MesmSystem", "MesmSystemSettings", "WordSettings"]


_log = logging.getLogger(__name__)


class WordSettings(Settings):
    """What makes a vector of the words."""

    encoder: Path | None = Field(
        None,
        description="folder of a text encoder such as ALBERT, which is fine-tuned; unset: words are hashed and their "
        "vectors learnt from scratch",
    )
    buckets: int = Field(4096, ge=2, description="without an encoder: words that are told apart, by their spelling")
    rate: float = Field(0.1, gt=0, le=1, description="learning rate of words and text scores, relative to the rest")


class MesmSystemSettings(Settings):
    """Settings of FE2E and MESM; the defaults are FE2E as published, but for the text encoder."""

    sparse: bool = Field(False, description="MESM: the words choose the cells that are looked at; else FE2E")
    top_p: float = Field(0.7, gt=0, le=1, description="sparse: share of attention kept; CMU-MOSEI: 0.5")
    mask_gradient: MaskGradient = Field(
        "none", description="sparse: what teaches the attention: none (as released), straight_through or scaled"
    )
    cell_order: CellOrder = Field("aligned", description="sparse: released deals features out to other cells")
    network: Fe2eSettings = Fe2eSettings()
    words: WordSettings = WordSettings()
    inputs: MultimodalSettings = MultimodalSettings()
    detector: Literal["auto", "mtcnn", "cascade", "middle"] = Field(
        "auto",
        description="what finds faces: mtcnn, as published; cascade, quicker and weaker; auto: the best that is "
        "installed; middle: nothing, the middle of the picture is taken",
    )
    fusion: FusionSettings = FusionSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=40,
        batch_size=8,
        learning_rate=5e-5,
        learning_rate_decay=1.0,
        weight_decay=0.0,
        channels_last=False,
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        pieces, faces, network = self.inputs.pieces, self.inputs.faces, self.network
        shapes = {
            "network.audio_shape": (network.audio_shape, (1, pieces.num_bands, pieces.piece_frames)),
            "network.face_shape": (network.face_shape, (3, faces.size, faces.size)),
        }
        for name, (found, given) in shapes.items():
            if found != given:
                raise ValueError(f"{name} is {found}, but inputs give {given}")
        if self.sparse:
            self.sparse_network()
        return self

    def sparse_network(self) -> MesmSettings:
        """The settings of the sparse network."""
        return MesmSettings(
            shared=self.network, top_p=self.top_p, mask_gradient=self.mask_gradient, cell_order=self.cell_order
        )


class MesmNetwork(FusionNetwork):
    """Text encoder, branches and fusion: all that has weights.

    Args:
        num_classes: K.
        settings: of the system.
    """

    def __init__(self, num_classes: int, settings: MesmSystemSettings) -> None:
        super().__init__(num_classes, settings.network.modalities)
        self.text_dim = settings.network.text_dim
        self.body: Fe2e | Mesm
        if settings.sparse:
            self.body = Mesm(num_classes, settings.sparse_network())
        else:
            self.body = Fe2e(num_classes, settings.network)
        self.words: nn.Module | None = None
        if "text" in self.modalities:
            self.words = _word_encoder(settings.words, self.text_dim)

    def judge(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Judged:
        """Scores of a batch."""
        given = self.given(inputs)
        scores = self.body.branch_scores(**given)
        return Judged(self.body.fusion(scores, present), self.body.fusion.alone(scores))

    def given(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        """What the network underneath gets: text vectors and frames."""
        given: dict[str, Any] = {}
        if self.words is not None:
            given["text"] = self.text_vectors(inputs)[0]
        for name in ("face", "audio"):
            if name in self.modalities:
                values = normalise_faces(inputs["face"]) if name == "face" else inputs["audio"]
                given[name] = Frames(values, inputs[f"{name}_lengths"])
        return given

    def text_vectors(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, D) vectors of the words, 0 where there are none, and (B, L) the attention that each word gets."""
        lengths = inputs["text_lengths"]
        rows = (lengths > 0).nonzero().flatten()
        weights = inputs["text"].new_zeros(len(lengths), max(1, int(lengths.max())), dtype=torch.float32)
        vectors = weights.new_zeros(len(lengths), self.text_dim)
        if len(rows) == 0:
            return vectors, weights
        assert self.words is not None
        tokens = pad_sequence(list(torch.split(inputs["text"], lengths.tolist())), batch_first=True)
        found, attention = self.words(tokens[rows], lengths[rows])
        return vectors.index_copy(0, rows, found.float()), weights.index_copy(0, rows, attention.float())


class _FolderEncoder(nn.Module):
    """A pretrained text encoder: its last hidden state at the first position."""

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__()
        from serenade.models.upstreams.checkpoint import open_upstream

        upstream: Any = open_upstream(folder)
        if upstream.modality != "text":
            raise UsageError("this is no text encoder", where=folder, found=upstream.kind)
        if upstream.dim != width:
            raise UsageError(
                "the text encoder's vectors have another size than the network expects",
                where=folder,
                found=upstream.dim,
                expected=width,
                hint=f"Set network.text_dim={upstream.dim}",
            )
        self.network = upstream.network
        self.network.set_attn_implementation("eager")  # the quicker ones do not tell their attention

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) vectors and (B, L) attention of the first position in the last layer, mean over heads."""
        inside = valid_steps(lengths, tokens.shape[1])
        found = self.network(tokens, attention_mask=inside.long(), output_attentions=True)
        return found.last_hidden_state[:, 0], found.attentions[-1][:, :, 0].mean(1)


def _word_encoder(settings: WordSettings, width: int) -> nn.Module:
    if settings.encoder is None:
        return WordEncoder(settings.buckets, width)
    return _FolderEncoder(settings.encoder, width)


class MesmSystem(FusionSystem):
    """FE2E or MESM as the training loop and the recogniser see it.

    Args:
        settings: of the system.
        labels: classes.

    Raises:
        CheckpointError: there is no text encoder in the folder of the settings.
    """

    settings_class: type[Settings] = MesmSystemSettings
    settings: MesmSystemSettings
    network: MesmNetwork

    def __init__(self, settings: MesmSystemSettings, labels: LabelSet) -> None:
        super().__init__(settings.fusion, settings.training, labels)
        self.settings = settings
        self.network = MesmNetwork(len(labels), settings)
        self._pieces = MelPieces(settings.inputs.pieces)
        self._tokeniser: Tokeniser | None = None
        self._detector: FaceDetector | None = None
        shapes = settings.network
        kinds = {
            "audio": torch.zeros(0, *shapes.audio_shape),
            "face": torch.zeros(0, *shapes.face_shape, dtype=torch.uint8),
            "text": torch.zeros(0, dtype=torch.int64),
        }
        self.empty = {name: rows for name, rows in kinds.items() if name in shapes.modalities}

    def rate_groups(self) -> Sequence[RateGroup]:
        """Words and the scores of the text at a rate of their own; what nothing teaches is in no group.

        That is MESM's attention where the mask is fixed, and the bias of its scores, which no softmax feels.
        """
        text, rest = list[nn.Parameter](), list[nn.Parameter]()
        for name, parameter in self.network.named_parameters():
            if name.startswith(("words.", "body.text.")):
                text.append(parameter)
            elif self._is_taught(name):
                rest.append(parameter)
        return [RateGroup(rest, 1.0), RateGroup(text, self.settings.words.rate)]

    def _is_taught(self, name: str) -> bool:
        """Whether anything teaches a parameter beyond the text's."""
        if ".attention." not in name:
            return True
        return self.settings.mask_gradient != "none" and not name.endswith(".attention.score.bias")

    def cache_key(self, *, training: bool) -> str:
        """How the modalities are read; training and scoring see the same."""
        parts = [self.settings.inputs.model_dump_json(), *self.settings.network.modalities]
        if "text" in self.settings.network.modalities:
            parts.append(self.tokeniser.name)
        return "|".join(parts)

    @property
    def tokeniser(self) -> Tokeniser:
        """What numbers the words."""
        if self._tokeniser is None:
            words = self.settings.words
            self._tokeniser = HashedTokeniser(words.buckets) if words.encoder is None else open_tokeniser(words.encoder)
        return self._tokeniser

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (S, 1, F, L)`` of a (T,) waveform: an utterance of which there is nothing but the sound.

        Raises:
            UsageError: the system does not listen.
        """
        if "audio" not in self.settings.network.modalities:
            raise UsageError(
                "this system does not listen, and a waveform alone gives it nothing",
                expected=", ".join(self.settings.network.modalities),
            )
        with torch.inference_mode(not waveform.requires_grad):
            return {"audio": self._pieces(waveform)}

    def utterance_key(self, utterance: Utterance) -> str:
        """Its words, the files of its picture and what finds faces there."""
        detector = self._detector_for(utterance)
        name = "" if detector is None else detector.name
        return "|".join([str(utterance.text), _file_key(utterance.faces), _video_key(utterance), name])

    def extract_utterance(self, utterance: Utterance) -> dict[str, Tensor]:
        """``audio: (S, 1, F, L)``, ``face: (M, 3, H, W)`` uint8 and ``text: (W,)`` int64, each where it is there."""
        found = self.read(utterance)
        promised = {"audio": utterance.has_audio, "face": utterance.video is not None or utterance.faces is not None}
        for name, reason in found.missing.items():
            if name in self.empty and promised.get(name):
                _log.warning("%s goes on without its %s: %s", utterance.id, name, reason)
        return self.inputs_of(found)

    def read(self, utterance: Utterance) -> MultimodalExample:
        """Sound, faces and words of an utterance as far as they are there, with what is missing and why."""
        modalities = self.settings.network.modalities
        return read_multimodal(
            utterance,
            self.settings.inputs,
            modalities=modalities,
            detector=self._detector_for(utterance),
            tokeniser=self.tokeniser if "text" in modalities else None,
        )

    def inputs_of(self, found: MultimodalExample) -> dict[str, Tensor]:
        """Network inputs of what was read."""
        rows = {"audio": found.pieces, "face": found.faces.pixels, "text": found.tokens}
        return {name: rows[name] for name in self.empty if name in found.present}

    def words_of(self, text: str) -> tuple[str, ...]:
        """The words of a text, or the pieces of words, that are numbered one by one."""
        tokens, _ = self.tokeniser.encode(text, self.settings.inputs.text.max_tokens)
        if isinstance(self.tokeniser, FolderTokeniser):
            return self.tokeniser.pieces(tokens)
        return tuple(words_of(text))[: len(tokens)] or ("-",)

    def _detector_for(self, utterance: Utterance) -> FaceDetector | None:
        """What finds faces, opened once; None where nothing has to be found.

        Raises:
            MissingWeightsError: no detector is installed, or not the one that is asked for.
        """
        if "face" not in self.settings.network.modalities or utterance.video is None or utterance.faces is not None:
            return None
        if self._detector is None:
            name = self.settings.detector
            self._detector = MiddleOfPicture() if name == "middle" else open_detector(name)
        return self._detector


def _file_key(path: Path | None) -> str:
    """Names the contents of a file; empty where there is none."""
    if path is None or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _video_key(utterance: Utterance) -> str:
    """Names a video by its place, size and time of change: it is too large to be read for that."""
    video = utterance.video
    if video is None or not video.path.is_file():
        return ""
    facts = video.path.stat()
    return f"{video}|{facts.st_size}|{facts.st_mtime_ns}"
