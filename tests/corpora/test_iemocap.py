"""IEMOCAP: the published counts come out, speakers are those who talk, and half a copy says what is missing."""

import logging
import shutil
from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.conversation_trees import (
    IEMOCAP_DIFFERING,
    IEMOCAP_IMPROVISED,
    IEMOCAP_SPEAKERS,
    Turn,
    iemocap_block,
    iemocap_dialogues,
    iemocap_turns,
    make_iemocap,
    name_iemocap_turns,
    place_file,
)

from serenade.core.errors import CorpusError
from serenade.core.label_maps import LABEL_MAPS
from serenade.core.labels import LabelSet
from serenade.core.records import Attributes, Listing, Utterance
from serenade.corpora import CORPORA
from serenade.corpora.iemocap import CORPUS, list_files
from serenade.corpora.selection import Selection, select
from serenade.corpora.statistics import count_by
from serenade.evaluation.leaks import check_split
from serenade.evaluation.splits import make_split, parse_split

FOUR = LabelSet(("angry", "happy", "neutral", "sad"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Listing:
    """All 10,039 turns in the real layout, with the published counts."""
    root = tmp_path_factory.mktemp("IEMOCAP_full_release")
    return list_files(make_iemocap(root, name_iemocap_turns(iemocap_turns(), differing=IEMOCAP_DIFFERING)))


def four(listing: Listing, reading: str) -> tuple[Utterance, ...]:
    return select(listing, Selection(FOUR, LABEL_MAPS[reading]), Path("IEMOCAP")).utterances


def small(root: Path, *names: str, code: str = "ang") -> Path:
    """A copy with these turns and one of every other session."""
    others = [f"Ses0{session}M_script01_1_M000" for session in "12345"]
    return make_iemocap(root, [(name, Turn(name[:5], "impro", code)) for name in (*names, *others)])


def label_file(root: Path, dialogue: str) -> Path:
    return root / f"Session{dialogue[4]}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"


def test_all_turns_are_there(whole: Listing) -> None:
    assert len(whole.utterances) == 10039
    assert whole.left_out == ()
    counted = Counter(u.emotion for u in whole.utterances)
    assert counted.pop(None) == 2507
    assert counted == CORPUS.expected
    assert {u.dialogue for u in whole.utterances} == {name for names in iemocap_dialogues().values() for name in names}
    assert len({u.dialogue for u in whole.utterances}) == 151


def test_four_classes_by_speaker_session_and_part(whole: Listing) -> None:
    merged = four(whole, "merge")
    assert len(merged) == 5531
    by_speaker = Counter((u.speaker, u.emotion) for u in merged)
    assert by_speaker == {(who, name): n for who, counts in IEMOCAP_SPEAKERS.items() for name, n in counts.items()}
    assert Counter(u.group for u in merged) == {
        "Session1": 1085,
        "Session2": 1023,
        "Session3": 1151,
        "Session4": 1031,
        "Session5": 1241,
    }
    assert Counter(u.extra["part"] for u in merged) == {"improvised": 2943, "scripted": 2588}
    assert Counter(u.emotion for u in merged if u.extra["part"] == "improvised") == IEMOCAP_IMPROVISED


def test_the_page_has_the_counts_that_stats_give(whole: Listing) -> None:
    page = (Path(__file__).parents[2] / "docs" / "corpora" / "iemocap.md").read_text(encoding="utf-8")
    merged = four(whole, "merge")
    for fact, places in (("speaker", 10), ("group", 5), ("part", 2)):
        counts = count_by(merged, fact, Path("IEMOCAP"))
        assert len(counts) == places
        for value, found in counts.items():
            row = [value, *(str(found[name]) for name in FOUR.names), str(sum(found.values()))]
            assert f"| {' | '.join(row)} |\n" in page


@pytest.mark.parametrize(("reading", "happy", "turns"), [("merge", 1636, 5531), ("exc_as_hap", 1041, 4936)])
def test_readings_of_happy(whole: Listing, reading: str, happy: int, turns: int) -> None:
    found = four(whole, reading)
    assert (sum(u.emotion == "happy" for u in found), len(found)) == (happy, turns)


def test_happy_alone(whole: Listing) -> None:
    found = four(whole, "hap_only")
    assert (sum(u.emotion == "happy" for u in found), len(found)) == (595, 4490)
    improvised = Counter(u.emotion for u in found if u.extra["part"] == "improvised")
    assert improvised == {"neutral": 1099, "happy": 284, "sad": 608, "angry": 289}


def test_the_speaker_is_not_who_wears_the_markers(whole: Listing) -> None:
    merged = four(whole, "merge")
    assert sum(u.id[:6] != u.speaker for u in merged) == 2750
    assert all(u.speaker[5] == u.id.rpartition("_")[2][0] for u in whole.utterances)
    assert all((u.gender == "female") == u.speaker.endswith("F") for u in whole.utterances)
    assert len({u.speaker for u in whole.utterances}) == 10


def test_session_split_has_the_published_sizes(whole: Listing) -> None:
    split = make_split(four(whole, "merge"), parse_split("session"))
    assert [len(fold.test) for fold in split.folds] == [1085, 1023, 1151, 1031, 1241]
    assert {len(fold.train) + len(fold.validation) + len(fold.test) for fold in split.folds} == {5531}


def test_loso_validates_on_the_other_speaker_of_the_session(whole: Listing) -> None:
    merged = four(whole, "merge")
    speakers = {u.id: u.speaker for u in merged}
    split = make_split(merged, parse_split("loso"))
    pairs = {(speakers[fold.test[0]], speakers[fold.validation[0]]) for fold in split.folds}
    assert pairs == {(f"Ses0{n}{a}", f"Ses0{n}{b}") for n in range(1, 6) for a, b in ("FM", "MF")}


def test_superb_has_the_published_sizes(whole: Listing) -> None:
    split = make_split(four(whole, "merge"), parse_split("superb"))
    assert [(len(fold.train), len(fold.validation), len(fold.test)) for fold in split.folds] == [
        (3556, 890, 1085),
        (3606, 902, 1023),
        (3504, 876, 1151),
        (3600, 900, 1031),
        (3432, 858, 1241),
    ]


@pytest.mark.parametrize("protocol", ["loso", "superb"])
def test_nothing_leaks_into_what_is_tested(whole: Listing, protocol: str) -> None:
    merged = four(whole, "merge")
    findings = check_split(make_split(merged, parse_split(protocol)), merged).findings
    assert [finding for finding in findings if finding.severity == "error"] == []


def test_six_classes_of_the_multimodal_lists(whole: Listing) -> None:
    six = {"angry": 1103, "excited": 1041, "frustrated": 1849, "happy": 595, "neutral": 1708, "sad": 1084}
    assert Counter(u.emotion for u in whole.utterances if u.emotion in six) == six
    assert sum(six.values()) == 7380


def test_a_turn_tells_everything(tmp_path: Path) -> None:
    root = small(tmp_path, "Ses03M_impro05a_F007")
    utterance = next(u for u in list_files(root).utterances if u.dialogue == "Ses03M_impro05a")
    assert utterance.audio == root / "Session3/sentences/wav/Ses03M_impro05a/Ses03M_impro05a_F007.wav"
    assert (utterance.speaker, utterance.gender, utterance.group) == ("Ses03F", "female", "Session3")
    assert (utterance.emotion, utterance.language) == ("angry", "en")
    assert utterance.text == "Turn Ses03M_impro05a_F007 says: yes."
    assert utterance.sentence == "turn ses03m_impro05a_f007 says yes"
    assert utterance.attributes == Attributes(1, 5, valence=2.5, arousal=3.0, dominance=3.5)
    assert utterance.votes == {"angry": 2, "other": 1}
    assert utterance.extra == {
        "part": "improvised",
        "dialogue_start_s": "6.2901",
        "dialogue_end_s": "8.2357",
        "self_rating": "angry",
    }


def test_the_part_comes_from_the_turn_and_not_from_the_path(tmp_path: Path) -> None:
    root = small(tmp_path / "improvised" / "script", "Ses01F_script03_2_F001", "Ses01F_impro03_F001")
    parts = {u.id: u.extra["part"] for u in list_files(root).utterances}
    assert (parts["Ses01F_script03_2_F001"], parts["Ses01F_impro03_F001"]) == ("scripted", "improvised")


def test_no_majority_has_votes_and_no_class(tmp_path: Path) -> None:
    root = small(tmp_path, "Ses01F_impro01_F000")
    raters = ("C-E1:\tHappiness; Excited;\t()", "C-E2:\tNeutral state;\t()", "C-E4:\tFrustration;\t(why; not)")
    label_file(root, "Ses01F_impro01").write_text(iemocap_block("Ses01F_impro01_F000", "xxx", raters=raters))
    utterance = list_files(root).utterances[0]
    assert utterance.id == "Ses01F_impro01_F000"
    assert utterance.emotion is None
    assert utterance.votes == {"happy": 1, "excited": 1, "neutral": 1, "frustrated": 1}


def test_a_mark_off_the_scale_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = small(tmp_path, "Ses01F_impro01_F000")
    block = iemocap_block("Ses01F_impro01_F000", "ang", marks="5.5000, 3.0000, nan")
    label_file(root, "Ses01F_impro01").write_text(block)
    with caplog.at_level(logging.WARNING):
        utterance = list_files(root).utterances[0]
    assert utterance.attributes == Attributes(1, 5, arousal=3.0)
    assert "Ses01F_impro01.txt, line 1: valence 5.5000 is not on the scale from 1 to 5" in caplog.text


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("()", "(naïve)").encode("latin-1"),
        lambda text: text.encode("utf-16"),
    ],
    ids=["CRLF", "BOM", "Latin-1", "UTF-16"],
)
def test_label_files_of_all_systems_are_read(tmp_path: Path, encode: object) -> None:
    root = small(tmp_path, "Ses01F_impro01_F000")
    expected = list_files(root)
    for path in root.glob("Session*/dialog/*/*.txt"):
        path.write_bytes(encode(path.read_text(encoding="utf-8")))  # type: ignore[operator]
    assert list_files(root) == expected
    assert len(expected.utterances) == 6


