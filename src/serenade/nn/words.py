"""A small encoder of words that is learnt from scratch, for where no pretrained one is at hand."""

import torch
from torch import Tensor, nn

from serenade.nn.masking import masked_softmax

__all__ = ["WordEncoder"]


class WordEncoder(nn.Module):
    """A learned vector per word and their mean by learned attention: ``a = softmax(v tanh(W e))``, ``sum a e``.

    Args:
        num_words: numbers of words, 1 to this; 0 is padding.
        width: D of the vectors.
    """

    def __init__(self, num_words: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(num_words + 1, width, padding_idx=0)
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """One vector per utterance and the attention that its words get.

        Args:
            tokens: (B, L) int64 numbers of words, 0 behind the last.
            lengths: (B,) int64 words, at least 1.

        Returns:
            (B, D) and (B, L), which sums to 1 over the words.
        """
        vectors = self.vectors(tokens)
        attention = masked_softmax(self.score(torch.tanh(self.hidden(vectors))).squeeze(2), lengths)
        return torch.einsum("bl,bld->bd", attention, vectors), attention
