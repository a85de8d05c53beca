"""Every recording of the real corpora can be decoded, and together they last as long as is published."""

from pathlib import Path

import pytest

from serenade.corpora import read_corpus
from serenade.signal.audio import examine


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "files", "minutes"),
    [
        ("nemo", "nemo", 4481, 184.4),
        ("turevdb", "turev-db", 1735, 27.8),
        ("emotiontts-ko", "emotiontts-ko", 300, 27.6),
        ("ravdess", "ravdess", 1440, 88.8),
    ],
)
def test_every_recording_is_decoded(shared: Path, name: str, folder: str, files: int, minutes: float) -> None:
    listing = read_corpus(name, shared / "corpora" / folder, examine=examine)
    assert listing.left_out == ()
    assert len(listing.utterances) == files
    assert sum(u.duration_s or 0.0 for u in listing.utterances) / 60 == pytest.approx(minutes, abs=0.05)
