"""An utterance's sound, face and words as tensors, whatever of them is there."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from serenade.core.errors import CheckpointError, MissingExtraError, UsageError
from serenade.core.records import NO_RECORDING, Utterance, Video
from serenade.signal.face_files import write_faces
from serenade.signal.faces import FaceBox, FaceSettings, MiddleOfPicture, crop_faces
from serenade.signal.multimodal import MultimodalExample, MultimodalSettings, read_multimodal
from serenade.signal.text import open_tokeniser
from serenade.signal.video import FrameSettings, Picture, sample_frames

pytest.importorskip("av", reason="needs the extra media")
from tests.clips import grey, write_clip

TONE = 0.1 * np.sin(2 * np.pi * 300 * np.arange(32_000) / 16_000)


class Corner:
    """Finds a face in the upper left corner of every picture that is not black; counts how often it was asked."""

    name = "corner"

    def __init__(self) -> None:
        self.asked = 0

    def find(self, pixels):
        self.asked += 1
        return [FaceBox(0, 0, 40, 40)] if pixels.mean() > 20 else []


class Letters:
    """One number a word."""

    name = "letters"

    def encode(self, text: str, max_tokens: int):
        words = text.split()
        return torch.tensor([len(word) for word in words[:max_tokens]]), len(words) > max_tokens


def utterance(path: Path | None, text: str | None = "one two three", **facts) -> Utterance:
    video = None if path is None else Video(path)
    return Utterance(
        "clip", NO_RECORDING if path is None else path, "own", "anna", None, text=text, video=video, **facts
    )


def read(item: Utterance, settings: MultimodalSettings | None = None, **options) -> MultimodalExample:
    return read_multimodal(item, settings, **{"detector": Corner(), "tokeniser": Letters()} | options)


def clip(path: Path, levels=(200, 200, 200, 200), sound=TONE) -> Path:
    return write_clip(path, [k / 2 for k in range(len(levels))], [grey(level) for level in levels], sound)


def test_all_three_of_a_clip(tmp_path):
    example = read(utterance(clip(tmp_path / "a.mp4")))
    assert example.present == ("text", "face", "audio")
    assert not example.missing
    assert not example.notes
    assert (example.pieces.shape[1:], example.faces.pixels.shape) == ((1, 128, 32), (4, 3, 48, 48))
    assert len(example.pieces) in (5, 6)  # 2 s, and what the codec adds
    assert example.tokens.tolist() == [3, 3, 5]
    assert example.num_frames == len(example.pieces) + 4
    assert example.face_frames().dtype == torch.float32


@pytest.mark.parametrize("without", ["text", "face", "audio"])
def test_what_is_not_there_is_named_and_the_rest_is_read(tmp_path, without):
    path = clip(tmp_path / "a.mp4", sound=None if without == "audio" else TONE)
    item = utterance(path, text=None if without == "text" else "yes")
    if without == "face":
        item = item.with_(video=None)
    example = read(item)
    assert list(example.missing) == [without]
    assert len(example.present) == 2
    told = {"text": "no words", "face": "no video", "audio": "no sound"}
    assert told[without] in example.missing[without]


def test_words_alone_are_an_utterance():
    example = read(utterance(None))
    assert example.present == ("text",)
    assert set(example.missing) == {"face", "audio"}
    assert (len(example.pieces), len(example.faces.pixels)) == (0, 0)


def test_a_video_that_is_damaged_keeps_its_words(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(clip(path).read_bytes()[:1000])
    example = read(utterance(path))
    assert example.present == ("text",)
    assert "damaged" in example.missing["face"]


def test_no_face_in_any_picture_is_told(tmp_path):
    path = clip(tmp_path / "a.mp4", levels=(0, 0, 0))
    example = read(utterance(path))
    assert example.notes == ("no face in any of 3 pictures: their middle is used",)
    assert not example.faces.found.any()
    strict = read(utterance(path), MultimodalSettings(faces=FaceSettings(without_face="leave_out")))
    assert strict.missing == {"face": "no face in any of 3 pictures"}
    assert read(utterance(clip(tmp_path / "b.mp4", levels=(200, 0, 0)))).notes == ("a face in 1 of 3 pictures",)


def test_where_no_face_was_sought_none_is_missed(tmp_path):
    item = utterance(clip(tmp_path / "a.mp4", levels=(200, 200, 200)))
    example = read(item, detector=MiddleOfPicture())
    assert example.notes == ("no face was sought in 3 pictures: their middle is used",)
    leave = MultimodalSettings(faces=FaceSettings(without_face="leave_out"))
    assert read(item, leave, detector=MiddleOfPicture()).missing == {"face": "no face was sought in 3 pictures"}


def test_sound_and_picture_of_unequal_length_are_read_as_far_as_they_go(tmp_path):
    longer = read(utterance(clip(tmp_path / "a.mp4", sound=np.tile(TONE, 3))))
    assert longer.notes[0].startswith("the pictures end 4.")
    assert (len(longer.faces.pixels), len(longer.pieces)) == (4, 16)
    shorter = read(utterance(clip(tmp_path / "b.mp4", levels=(200,) * 12)))
    assert shorter.notes[0].startswith("the sound ends 4.")


def test_ten_thousand_words_are_cut(tmp_path):
    example = read(utterance(None, text="so " * 10_000))
    assert len(example.tokens) == 100
    assert example.notes == ("of 10000 words only the first 100 tokens are read",)


def test_crops_are_kept_by_the_bytes_of_the_video_and_all_settings(tmp_path):
    path, kept, detector = clip(tmp_path / "a.mp4"), {}, Corner()

    def keep(key, compute):
        if key not in kept:
            kept[key] = compute()
        return kept[key]

    first = read(utterance(path), detector=detector, keep=keep)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    again = read(utterance(copy), detector=detector, keep=keep)
    assert detector.asked == 4
    assert torch.equal(first.faces.pixels, again.faces.pixels)
    read(utterance(path), MultimodalSettings(faces=FaceSettings(margin=8)), detector=detector, keep=keep)
    read(utterance(path).with_(video=Video(path, 0.5)), detector=detector, keep=keep)
    assert detector.asked == 4 + 4 + 3
    assert len(kept) == 3
    gone = read(utterance(tmp_path / "gone.mp4"), keep=keep)
    assert "No such file" in gone.missing["face"]


def test_prepared_faces_need_no_video_and_no_detector(tmp_path):
    crops = crop_faces([Picture(0.0, grey(90)), Picture(0.5, grey(90))], Corner())
    write_faces(tmp_path / "faces.safetensors", crops)
    item = utterance(None).with_(faces=tmp_path / "faces.safetensors")
    assert torch.equal(read(item, detector=None).faces.pixels, crops.pixels)


def test_only_what_is_wanted_is_read(tmp_path):
    example = read(utterance(clip(tmp_path / "a.mp4")), modalities=("audio",), detector=None, tokeniser=None)
    assert example.present == ("audio",)
    assert example.missing["face"] == "not asked for"


def test_a_detector_and_a_tokeniser_are_asked_for_where_they_are_needed(tmp_path):
    item = utterance(clip(tmp_path / "a.mp4"))
    with pytest.raises(UsageError, match="no detector"):
        read(item, detector=None)
    with pytest.raises(UsageError, match="no tokeniser"):
        read(item, tokeniser=None)


def test_a_span_is_the_same_span_of_sound_and_picture(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.concatenate([TONE, 0 * TONE]), 16_000)
    path = clip(tmp_path / "a.mp4", levels=(200, 200, 200, 200, 0, 0, 0, 0), sound=None)
    item = Utterance("a", tmp_path / "a.wav", "own", "anna", None, start_s=1.0, end_s=3.0, video=Video(path, 1.0, 3.0))
    example = read(item)
    assert example.faces.found.tolist() == [True, True, False, False]
    assert example.duration_s == 2.0
    energy = example.pieces.sum(dim=(1, 2, 3))
    assert energy[0] > 100 * energy[-1]


@pytest.fixture
def encoder(tmp_path) -> Path:
    """The tokeniser of a tiny BERT, as it lies in a checkpoint's folder."""
    folder = tmp_path / "bert"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "kids", "are", "talk", "##ing", "by", "the", "door"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    return folder


