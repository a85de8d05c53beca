"""Words as numbers without a vocabulary: every word falls into one of so many buckets by its spelling."""

import re
from collections.abc import Iterator
from itertools import islice
from zlib import crc32

import torch
from torch import Tensor

__all__ = ["HashedTokeniser", "hashed_vectors", "words_of"]

_WORD = re.compile(r"[\w']+")
_VECTOR_PARTS = 3  # letters of the parts of a word that its vector is made of


def words_of(text: str) -> Iterator[str]:
    """The words of a text in lower case, without punctuation, one after the other."""
    return (match[0].lower() for match in _WORD.finditer(text))


class HashedTokeniser:
    """Numbers words from 1 to the number of buckets; nothing is learnt or stored, and no word is unknown.

    Args:
        buckets: the more, the fewer words share a number.
    """

    def __init__(self, buckets: int) -> None:
        self.buckets = buckets
        self.name = f"words in {buckets} buckets"

    def encode(self, text: str, max_tokens: int) -> tuple[Tensor, bool]:
        """(W,) int64 numbers, W at most `max_tokens`, at least one; whether the text was cut.

        A text without letters has the one number 1.
        """
        words = list(islice(words_of(text), max_tokens + 1))
        numbers = [1 + crc32(word.encode()) % self.buckets for word in words[:max_tokens]]
        return torch.tensor(numbers or [1]), len(words) > max_tokens


def hashed_vectors(words: list[str], width: int) -> Tensor:
    """(W, width) vectors of unit length, drawn by the spelling of the words and always the same.

    A vector is the sum of those of the word and of its parts of three letters, so that words with a common stem are
    alike; there is no meaning in them beyond that.

    Args:
        words: at least one.
        width: D.
    """
    vectors = torch.stack([sum((_drawn(part, width) for part in _parts(word)), torch.zeros(width)) for word in words])
    return torch.nn.functional.normalize(vectors, dim=1)


def _parts(word: str) -> list[str]:
    marked = f"<{word}>"
    return [marked, *(marked[i : i + _VECTOR_PARTS] for i in range(len(marked) - _VECTOR_PARTS + 1))]


def _drawn(part: str, width: int) -> Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(crc32(part.encode())))