def test_shadow_files_of_a_mac_are_not_seen(tmp_path: Path) -> None:
    root = small(tmp_path, "Ses01F_impro01_F000")
    expected = list_files(root)
    for path in (
        root / "Session1/sentences/wav/Ses01F_impro01/._Ses01F_impro01_F000.wav",
        root / "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt",
        root / "Session1/dialog/transcriptions/._Ses01F_impro01.txt",
    ):
        path.write_bytes(b"\0\5\26\7Mac OS X")
    assert list_files(root) == expected


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    root = small(tmp_path, "Ses01F_impro01_F000", "Ses01F_impro01_F001")
    folder = root / "Session1/sentences/wav/Ses01F_impro01"
    (folder / "Ses01F_impro01_F001.wav").unlink()
    for name in ("Ses01F_impro01_F009.wav", "Ses02F_impro01_F000.wav", "track 1.wav", "notes.txt"):
        place_file(folder / name)
    with label_file(root, "Ses01F_impro01").open("a") as file:
        file.write("\n[1.0 - 2.0]\tSes01F_impro01_F002\tjoy\t[1, 2, 3]\n[broken line\n")
        file.write(iemocap_block("Ses01F_impro01_F000", "sad"))
    found = {(item.where, item.reason): item.detail for item in list_files(root).left_out}
    labels = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    below = "Session1/sentences/wav/Ses01F_impro01"
    assert found[f"{labels}, line 15", "unknown label"].startswith("code joy, expected one of ang, dis, exc")
    assert found[f"{labels}, line 16", "unknown label"].startswith("'[broken line', expected [start - end], id, code")
    assert "labelled angry in" in found[f"{labels}, line 17", "duplicate"]
    assert found[f"{below}/Ses01F_impro01_F009.wav", "no label"] == "not in Session1/dialog/EmoEvaluation"
    assert (
        found[f"{below}/Ses02F_impro01_F000.wav", "unreadable name"] == "a turn of session 2 in the folder of session 1"
    )
    assert found[f"{below}/track 1.wav", "unreadable name"] == "expected a name such as Ses01F_impro01_F000"
    assert found[f"{below}/notes.txt", "other material"] == "not a sound file"
    assert found[f"{below}/Ses01F_impro01_F001.wav", "missing"] == f"labelled in {labels}, line 9"
    assert len(found) == 8


