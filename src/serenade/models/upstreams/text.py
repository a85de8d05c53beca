"""Text encoders on transcripts: BERT and its kin, tokens as frames.

J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", NAACL 2019, arXiv
1810.04805.

The tokens that a tokenizer puts around a text ([CLS] and [SEP]) stay in the sequence.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from serenade.core.errors import CheckpointError, UsageError
from serenade.models.upstreams.upstream import Frames, Upstream, plain_config
from serenade.nn.masking import valid_steps

__all__ = ["MOST_TOKENS", "TEN_WORDS", "TextUpstream"]

MOST_TOKENS = 128
"""Longer transcripts are cut to so many tokens, those around the text included."""

TEN_WORDS = "we will all be very happy when they come home"
"""A transcript to measure with."""


class TextUpstream(Upstream):
    """A text encoder of the Transformers library.

    Args:
        network: a base model of the library, without a head.
        tokenizer: of the same checkpoint.
        kind: its architecture.

    Raises:
        CheckpointError: the tokenizer knows more tokens than the network.
    """

    def __init__(self, network: nn.Module, tokenizer: Any, *, kind: str) -> None:
        super().__init__()
        config: Any = network.config
        self.network, self.tokenizer, self.kind, self.modality = network, tokenizer, kind, "text"
        self.dim, self.num_layers = config.hidden_size, config.num_hidden_layers + 1
        self.sample_rate, self.hop_length, self.least_samples = 0, None, 1  # there are no samples, only tokens
        self._tokens = sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()  # as read, before any use
        self.padding_token: int = config.pad_token_id if config.pad_token_id is not None else 0
        positions: int = config.max_position_embeddings
        if "roberta" in kind:  # its positions are counted from behind that of the padding token
            positions -= self.padding_token + 1
        self.most_samples = min(MOST_TOKENS, positions)
        if len(tokenizer) > config.vocab_size:
            raise CheckpointError(
                "the tokenizer is of another checkpoint than the network",
                where=tokenizer.name_or_path,
                found=f"{len(tokenizer)} tokens",
                expected=f"at most {config.vocab_size}",
            )

    def _traits(self) -> Mapping[str, object]:
        return {"config": plain_config(self.network), "most": self.most_samples, "tokens": self._tokens}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """One frame a token."""
        return lengths

    def prepare(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """A text encoder takes no sound.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"the {self.kind} upstream takes text, not sound", found=tuple(waveform.shape))

    def prepare_text(self, text: str) -> Tensor:
        """(T,) int64 tokens of a transcript, cut to `most_samples`.

        Raises:
            UsageError: the transcript has no words.
        """
        if not text.strip():
            raise UsageError("the transcript has no words", found=repr(text), hint="Leave the utterance out")
        tokens = self.tokenizer(text, truncation=True, max_length=self.most_samples)["input_ids"]
        return torch.tensor(tokens)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch.

        Args:
            waveforms: (B, T) int64 tokens, each from `prepare_text`; what stands beyond its length does not count.
            lengths: (B,) int64 tokens, at least 1.
        """
        inside = valid_steps(lengths, waveforms.shape[1])
        tokens = waveforms.masked_fill(~inside, self.padding_token)
        found = self.network(tokens, attention_mask=inside.long(), output_hidden_states=True)
        return self._frames([*found.hidden_states[:-1], found.last_hidden_state], lengths)
