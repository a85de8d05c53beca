"""``serenade corpus prepare``: what it writes and says."""

from pathlib import Path

import numpy as np
import pytest
from tests.corpora.conversation_trees import Turn, make_iemocap, place_file

from serenade.app.main import main
from serenade.corpora.prepared import list_files

pytest.importorskip("av", reason="needs the extra media")
pytest.importorskip("cv2", reason="needs the extra faces")
from tests.clips import grey, write_clip

TONE = 0.1 * np.sin(np.arange(16_000) / 20)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """RAVDESS with a clip that has sound, one without, and a file that is none."""
    folder = tmp_path / "ravdess" / "Actor_01"
    folder.mkdir(parents=True)
    write_clip(folder / "01-01-03-01-02-01-01.mp4", [0.0, 0.5], [grey(90)] * 2, TONE)
    write_clip(folder / "01-01-04-01-02-01-01.mp4", [0.0, 0.5], [grey(90)] * 2)
    (folder / "01-01-05-01-02-01-01.mp4").write_bytes(b"none")
    return folder.parent


def test_it_says_what_was_cut_and_what_was_not(clips, capsys):
    out = clips.parent / "out"
    call = ["corpus", "prepare", f"ravdess={clips}", "--out", str(out), "--detector", "cascade", "-q"]
    assert main([*call, "--require", "audio,face", "--set", "frames.interval_ms=250"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{out}: 1 utterance: 1 with text, 1 with face, 1 with audio\n")
    assert "A face in 0 of 4 pictures (0.0%)\n2 left out:\n  undecodable: 2\n" in text
    assert "03-01-04-01-02-01-01: audio: there is no sound in it" in text
    assert "no face in any of 4 pictures: their middle is used" in text
    assert text.endswith(f"Read it as: prepared={out}\n")
    assert [u.id for u in list_files(out).utterances] == ["03-01-03-01-02-01-01"]


def test_classes_can_be_chosen_and_done_work_is_told(clips, capsys):
    out = clips.parent / "out"
    call = ["corpus", "prepare", f"ravdess={clips}", "--out", str(out), "--detector", "cascade", "-q"]
    assert main([*call, "--labels", "happy,sad"]) == 0
    assert main([*call, "--labels", "happy,sad"]) == 0
    assert "2 utterances were done before" in capsys.readouterr().out


def test_a_wrong_call_is_told(clips, capsys):
    call = ["corpus", "prepare", f"ravdess={clips}", "--out", str(clips.parent / "out"), "-q"]
    assert main([*call, "--detector", "eyes"]) == 2
    assert main([*call, "--require", "smell"]) == 2
    assert main([*call, "--device", "tpu"]) == 2
    assert main([*call, "--uncut"]) == 2
    assert "no recordings of whole dialogues" in capsys.readouterr().err


def test_dialogues_of_iemocap_are_cut_by_channel_and_half(tmp_path, capsys):
    import soundfile

    dialogue = "Ses01F_impro01"
    turns = [(f"{dialogue}_{letter}000", Turn(f"Ses01{letter}", "impro", "ang")) for letter in "FM"]
    root = make_iemocap(tmp_path / "IEMOCAP", turns)
    sound = place_file(root / f"Session1/dialog/wav/{dialogue}.wav")
    sides = np.stack([np.full(16_000 * 12, 0.2), np.full(16_000 * 12, -0.4)], axis=1)
    soundfile.write(sound, sides, 16_000)
    half = grey(20)
    half[:, 48:] = 200
    film = place_file(root / f"Session1/dialog/avi/DivX/{dialogue}.avi")
    write_clip(film, [k / 2 for k in range(24)], [half] * 24)
    out = tmp_path / "out"
    call = ["corpus", "prepare", f"iemocap={root}", "--out", str(out), "--detector", "cascade", "--uncut", "-q"]
    assert main([*call, "--set", "frames.centre_crop=48"]) == 0
    woman, man = list_files(out).utterances
    levels = {}
    for utterance in (woman, man):
        from serenade.signal.audio import read_audio
        from serenade.signal.face_files import read_faces

        assert utterance.faces is not None
        brightness = read_faces(utterance.faces).pixels.float().mean()
        levels[utterance.speaker] = (round(float(read_audio(utterance.audio).mean()), 2), float(brightness) > 100)
    assert levels == {"Ses01F": (0.2, False), "Ses01M": (-0.4, True)}
    assert woman.duration_s == pytest.approx(1.9456, abs=1e-3)
