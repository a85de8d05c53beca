"""Tiny upstream checkpoints with drawn weights, written by the library itself in the layout of the hub."""

from pathlib import Path
from typing import Any

import torch

CONVOLUTIONS = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 8}
BASE = {"feat_extract_norm": "group", "conv_bias": False, "do_stable_layer_norm": False}
LARGE = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
# name: (class prefix of the library, settings)
WAVEFORM: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-base": ("Wav2Vec2", BASE),
    "wav2vec2-large": ("Wav2Vec2", LARGE),
    "hubert-base": ("Hubert", BASE),
    "hubert-large": ("Hubert", LARGE),
    "hubert-batch-norm": ("Hubert", LARGE | {"conv_pos_batch_norm": True}),
    "wavlm-base": ("WavLM", BASE),
    "wavlm-large": ("WavLM", LARGE),
    "data2vec-audio": ("Data2VecAudio", {"conv_bias": False, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5}),
}

TEXT: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {}),
    "albert": ("Albert", {"embedding_size": 8}),
    "distilbert": ("DistilBert", {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}),
    "roberta": ("Roberta", {"max_position_embeddings": 130, "pad_token_id": 1}),
    "xlm-roberta": ("XLMRoberta", {"max_position_embeddings": 20, "pad_token_id": 1}),
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "am", "so", "happy", "sad", "angry", "no", "##t", "!"]


def make_network(name: str, head: str = "Model", **changes: object) -> Any:
    """A network of the library with drawn weights, also those that the library would draw as zeros and ones."""
    import transformers

    torch.manual_seed(sum(map(ord, name)))
    if name == "whisper":
        config = transformers.WhisperConfig(
            d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=20, pad_token_id=1, bos_token_id=1, eos_token_id=1,
            decoder_start_token_id=1, max_source_positions=1500, max_target_positions=8, num_mel_bins=80,
        )  # fmt: skip
        network = getattr(transformers, f"Whisper{head}")(config)
    else:
        prefix, settings = WAVEFORM[name]
        config = getattr(transformers, f"{prefix}Config")(**(SIZES | CONVOLUTIONS | settings | changes))
        network = getattr(transformers, f"{prefix}{head}")(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for key, buffer in network.named_buffers():
            if key.endswith("running_mean"):
                buffer.normal_()
    return network.eval()


def write_checkpoint(folder: Path, name: str, head: str = "Model", **changes: object) -> Any:
    """A checkpoint folder; returns the network in it."""
    import transformers

    network = make_network(name, head, **changes)
    network.save_pretrained(folder)
    if name == "whisper":
        transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    else:
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return network


def write_text_checkpoint(folder: Path, name: str, head: str = "Model", **changes: object) -> Any:
    """A checkpoint folder of a text encoder with a word-piece tokenizer; returns the network in it."""
    import transformers

    prefix, settings = TEXT[name]
    torch.manual_seed(sum(map(ord, name)))
    config = getattr(transformers, f"{prefix}Config")(**(SIZES | {"vocab_size": len(WORDS)} | settings | changes))
    network = getattr(transformers, f"{prefix}{head}")(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return network
