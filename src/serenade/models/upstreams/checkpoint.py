"""Upstreams from a folder in the layout of the Hugging Face hub; nothing is ever fetched.

Every weight of the network must stand in the folder, with its shape, and every weight of the folder must have its
place: the library alone would only warn, and go on with random values.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from serenade.core.errors import CheckpointError, MissingExtraError
from serenade.models.upstreams.masked_mel import KIND, build_masked_mel
from serenade.models.upstreams.text import TextUpstream
from serenade.models.upstreams.upstream import Modality, Upstream
from serenade.models.upstreams.waveform import PaddingRule, WaveformUpstream
from serenade.models.upstreams.whisper import WhisperUpstream
from serenade.signal.text import read_tokenizer

__all__ = ["ARCHITECTURES", "open_upstream"]


@dataclass(frozen=True)
class _Architecture:
    """How the files of an architecture name things."""

    network: str  # class of the library
    prefix: str  # before the names of its weights, where the file holds more than the network
    others: tuple[str, ...] = ()  # weights of its pretraining, or of parts that are not needed
    modality: Modality = "speech"


_QUANTISER = ("quantizer.", "project_q.", "project_hid.")

ARCHITECTURES: Mapping[str, _Architecture] = {
    "wav2vec2": _Architecture("Wav2Vec2Model", "wav2vec2.", _QUANTISER),
    "hubert": _Architecture("HubertModel", "hubert."),
    "wavlm": _Architecture("WavLMModel", "wavlm.", _QUANTISER),
    "data2vec-audio": _Architecture("Data2VecAudioModel", "data2vec_audio."),
    "whisper": _Architecture("WhisperEncoder", "encoder.", ("decoder.", "proj_out.")),
    "bert": _Architecture("BertModel", "bert.", ("cls.", "pooler."), "text"),
    "albert": _Architecture("AlbertModel", "albert.", ("predictions.", "sop_classifier.", "pooler"), "text"),
    "distilbert": _Architecture("DistilBertModel", "distilbert.", ("vocab_",), "text"),
    "roberta": _Architecture("RobertaModel", "roberta.", ("lm_head.", "pooler."), "text"),
    "xlm-roberta": _Architecture("XLMRobertaModel", "roberta.", ("lm_head.", "pooler."), "text"),
}
"""The `model_type` of each checkpoint that can be read."""

# The end of an architecture's name, or a weight, to what the checkpoint was fine-tuned for.
_TASKS = {
    "ForCTC": "speech recognition",
    "ForSequenceClassification": "the classification of utterances",
    "ForAudioFrameClassification": "the classification of frames",
    "ForXVector": "speaker recognition",
    "ForAudioClassification": "the classification of utterances",
    "ForTokenClassification": "the classification of words",
    "ForQuestionAnswering": "the answering of questions",
}
_TASK_WEIGHTS = {
    "lm_head.": "speech recognition",
    "classifier.": "classification",
    "tdnn.": "speaker recognition",
    "qa_outputs.": "the answering of questions",
}
# Weight normalisation, and BERT's layer normalisation, under their older names.
_RENAMED = {
    "LayerNorm.gamma": "LayerNorm.weight",
    "LayerNorm.beta": "LayerNorm.bias",
    "pos_conv_embed.conv.weight_g": "pos_conv_embed.conv.parametrizations.weight.original0",
    "pos_conv_embed.conv.weight_v": "pos_conv_embed.conv.parametrizations.weight.original1",
}
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# What stands for masked frames in pretraining, and a mere count of positions: some files have them, some do not.
_UNUSED = ("masked_spec_embed", "embeddings.position_ids")


def open_upstream(folder: str | Path, *, padding: PaddingRule = "exact") -> Upstream:
    """The upstream in a folder with `config.json` and weights, in evaluation mode.

    Beside them stands `preprocessor_config.json` for speech, and the files of the tokenizer for text.

    Args:
        folder: as downloaded from the hub, or from the library's `save_pretrained`.
        padding: "library" follows the library's rule for padded batches, to compare with; not for Whisper and text.

    Raises:
        CheckpointError: no checkpoint, another architecture, fine-tuned for a task, cut short, weights missing or too
            many.
        MissingExtraError: the package transformers is not installed.
    """
    folder = Path(folder)
    config = _read_json(folder, "config.json")
    kind = str(config.get("model_type"))
    if kind == KIND:
        return build_masked_mel(folder, config)
    if kind not in ARCHITECTURES:
        raise CheckpointError(
            "this checkpoint is of an architecture that is no known upstream",
            where=folder,
            found=f"model_type {kind!r}",
            expected=f"one of {', '.join([*ARCHITECTURES, KIND])}",
        )
    _refuse_fine_tuned(folder, config)
    network = _build(folder, kind, config)
    upstream = _wrap(folder, kind, network, padding)
    _load(network, _read_weights(folder), ARCHITECTURES[kind], folder)
    return upstream.eval()


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    hint = {
        "config.json": "Give the folder of a checkpoint in the layout of the Hugging Face hub",
        "preprocessor_config.json": "It says how the network wants its waveforms: take it from where the checkpoint "
        "comes from",
    }[name]
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "there is no such folder" if not folder.is_dir() else f"this folder is no checkpoint: it has no {name}"
        raise CheckpointError(what, where=folder, hint=hint) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} cannot be read", where=path, found=str(error)) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{name} holds no settings", where=path, found=type(found).__name__, hint=hint)
    return found


def _refuse_fine_tuned(folder: Path, config: Mapping[str, Any]) -> None:
    for name in config.get("architectures") or []:
        for ending, task in _TASKS.items():
            if name.endswith(ending):
                raise _fine_tuned(folder, task, name)


def _fine_tuned(folder: Path, task: str, found: str) -> CheckpointError:
    return CheckpointError(
        f"this checkpoint was fine-tuned for {task}",
        where=folder,
        found=found,
        expected="a checkpoint that was only pretrained",
        hint="Fine-tuning costs points in emotion recognition; take the model it was made from",
    )


def _build(folder: Path, kind: str, config: Mapping[str, Any]) -> nn.Module:
    """The network with drawn weights, without masking and without layer drop."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", extra="ssl", purpose="reading an upstream") from error
    cls = getattr(
        transformers.models.whisper.modeling_whisper if kind == "whisper" else transformers, ARCHITECTURES[kind].network
    )
    if config.get("add_adapter"):
        raise CheckpointError(
            "this checkpoint has an adapter behind its blocks, which no upstream here has", where=folder
        )
    bare = {"add_pooling_layer": False} if "add_pooling_layer" in signature(cls).parameters else {}
    still = {"apply_spec_augment": False, "layerdrop": 0.0, "encoder_layerdrop": 0.0}
    try:
        settings = cls.config_class.from_dict(dict(config))
        for key, value in still.items():
            if hasattr(settings, key):
                setattr(settings, key, value)
        network: nn.Module = cls(settings, **bare)
    except Exception as error:  # the library's checks raise classes of their own
        found = " ".join(str(error).split())
        raise CheckpointError("config.json describes no network", where=folder, found=found) from error
    return network.float()


