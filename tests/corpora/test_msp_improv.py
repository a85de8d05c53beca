"""MSP-IMPROV: the published counts come out, attributes go by their prefix, both spellings of the labels are read."""

import logging
import shutil
from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.conversation_trees import (
    MSP_IMPROV,
    make_msp_improv,
    msp_improv_block,
    msp_improv_turns,
    place_file,
)

from serenade.core.errors import CorpusError
from serenade.core.records import Attributes, Listing
from serenade.corpora import CORPORA
from serenade.corpora.msp_improv import CORPUS, list_files
from serenade.evaluation.splits import make_split, parse_split

FIRST = "MSP-IMPROV-S01A-F01-S-FM01"
ONE_EACH = [(FIRST, "N"), *((f"MSP-IMPROV-S07H-M0{session}-T-MF02", "H") for session in range(1, 7))]
LETTERS = {"A": "angry", "H": "happy", "N": "neutral", "O": "other", "S": "sad", "X": None}


@pytest.fixture(scope="session")
def root_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_msp_improv(tmp_path_factory.mktemp("MSP-IMPROV"), msp_improv_turns())


@pytest.fixture(scope="session")
def whole(root_of_all: Path) -> Listing:
    """All 8,438 turns in the real layout, with the published counts."""
    return list_files(root_of_all)


def by_id(listing: Listing, name: str = FIRST) -> object:
    return next(u for u in listing.utterances if u.id == name)


def test_counts_by_scenario_and_class(whole: Listing) -> None:
    assert len(whole.utterances) == 8438
    assert whole.left_out == ()
    found = Counter((u.extra["scenario"], u.emotion) for u in whole.utterances)
    assert found == {(code, LETTERS[letter]): n for code, row in MSP_IMPROV.items() for letter, n in row.items()}
    totals = Counter(u.emotion for u in whole.utterances)
    assert totals.pop(None) == 555
    assert totals == CORPUS.expected
    assert sum(totals[name] for name in ("angry", "sad", "happy", "neutral")) == 7798
    parts = Counter(u.extra["part"] for u in whole.utterances)
    assert parts == {"target-improvised": 652, "target-read": 620, "other-improvised": 4381, "natural": 2785}


def test_complete_counts_bring_no_warning(root_of_all: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        list_files(root_of_all)
    assert caplog.text == ""


def test_swapped_scenarios_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    swapped = {"-S-": "-T-", "-T-": "-S-"}
    turns = [(f"{name[:19]}{swapped.get(name[19:22], name[19:22])}{name[22:]}", x) for name, x in msp_improv_turns()]
    root = make_msp_improv(tmp_path, ONE_EACH)
    (root / "Evalution.txt").write_text("\n".join(msp_improv_block(*turn) for turn in turns))
    with caplog.at_level(logging.WARNING):
        list_files(root)
    assert "differ from the published ones (T 4381 of 652 turns, S 652 of 4381 turns)" in caplog.text


def test_twelve_speakers_in_six_sessions(whole: Listing) -> None:
    assert {u.speaker for u in whole.utterances} == {f"{sex}0{n}" for sex in "FM" for n in range(1, 7)}
    assert {(u.group, u.speaker[1:]) for u in whole.utterances} == {(f"session{n}", f"0{n}") for n in range(1, 7)}
    labelled = [u for u in whole.utterances if u.emotion is not None]
    assert len(make_split(labelled, parse_split("session")).folds) == 6
    assert len(make_split(labelled, parse_split("loso")).folds) == 12


def test_a_turn_tells_everything(tmp_path: Path) -> None:
    root = make_msp_improv(tmp_path, ONE_EACH)
    utterance = list_files(root).utterances[0]
    assert utterance.id == FIRST
    assert utterance.audio == root / "Audio/session1/S01A/S" / f"{FIRST}.wav"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("F01", "female", "neutral")
    assert (utterance.group, utterance.dialogue, utterance.sentence) == ("session1", "session1-S01A", None)
    assert utterance.attributes == Attributes(1, 5, valence=3.5, arousal=3.0, dominance=2.0)
    assert utterance.votes == {"neutral": 3}
    assert utterance.extra == {
        "part": "other-improvised",
        "scenario": "S",
        "target_sentence": "01",
        "intended": "angry",
        "naturalness": "3.200000",
    }


def test_target_sentences_share_their_words_and_reading_is_no_dialogue(tmp_path: Path) -> None:
    names = ("MSP-IMPROV-S07A-F01-T-FM01", "MSP-IMPROV-S07H-M02-R-MF01", "MSP-IMPROV-S07H-M02-P-MF01")
    listing = list_files(make_msp_improv(tmp_path, [(name, "H") for name in names]))
    assert {u.extra["scenario"]: (u.sentence, u.dialogue) for u in listing.utterances} == {
        "T": ("07", "session1-S07A"),
        "R": ("07", None),
        "P": (None, "session2-S07H"),
    }


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("V:4.0; A:2.0; D:1.0;", Attributes(1, 5, valence=4, arousal=2, dominance=1)),
        ("A:2.0; V:NaN; D:NaN ; N:NaN;", Attributes(1, 5, arousal=2)),
        ("A:2.0; D:1.5;", Attributes(1, 5, arousal=2, dominance=1.5)),
        ("A:NaN; V:NaN; D:NaN ; N:NaN;", None),
        ("", None),
    ],
)
def test_attributes_go_by_prefix(tmp_path: Path, marks: str, expected: Attributes | None) -> None:
    root = make_msp_improv(tmp_path, ONE_EACH)
    (root / "Evalution.txt").write_text(msp_improv_block(FIRST, "N", marks=marks))
    assert list_files(root).utterances[0].attributes == expected


