"""Clips: fused and per-branch scores, windows, words with and without times, what is missing."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from serenade.core.errors import AudioError, UsageError
from serenade.core.labels import LabelSet
from serenade.corpora.synthetic_av import generate_clips, list_files
from serenade.inference.clips import ClipRecognizer
from serenade.inference.transcripts import Spoken
from serenade.reports.clip_view import _red, write_clip_view
from serenade.systems import make_system, save_checkpoint, system_settings

LABELS = LabelSet(("angry", "happy", "sad"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clips") / "av"
    generate_clips(root, speakers=2, clips_per_class=1, classes=("happy", "sad"))
    return list_files(root).utterances[0].audio


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    settings = system_settings("mesm-cpu", {"detector": "middle"})
    folder = tmp_path_factory.mktemp("models") / "mesm"
    save_checkpoint(make_system("mesm", settings.model_dump(), LABELS), "mesm", folder)
    return folder


def test_a_clip_is_scored_whole_by_branch_and_by_window(clip: Path, model: Path) -> None:
    recognizer = ClipRecognizer.load(model, device="cpu")
    whole, *windows = recognizer(clip, words="lilano kedi", window_s=1.0, hop_s=0.5)
    assert list(whole.branches) == ["text", "face", "audio"]
    assert sum(whole.scores.values()) == pytest.approx(1)
    assert whole.label == max(whole.scores, key=whole.scores.__getitem__)
    assert set(whole.said) == {name for name, value in whole.answers.items() if value > 0.5}
    logits = {name: torch.tensor(list(answers.values())).logit() for name, answers in whole.branches.items()}
    fused = torch.tensor(list(whole.answers.values())).logit()
    torch.testing.assert_close(fused, torch.stack(list(logits.values())).mean(0), rtol=1e-4, atol=1e-4)
    assert [part.start_s for part in windows] == [0.5 * number for number in range(len(windows))]
    assert windows[-1].end_s == whole.end_s
    again = recognizer(clip, words="lilano kedi")
    assert again == [whole]


def test_words_with_times_are_of_their_windows(clip: Path, model: Path) -> None:
    recognizer = ClipRecognizer.load(model, device="cpu")
    said = [Spoken("kedi", 0.0, 0.4), Spoken("lilano", 1.1, 1.3)]
    _, *windows = recognizer(clip, words=said, window_s=0.5)
    assert ["text" in part.branches for part in windows][:3] == [True, False, True]
    whole = recognizer(clip)[0]
    assert "text" not in whole.branches
    assert whole.missing["text"] == "no words are written down"


def test_sound_alone_is_scored_and_nothing_at_all_is_an_error(clip: Path, model: Path, tmp_path: Path) -> None:
    import soundfile

    recognizer = ClipRecognizer.load(model, device="cpu")
    soundfile.write(tmp_path / "voice.wav", torch.randn(8000).numpy() * 0.1, 16000)
    alone = recognizer(tmp_path / "voice.wav")[0]
    assert list(alone.branches) == ["audio"]
    assert "face" in alone.missing
    (tmp_path / "broken.mp4").write_bytes(b"no video at all" * 100)
    with pytest.raises(AudioError, match="nothing of this clip"):
        recognizer(tmp_path / "broken.mp4")
    assert recognizer(tmp_path / "broken.mp4", words="lilano")[0].branches.keys() == {"text"}
    with pytest.raises(AudioError, match="no such file"):
        recognizer(tmp_path / "absent.mp4")
    with pytest.raises(UsageError, match="a hop goes with one"):
        recognizer(clip, hop_s=1.0)


def test_windows_go_on_where_the_sound_ends_before_the_picture(model: Path, tmp_path: Path) -> None:
    from tests.clips import grey, write_clip

    times = [k / 10 for k in range(30)]
    path = write_clip(tmp_path / "a.mp4", times, [grey(90)] * 30, np.full(4000, 0.1))  # 3 s, of which 0.25 s are heard
    whole, *windows = ClipRecognizer.load(model, device="cpu")(path, window_s=1.0)
    assert whole.whole
    assert whole.end_s == pytest.approx(3, abs=0.1)
    assert [tuple(part.branches) for part in windows] == [("face", "audio"), ("face",), ("face",)]
    assert not any(part.whole for part in windows)
    assert any("the sound ends" in note for note in whole.notes)


def test_ten_thousand_words_are_cut_with_a_note(clip: Path, model: Path) -> None:
    whole = ClipRecognizer.load(model, device="cpu")(clip, words="kedi " * 10_000)[0]
    assert any("of 10000 words only the first 100" in note for note in whole.notes)


def test_what_was_looked_at_is_nested_and_drawn(clip: Path, model: Path, tmp_path: Path) -> None:
    view = ClipRecognizer.load(model, device="cpu").view(clip, words="kedi lilano")
    assert view.words == ("kedi", "lilano")
    assert view.attention.sum() == pytest.approx(1)
    assert [masks[0].shape for masks in view.kept.values()] == [view.faces.shape[:3], view.pieces.shape]
    for masks in view.kept.values():
        for outer, inner in itertools.pairwise(masks):
            assert inner.any()
            assert not (inner & ~outer).any()
    written = write_clip_view(view, tmp_path)
    assert (tmp_path / f"{clip.stem}-looked-at.svg") in written
    told = json.loads((tmp_path / f"{clip.stem}-looked-at.json").read_text())
    assert len(told["kept"]["face"]) == 3
    red = _red(view.faces, view.kept["face"][0])
    assert (red[~view.kept["face"][0]] == view.faces[~view.kept["face"][0]]).all()
    assert (red != view.faces).any()


def test_fe2e_has_nothing_to_show(clip: Path, tmp_path: Path) -> None:
    settings = system_settings("fe2e-cpu", {"detector": "middle"})
    save_checkpoint(make_system("mesm", settings.model_dump(), LABELS), "mesm", tmp_path / "m")
    with pytest.raises(UsageError, match="looks at all cells alike"):
        ClipRecognizer.load(tmp_path / "m", device="cpu").view(clip)


def test_models_of_sound_alone_are_refused(tmp_path: Path) -> None:
    settings = system_settings("lf-lstm", {})
    save_checkpoint(make_system("hand_crafted", settings.model_dump(), LABELS), "hand_crafted", tmp_path / "m")
    with pytest.raises(UsageError, match="sound alone"):
        ClipRecognizer.load(tmp_path / "m", device="cpu")
