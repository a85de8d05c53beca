"""Words as numbers, by the tokeniser in the folder of a text encoder; nothing is ever fetched."""

from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import Field
from torch import Tensor

from serenade.core.errors import CheckpointError, MissingExtraError
from serenade.core.settings import Settings

__all__ = ["FolderTokeniser", "TextSettings", "Tokeniser", "open_tokeniser", "read_tokenizer"]

_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_WORD_LENGTH = 64  # characters that a word may have on average before the rest of a text is not looked at


class TextSettings(Settings):
    """How words are counted."""

    max_tokens: int = Field(
        100, ge=3, description="longer texts are cut off there, marks of beginning and end included"
    )


class Tokeniser(Protocol):
    """Cuts a text into the numbered pieces that a text encoder knows. `name` tells apart vocabularies."""

    @property
    def name(self) -> str:
        """Of the vocabulary."""

    def encode(self, text: str, max_tokens: int) -> tuple[Tensor, bool]:
        """(W,) int64 numbers with the marks of beginning and end, W at most `max_tokens`; whether the text was cut."""


class FolderTokeniser:
    """The tokeniser of a checkpoint in the layout of the Hugging Face hub.

    Args:
        folder: the checkpoint.
        library: the library's tokeniser.
    """

    def __init__(self, folder: Path, library: Any) -> None:
        contents = b"".join((folder / name).read_bytes() for name in _FILES if (folder / name).is_file())
        self.name = f"{folder.name}-{sha256(contents).hexdigest()[:16]}"
        self._library = library

    def encode(self, text: str, max_tokens: int) -> tuple[Tensor, bool]:
        """(W,) int64 numbers with the marks of beginning and end, W at most `max_tokens`; whether the text was cut."""
        # A word has few pieces: of an endless text only the part is read that can matter.
        words = text.split(maxsplit=max_tokens)
        joined = " ".join(words[:max_tokens])
        head = joined[: _WORD_LENGTH * max_tokens]
        numbers = self._library(head, verbose=False)["input_ids"]
        whole = len(words) <= max_tokens and len(head) == len(joined) and len(numbers) <= max_tokens
        if len(numbers) > max_tokens:
            numbers = self._library(head, truncation=True, max_length=max_tokens)["input_ids"]
        return torch.tensor(numbers, dtype=torch.int64), not whole

    def pieces(self, tokens: Tensor) -> tuple[str, ...]:
        """The pieces of words that (W,) numbers stand for."""
        return tuple(str(piece) for piece in self._library.convert_ids_to_tokens(tokens.tolist()))


def open_tokeniser(folder: str | Path) -> FolderTokeniser:
    """The tokeniser in the folder of a text encoder.

    Raises:
        CheckpointError: there is no such folder, no tokeniser in it, or one that cannot be read.
        MissingExtraError: the package transformers is not installed.
    """
    folder = Path(folder)
    return FolderTokeniser(folder, read_tokenizer(folder))


def read_tokenizer(folder: Path) -> Any:
    """The library's tokenizer in the folder of a checkpoint.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        MissingExtraError: the package transformers is not installed.
    """
    if not any((folder / name).is_file() for name in _FILES):
        raise CheckpointError(
            "this text encoder has no tokenizer beside it" if folder.is_dir() else "there is no such folder",
            where=folder,
            expected=f"one of {', '.join(_FILES)}",
            hint="Take the files of the tokenizer from where the checkpoint comes from",
        )
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", extra="ssl", purpose="reading words") from error
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the library raises classes of many kinds
        found = " ".join(str(error).split())[:200]
        raise CheckpointError("the tokenizer cannot be read", where=folder, found=found) from error
