"""Generated clips: what is in them, and that they come back as they were made."""

from pathlib import Path

import numpy as np
import pytest

from serenade.core.errors import CorpusError, UsageError
from serenade.corpora.drawn_faces import EXPRESSIONS, Expression, draw_expression, draw_face, draw_looks
from serenade.corpora.synthetic_av import WORDS, generate_clips, list_files
from serenade.signal.audio import read_audio
from serenade.signal.video import sample_frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clips") / "av"
    generate_clips(root, speakers=2, clips_per_class=2, classes=("happy", "sad"), odd_share=1.0)
    return root


def test_clips_have_sound_pictures_and_words(folder: Path) -> None:
    listing = list_files(folder)
    assert len(listing.utterances) == 8
    for utterance in listing.utterances[:2]:
        waveform = read_audio(utterance.audio)
        assert utterance.video is not None
        pictures = list(sample_frames(utterance.video))
        assert len(waveform) > 8000
        assert abs(len(pictures) - len(waveform) / 8000) <= 1
        assert pictures[0].pixels.shape == (96, 96, 3)
        assert len(str(utterance.text).split()) == 5


def test_in_an_odd_clip_exactly_one_of_three_shows_another_emotion(folder: Path) -> None:
    for utterance in list_files(folder).utterances:
        shown = list(utterance.extra.values())
        assert shown.count(str(utterance.emotion)) == 2
        told = [name for name, words in WORDS.items() if any(word in words for word in str(utterance.text).split())]
        assert told == [utterance.extra["words"]]


def test_the_same_settings_are_left_alone_and_others_are_refused(folder: Path) -> None:
    clip = next(folder.rglob("*.mp4"))
    before = clip.stat().st_mtime_ns
    generate_clips(folder, speakers=2, clips_per_class=2, classes=("happy", "sad"), odd_share=1.0)
    assert clip.stat().st_mtime_ns == before
    with pytest.raises(CorpusError, match="other settings"):
        generate_clips(folder, speakers=3)
    with pytest.raises(UsageError, match="cannot have these classes"):
        generate_clips(folder.parent / "other", classes=("happy",))


def test_expressions_change_the_face_and_only_the_face() -> None:
    looks = draw_looks(np.random.default_rng(0))
    pictures = {name: draw_face(looks, face, talk=0, shift=(0, 0)).astype(int) for name, face in EXPRESSIONS.items()}
    for name, picture in pictures.items():
        assert (picture[:, :16] == picture[0, 0]).all()
        others = [other for key, other in pictures.items() if key != name]
        assert all(np.abs(picture - other).sum() > 2000 for other in others)
    wide = draw_face(looks, Expression(), talk=1, shift=(0, 0)).astype(int)
    changed = np.abs(wide - pictures["neutral"]).sum(axis=(1, 2))
    assert changed[:55].sum() == 0
    assert changed[55:].sum() > 0


def test_renderings_of_an_emotion_differ_and_follow_the_seed() -> None:
    first, again, other = (draw_expression("sad", 1.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert first.smile < 0 < first.brow_inner