def test_words_become_the_numbers_of_the_encoder(encoder):
    pytest.importorskip("transformers", reason="needs the extra ssl")
    tokeniser = open_tokeniser(encoder)
    tokens, cut = tokeniser.encode("Kids are talking by the door", 100)
    assert (tokens.tolist(), cut) == ([2, 5, 6, 7, 8, 9, 10, 11, 3], False)
    tokens, cut = tokeniser.encode("kids " * 10_000, 100)
    assert (len(tokens), tokens[0], tokens[-1], cut) == (100, 2, 3, True)
    tokens, cut = tokeniser.encode("kids " * 50, 20)
    assert (len(tokens), cut) == (20, True)
    assert tokeniser.encode("k" * 100_000, 20)[1]
    assert tokeniser.name == open_tokeniser(encoder).name


def test_a_folder_without_a_tokeniser_is_told(tmp_path, encoder, monkeypatch):
    with pytest.raises(CheckpointError, match="no such folder"):
        open_tokeniser(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="no tokenizer"):
        open_tokeniser(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="ssl"):
        open_tokeniser(encoder)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc/self/status, which Linux has")
def test_a_minute_of_video_stays_far_below_two_gigabytes(tmp_path):
    mtcnn = pytest.importorskip("serenade.models.faces.mtcnn")
    if mtcnn.mtcnn_weights() is None:
        pytest.skip("needs the weights: pip install --no-deps facenet-pytorch==2.6.0")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8)] * 120
    path = write_clip(tmp_path / "a.mp4", [k / 2 for k in range(120)], pictures, np.tile(TONE, 30))
    code = (
        "import sys; from pathlib import Path; from serenade.core.records import Utterance, Video;"
        "from serenade.models.faces.mtcnn import open_mtcnn; from serenade.signal.multimodal import read_multimodal;"
        "path = Path(sys.argv[1]); item = Utterance('clip', path, 'own', 'anna', None, video=Video(path));"
        "print(read_multimodal(item, detector=open_mtcnn()).num_frames);"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    frames, peak_kb = map(int, done.stdout.split())
    assert frames == 120 + 151
    assert peak_kb < 1.2e6


def test_the_real_clip_has_a_face_in_every_picture(real_clip):
    mtcnn = pytest.importorskip("serenade.models.faces.mtcnn")
    if mtcnn.mtcnn_weights() is None:
        pytest.skip("needs the weights: pip install --no-deps facenet-pytorch==2.6.0")
    half = MultimodalSettings(frames=FrameSettings(longest_side=640))  # quicker than as a whole
    example = read(utterance(real_clip, text=None), half, detector=mtcnn.open_mtcnn())
    assert example.faces.found.tolist() == [True] * 7
    assert [picture.time_s for picture in sample_frames(Video(real_clip))] == example.faces.times_s.tolist()
    assert example.face_frames().mean(dim=(0, 2, 3)).abs().max() < 0.5  # close to the faces the network was made for
    assert len(example.pieces) == 9
