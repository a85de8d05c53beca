"""MELD: three tables and their folders, texts put right, one spelling per speaker, and what cannot be had is said."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.corpora.conversation_trees import MELD_FOLDERS, MELD_ROWS, make_meld, place_file

from serenade.core.errors import CorpusError
from serenade.corpora import CORPORA
from serenade.corpora.meld import CORPUS, list_files

IDS = ["dev_dia0_utt0", "test_dia0_utt0", "test_dia0_utt1", "train_dia0_utt0", "train_dia0_utt1"]


def test_an_utterance_tells_everything(tmp_path: Path) -> None:
    root = make_meld(tmp_path)
    listing = list_files(root)
    assert [u.id for u in listing.utterances] == IDS
    utterance = listing.utterances[3]
    assert utterance.audio == root / "train_splits" / "dia0_utt0.mp4"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("Phoebe", "female", "sad")
    assert (utterance.dialogue, utterance.group, utterance.split) == ("train_dia0", None, "train")
    assert utterance.text == "Oh my God, he’s lost it. He’s totally lost it."
    assert utterance.sentence == "oh my god he s lost it he s totally lost it"
    assert utterance.extra == {
        "sentiment": "negative",
        "episode": "4x7",
        "episode_start": "00:20:57,256",
        "episode_end": "00:21:00,049",
    }


def test_what_the_published_corpus_lacks_is_no_damage(tmp_path: Path) -> None:
    left_out = list_files(make_meld(tmp_path)).left_out
    assert {(item.where, item.reason): item.detail for item in left_out} == {
        ("train_sent_emo.csv, line 4", "not selected"): "dia125_utt3: damaged in the published corpus",
        ("dev_sent_emo.csv, line 3", "not selected"): "dia110_utt7: not in the published corpus",
    }


def test_a_repaired_copy_has_both(tmp_path: Path) -> None:
    root = make_meld(tmp_path, suffix=".wav")
    place_file(root / "dev_splits_complete" / "dia110_utt7.mp4")
    place_file(root / "train_splits" / "dia125_utt3.wav")
    listing = list_files(root)
    assert len(listing.utterances) == 7
    assert listing.left_out == ()


def test_one_spelling_per_speaker(tmp_path: Path) -> None:
    names = ["Joey and Ross", "Ross and  Joey", "ROSS & JOEY", "Phoebe Sr", "Phoebe Sr.", "phoebe  sr.", "Joey"]
    rows = [f"1,Hi.,{name},joy,positive,0,{place},1,1,0,0" for place, name in enumerate(names)]
    found = list_files(make_meld(tmp_path, {"train": rows})).utterances
    assert [u.speaker for u in found] == ["Joey and Ross"] * 3 + ["Phoebe Sr"] * 3 + ["Joey"]
    assert [u.gender for u in found] == [None] * 6 + ["male"]


def test_all_classes_and_parts(tmp_path: Path) -> None:
    words = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"]
    rows = [f"1,Hi.,Joey,{word},positive,0,{place},1,1,0,0" for place, word in enumerate(words)]
    found = list_files(make_meld(tmp_path, dict.fromkeys(("train", "dev", "test"), rows))).utterances
    assert {u.emotion for u in found} == set(CORPUS.expected)
    assert {(u.id.partition("_")[0], u.split) for u in found} == {
        ("train", "train"),
        ("dev", "validation"),
        ("test", "test"),
    }


@pytest.mark.parametrize(
    "folders",
    [
        MELD_FOLDERS,
        {part: f"{part}/{folder}" for part, folder in MELD_FOLDERS.items()},
        {part: f"MELD.Raw/{folder}" for part, folder in MELD_FOLDERS.items()},
        {part: f"audio/{part}" for part in MELD_FOLDERS},
        {"train": "train_splits", "dev": "dev_splits", "test": "test_splits"},
    ],
    ids=["official", "unpacked apart", "below", "extracted", "renamed"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".wav", ".flac"])
def test_layouts_of_copies(tmp_path: Path, folders: dict[str, str], suffix: str) -> None:
    listing = list_files(make_meld(tmp_path, folders=folders, suffix=suffix))
    assert [u.id for u in listing.utterances] == IDS
    assert {item.reason for item in listing.left_out} == {"not selected"}


def test_tables_may_lie_one_level_below(tmp_path: Path) -> None:
    root = make_meld(tmp_path)
    expected = list_files(root)
    (root / "data").mkdir()
    for path in list(root.glob("*.csv")):
        path.rename(root / "data" / path.name)
    assert list_files(root) == expected


def test_sound_goes_before_video(tmp_path: Path) -> None:
    root = make_meld(make_meld(tmp_path), suffix=".wav")
    listing = list_files(root)
    assert {u.audio.suffix for u in listing.utterances} == {".wav"}
    assert all(u.video is not None and u.video.path == u.audio.with_suffix(".mp4") for u in listing.utterances)
    assert not [item for item in listing.left_out if item.reason == "other material"]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("latin-1"),
        lambda text: text.replace("\u0092", "’").encode(),
        lambda text: text.replace("\u0092", "’").encode("cp1252"),
    ],
    ids=["CRLF", "BOM", "Latin-1", "UTF-8", "Windows-1252"],
)
def test_tables_of_all_systems_are_read(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    root = make_meld(tmp_path)
    expected = list_files(root)
    for path in root.glob("*.csv"):
        path.write_bytes(encode(path.read_text(encoding="utf-8")))
    assert list_files(root) == expected


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    more = (
        "4,Hm.,Joey,calm,neutral,0,2,1,1,0,0",
        "5,Hm.,Joey,joy,neutral,0,0,1,1,0,0",
        "6,Hm.,Joey,joy,neutral,x,9,1,1,0,0",
        "7,Hm.,Joey,joy,neutral,7,7,1,1,0,0",
    )
    root = make_meld(tmp_path, {**MELD_ROWS, "train": (*MELD_ROWS["train"], *more)})
    (root / "train_splits" / "dia7_utt7.mp4").unlink()
    place_file(root / "train_splits" / "dia9_utt9.mp4")
    place_file(root / "output_repeated_splits_test" / "final_videos_testdia0_utt0.mp4")
    place_file(root / "output_repeated_splits_test" / "._dia0_utt0.mp4")
    place_file(root / "README.txt")
    place_file(root / "trailer.mp4")
    found = {(item.where, item.reason): item.detail for item in list_files(root).left_out}
    table = "train_sent_emo.csv, line"
    classes = "anger, disgust, fear, joy, neutral, sadness, surprise"
    assert found[f"{table} 5", "unknown label"] == f"Emotion 'calm', expected one of {classes}"
    assert found[f"{table} 6", "duplicate"] == "dia0_utt0 stands above already"
    assert found[f"{table} 7", "unreadable name"] == "Dialogue_ID or Utterance_ID is no number"
    assert found[f"{table} 8", "missing"] == "no recording dia7_utt7 in the folder of train"
    assert found["train_splits/dia9_utt9.mp4", "no label"] == "not in train_sent_emo.csv"
    copies = "output_repeated_splits_test/final_videos_testdia0_utt0.mp4"
    assert found[copies, "other material"] == "a recording without a label, as published"
    assert found["train_splits/diax_utt9.mp4", "unreadable name"] == "expected a name such as dia0_utt0"
    assert found["trailer.mp4", "other material"] == "in no folder of a part, such as train_splits"
    assert len(found) == 10


def test_half_a_copy_says_what_is_missing(tmp_path: Path) -> None:
    root = make_meld(tmp_path)
    shutil.rmtree(root / "output_repeated_splits_test")
    (root / "dev_sent_emo.csv").unlink()
    listing = list_files(root)
    assert {u.split for u in listing.utterances} == {"train"}
    assert {item.where: item.detail for item in listing.left_out if item.reason == "missing"} == {
        "dev_sent_emo.csv": "the labels of 1 recording; unpack this table too",
        "test recordings": "the recordings of 2 utterances; unpack the folder too",
    }


def test_tables_without_recordings_are_refused(tmp_path: Path) -> None:
    root = make_meld(tmp_path)
    for folder in MELD_FOLDERS.values():
        shutil.rmtree(root / folder)
    with pytest.raises(CorpusError, match=r"recordings of MELD are not there: .*train_splits.*Unpack train\.tar\.gz"):
        list_files(root)


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    root = make_meld(tmp_path)
    table = root / "dev_sent_emo.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("Dialogue_ID", "Dialog"), encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"no column 'Dialogue_ID': .*dev_sent_emo\.csv, line 1\. Found: Sr No\., Utt"
    ):
        list_files(root)


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make_meld(tmp_path / "MELD" / "MELD.Raw")
    for wrong in (tmp_path, root / "train_splits"):
        with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
            list_files(wrong)


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    place_file(tmp_path / "wav" / "03a01Fa.wav")
    with pytest.raises(CorpusError, match=r"not the folder of MELD.*Found: wav/.*train_sent_emo\.csv"):
        list_files(tmp_path)


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("meld") is CORPUS
    assert sum(CORPUS.expected.values()) + 2 == 13708