def _wrap(folder: Path, kind: str, network: nn.Module, padding: PaddingRule) -> Upstream:
    if ARCHITECTURES[kind].modality == "text":
        return TextUpstream(network, read_tokenizer(folder), kind=kind)
    sound = _read_json(folder, "preprocessor_config.json")
    rate = sound.get("sampling_rate", 16000)
    if not isinstance(rate, int) or rate < 1:
        raise _misfit(folder, "names no sample rate", f"sampling_rate = {rate!r}", "a number of hertz, such as 16000")
    if kind != "whisper":
        normalise = sound.get("do_normalize")
        if not isinstance(normalise, bool):
            raise _misfit(
                folder,
                "does not say whether waveforms are normalised",
                f"do_normalize = {normalise!r}",
                "true or false",
            )
        return WaveformUpstream(network, kind=kind, sample_rate=rate, normalise=normalise, padding=padding)
    from transformers import WhisperFeatureExtractor

    try:
        extractor = WhisperFeatureExtractor.from_dict(dict(sound))
    except Exception as error:  # the library's checks raise classes of their own
        found = " ".join(str(error).split())
        raise _misfit(folder, "describes no log-mel", found, "the settings of a Whisper model") from error
    settings: Any = network.config
    bands, hop = settings.num_mel_bins, 2 * extractor.hop_length
    window = settings.max_source_positions * hop
    if (extractor.feature_size, extractor.chunk_length * rate) != (bands, window):
        raise _misfit(
            folder,
            "is of another checkpoint than config.json",
            f"{extractor.feature_size} bands of {extractor.chunk_length} s",
            f"{bands} bands of {window / rate:g} s",
        )
    return WhisperUpstream(
        network,
        torch.from_numpy(extractor.mel_filters),
        sample_rate=rate,
        fft_length=extractor.n_fft,
        mel_hop=extractor.hop_length,
    )