def test_half_a_copy_says_what_is_missing(tmp_path: Path) -> None:
    root = small(tmp_path, "Ses01F_impro01_F000")
    shutil.rmtree(root / "Session2")
    shutil.rmtree(root / "Session3" / "dialog")
    shutil.rmtree(root / "Session4" / "sentences")
    listing = list_files(root)
    assert {u.group for u in listing.utterances} == {"Session1", "Session5"}
    assert {item.where: item.detail for item in listing.left_out} == {
        "Session2": "the whole session; unpack it too",
        "Session3/dialog/EmoEvaluation": "the labels of 1 recording; unpack this folder too",
        "Session4/sentences/wav": "the recordings of 1 turn; unpack this folder too",
    }
    assert {item.reason for item in listing.left_out} == {"missing"}


@pytest.mark.parametrize(("gone", "named"), [("dialog", "dialog/EmoEvaluation"), ("sentences", "sentences/wav")])
def test_a_copy_without_labels_or_recordings_is_refused(tmp_path: Path, gone: str, named: str) -> None:
    root = small(tmp_path)
    for session in root.iterdir():
        shutil.rmtree(session / gone)
    with pytest.raises(CorpusError, match=rf"no session of IEMOCAP has a folder {named}: .*Unpack the archive anew"):
        list_files(root)


def test_without_transcripts_words_are_not_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = small(tmp_path, "Ses01F_impro01_F000")
    shutil.rmtree(root / "Session1" / "dialog" / "transcriptions")
    with caplog.at_level(logging.WARNING):
        first = list_files(root).utterances[0]
    assert (first.text, first.sentence, first.emotion) == (None, None, "angry")
    assert "the words of its turns are not known" in caplog.text


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = small(tmp_path / "IEMOCAP_full_release")
    for wrong in (tmp_path, root / "Session1", root / "Session1" / "sentences"):
        with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
            list_files(wrong)


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    place_file(tmp_path / "wav" / "03a01Fa.wav")
    with pytest.raises(CorpusError, match=r"not the folder of IEMOCAP.*Found: wav/.*Session1/ to Session5/"):
        list_files(tmp_path)


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("iemocap") is CORPUS
    assert sum(CORPUS.expected.values()) + 2507 == 10039
    assert CORPUS.commercial_use is False
