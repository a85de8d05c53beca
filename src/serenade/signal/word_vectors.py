"""Vectors of words from a file of the user's, such as GloVe's; nothing is ever fetched."""

from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from serenade.core.errors import CheckpointError
from serenade.core.wording import counted
from serenade.signal.hashed_words import hashed_vectors, words_of

__all__ = ["WORD_WIDTH", "WordVectors"]

WORD_WIDTH = 300
"""Size of the vectors, as published."""


class WordVectors:
    """Vectors by word: those of a file, and by spelling for words that it does not have.

    Args:
        path: a text file with a word and 300 numbers a line, as GloVe's; None makes all vectors by spelling.

    Raises:
        CheckpointError: the file cannot be read, or a line is of another form.
    """

    def __init__(self, path: Path | None) -> None:
        self.name = "spelling"
        self._known: dict[str, Tensor] = {}
        if path is not None:
            self._known, self.name = _read(path)

    def vectors(self, text: str, most: int = 100) -> Tensor:
        """(W, 300) vectors of the first `most` words; (0, 300) where there is no word."""
        words = list(words_of(text))[:most]
        if not words:
            return torch.zeros(0, WORD_WIDTH)
        unknown = iter(hashed_vectors(lacking, WORD_WIDTH)) if (lacking := self._lacking(words)) else iter(())
        return torch.stack([self._known[word] if word in self._known else next(unknown) for word in words])

    def _lacking(self, words: list[str]) -> list[str]:
        return [word for word in words if word not in self._known]


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    known, digest = dict[str, Tensor](), sha256()
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                digest.update(line.encode())
                word, *numbers = line.rstrip().split(" ")
                if len(numbers) != WORD_WIDTH:
                    raise CheckpointError(
                        "a line is no word with its vector",
                        where=f"{path}, line {number}",
                        found=counted(len(numbers), "number"),
                        expected=f"a word and {WORD_WIDTH} numbers, with single spaces",
                    )
                known[word] = torch.tensor([float(value) for value in numbers])
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError("the word vectors cannot be read", where=path, found=str(error)) from error
    return known, f"{path.name}-{digest.hexdigest()[:16]}"