def _misfit(folder: Path, what: str, found: str, expected: str) -> CheckpointError:
    return CheckpointError(f"preprocessor_config.json {what}", where=folder, found=found, expected=expected)


def _read_weights(folder: Path) -> dict[str, Tensor]:
    for name in _WEIGHT_FILES:
        if (folder / name).is_file():
            return _read_file(folder / name)
        if (folder / f"{name}.index.json").is_file():
            return _read_shards(folder / f"{name}.index.json")
    raise CheckpointError(
        "this folder holds no weights", where=folder, expected=f"{' or '.join(_WEIGHT_FILES)}, whole or in shards"
    )


def _read_shards(index: Path) -> dict[str, Tensor]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError("the list of shards cannot be read", where=index, found=str(error)) from error
    weights: dict[str, Tensor] = {}
    for name in names:
        weights |= _read_file(index.with_name(name))
    return weights


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(
            "the weights cannot be read: the file is missing, damaged or cut short",
            where=path,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint="Fetch it again; a file of some hundred bytes is only a pointer of Git LFS",
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise CheckpointError(
            "this file holds other things than weights",
            where=path,
            expected="tensors by name, as the library's save_pretrained writes them",
        )
    return loaded


def _load(network: nn.Module, weights: Mapping[str, Tensor], names: _Architecture, folder: Path) -> None:
    """Fill a network, strictly.

    Raises:
        CheckpointError: a weight is missing, has no place, another shape or is not finite.
    """
    wanted = network.state_dict()
    found = {_plain(name, names.prefix): value for name, value in weights.items()}
    found = {name: value for name, value in found.items() if not name.startswith(names.others)}
    for name in found:
        for start, task in _TASK_WEIGHTS.items():
            if name.startswith(start):
                raise _fine_tuned(folder, task, f"the weight {name}")
    found = {name: value for name, value in found.items() if name in wanted or name not in _UNUSED}
    faults = {
        "missing": [name for name in wanted if name not in found],
        "without a place": [name for name in found if name not in wanted],
        "of another shape": [n for n in wanted if n in found and found[n].shape != wanted[n].shape],
        "not finite": [n for n in found if found[n].is_floating_point() and not bool(found[n].isfinite().all())],
    }
    told = [f"{len(bad)} {fault}, such as {bad[0]}" for fault, bad in faults.items() if bad]
    if told:
        raise CheckpointError(
            "the weights do not fit the network that config.json describes",
            where=folder,
            found="; ".join(told),
            expected=f"{len(wanted)} weights, each in its place",
            hint="Take config.json and the weights from the same checkpoint",
        )
    network.load_state_dict(found)


def _plain(name: str, prefix: str) -> str:
    """A weight's name as the bare network calls it."""
    name = name.removeprefix("model.").removeprefix(prefix)
    for old, new in _RENAMED.items():
        name = name.replace(old, new)
    return name
