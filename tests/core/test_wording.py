"""Numbers with their nouns."""

import pytest

from serenade.core.wording import counted


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [
        (1, "file", "1 file"),
        (0, "file", "0 files"),
        (2, "class", "2 classes"),
        (1, "class", "1 class"),
        (3, "entry", "3 entries"),
        (2, "day", "2 days"),
        (2, "recording group", "2 recording groups"),
        (12_345, "process", "12345 processes"),
        (5, "batch", "5 batches"),
    ],
)
def test_nouns_follow_their_number(count: int, noun: str, expected: str) -> None:
    assert counted(count, noun) == expected