def test_no_majority_has_votes_and_no_class(tmp_path: Path) -> None:
    utterance = list_files(make_msp_improv(tmp_path, [(FIRST, "X")])).utterances[0]
    assert (utterance.emotion, utterance.votes) == (None, {"other": 3})


@pytest.mark.parametrize("label_file", ["Evalution.txt", "Evaluation.txt"])
@pytest.mark.parametrize("below", ["Audio", ".", "MSP-IMPROV/Audio"])
def test_both_spellings_and_layouts(tmp_path: Path, label_file: str, below: str) -> None:
    listing = list_files(make_msp_improv(tmp_path, ONE_EACH, label_file=label_file, below=below))
    assert [u.id for u in listing.utterances] == sorted(name for name, _ in ONE_EACH)
    assert listing.left_out == ()


def test_recordings_in_one_folder_are_found(tmp_path: Path) -> None:
    root = make_msp_improv(tmp_path, ONE_EACH)
    for path in list((root / "Audio").rglob("*.wav")):
        path.rename(root / path.name)
    shutil.rmtree(root / "Audio")
    assert len(list_files(root).utterances) == len(ONE_EACH)


def test_video_beside_the_sound_is_other_material(tmp_path: Path) -> None:
    root = make_msp_improv(tmp_path, ONE_EACH)
    place_file(root / "Audio/session1/S01A/S" / f"{FIRST}.avi")
    listing = list_files(root)
    assert listing.utterances[0].audio.suffix == ".wav"
    assert [(item.reason, item.detail) for item in listing.left_out] == [
        ("other material", f"the video of Audio/session1/S01A/S/{FIRST}.wav")
    ]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("Annoyed", "blasé").encode("latin-1"),
    ],
    ids=["CRLF", "BOM", "Latin-1"],
)
def test_label_files_of_all_systems_are_read(tmp_path: Path, encode: object) -> None:
    root = make_msp_improv(tmp_path, ONE_EACH)
    expected = list_files(root)
    path = root / "Evalution.txt"
    path.write_bytes(encode(path.read_text()))  # type: ignore[operator]
    assert list_files(root) == expected


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    root = make_msp_improv(tmp_path, ONE_EACH)
    folder = root / "Audio/session1/S01A/S"
    for name in ("MSP-IMPROV-S01A-F01-S-FM99.wav", "MSP-IMPROV-S01A-F09-S-FM01.wav", "MSP-IMPROV-S01A-F01-Q-FM01.wav"):
        place_file(folder / name)
    more = (
        "UTD-IMPROV-S02A-F01-S-FM01.avi; Z; A:1;",
        f"UTD-{FIRST[4:]}.avi; A; A:1;",
        "UTD-IMPROV-S03A-F01-S-FM01.avi; A;",
    )
    with (root / "Evalution.txt").open("a") as file:
        file.write("\n" + "\n\n".join(more) + "\n")
    found = {(item.where, item.reason): item.detail for item in list_files(root).left_out}
    assert found["Evalution.txt, line 43", "unknown label"].startswith(
        "'UTD-IMPROV-S02A-F01-S-FM01.avi; Z; A:1', expected"
    )
    twice = found["Evalution.txt, line 45", "duplicate"]
    assert twice == f"{FIRST} has the letter N in Evalution.txt, line 1 and A here; the first counts"
    assert found["MSP-IMPROV-S03A-F01-S-FM01.wav", "missing"] == "labelled in Evalution.txt, line 47"
    below = "Audio/session1/S01A/S/MSP-IMPROV-S01A"
    assert found[f"{below}-F01-S-FM99.wav", "no label"] == "not in Evalution.txt"
    assert found[f"{below}-F09-S-FM01.wav", "unreadable name"].endswith("such as MSP-IMPROV-S01A-F01-S-FM01")
    assert found[f"{below}-F01-Q-FM01.wav", "unreadable name"].endswith("such as MSP-IMPROV-S01A-F01-S-FM01")
    assert len(found) == 6


def test_half_a_copy_says_what_is_missing(tmp_path: Path) -> None:
    root = make_msp_improv(tmp_path, ONE_EACH)
    shutil.rmtree(root / "Audio" / "session4")
    left_out = [(item.where, item.reason) for item in list_files(root).left_out]
    assert left_out == [("MSP-IMPROV-S07H-M04-T-MF02.wav", "missing"), ("session session4", "missing")]


def test_a_copy_without_labels_or_recordings_is_refused(tmp_path: Path) -> None:
    root = make_msp_improv(tmp_path / "a", ONE_EACH, below=".")
    (root / "Evalution.txt").unlink()
    with pytest.raises(
        CorpusError, match=r"label file of MSP-IMPROV is not there: .*Evalution.txt \(or Evaluation.txt\)"
    ):
        list_files(root)
    root = make_msp_improv(tmp_path / "b", ONE_EACH)
    shutil.rmtree(root / "Audio")
    with pytest.raises(CorpusError, match=r"recordings of MSP-IMPROV are not there: .*session1/ to session6/"):
        list_files(root)


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make_msp_improv(tmp_path / "MSP-IMPROV", ONE_EACH)
    with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
        list_files(tmp_path)
    for inside in ("Audio", "Audio/session1"):
        with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
            list_files(root / inside)


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    place_file(tmp_path / "wav" / "03a01Fa.wav")
    with pytest.raises(CorpusError, match=r"not the folder of MSP-IMPROV.*Found: wav/.*Evalution.txt"):
        list_files(tmp_path)


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("msp-improv") is CORPUS
    assert CORPUS.commercial_use is False
