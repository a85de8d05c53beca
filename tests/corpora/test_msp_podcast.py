"""MSP-Podcast: the label table is read with and without recordings, raters become votes, parts keep their names."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.corpora.conversation_trees import PODCAST_HEADER, PODCAST_ROWS, make_msp_podcast, place_file

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER, Attributes, Utterance
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.msp_podcast import CORPUS, list_files
from serenade.signal.audio import examine


def by_id(root: Path) -> dict[str, Utterance]:
    return {u.id.removeprefix("MSP-PODCAST_"): u for u in list_files(root).utterances}


def table(root: Path) -> Path:
    return root / "Labels" / "labels_consensus.csv"


def test_a_segment_tells_everything(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path)
    listing = list_files(root)
    assert listing.left_out == ()
    assert [u.id for u in listing.utterances] == [row.partition(".")[0] for row in PODCAST_ROWS]
    first = listing.utterances[0]
    assert first.audio == root / "Audios" / "MSP-PODCAST_0001_0008.wav"
    assert (first.speaker, first.gender, first.emotion, first.language) == ("30", "male", "neutral", "en")
    assert (first.dialogue, first.group, first.split) == ("MSP-PODCAST_0001", None, "test")
    assert first.attributes == Attributes(1, 7, valence=4.0, arousal=2.2, dominance=2.6)
    assert first.votes == {"neutral": 2, "other": 1}
    assert (first.text, first.sentence) == ("It is MSP-PODCAST_0001_0008.", "it is msp podcast_0001_0008")
    assert first.extra == {"split_set": "Test1"}


def test_parts_unknown_speakers_and_no_agreement(tmp_path: Path) -> None:
    found = by_id(make_msp_podcast(tmp_path))
    parts = {u.extra["split_set"]: u.split for u in found.values()}
    assert parts == {"Test1": "test", "Train": "train", "Development": "validation", "Test2": "test"}
    nobody = found["0002_0033"]
    assert (nobody.speaker, nobody.gender) == (UNKNOWN_SPEAKER, None)
    assert (nobody.emotion, nobody.votes) == (None, {"surprised": 1})
    assert found["0003_0001_0002"].dialogue == "MSP-PODCAST_0003"


def test_all_letters(tmp_path: Path) -> None:
    rows = [f"MSP-PODCAST_0001_{place:04d}.wav,{x},1,1,7,1,Male,Train" for place, x in enumerate("ASHUFDCNOX")]
    emotions = [u.emotion for u in list_files(make_msp_podcast(tmp_path, rows)).utterances]
    words = ["angry", "sad", "happy", "surprised", "fearful", "disgusted", "contempt", "neutral", "other", None]
    assert emotions == words


def test_raters_in_columns_of_older_releases(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path)
    lines = ["FileName,Worker,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom"]
    lines += [f"MSP-PODCAST_0001_0009.wav,W{n},{word},Happy,3,4,5" for n, word in enumerate(("Happy", "Sad", "Happy"))]
    (root / "Labels" / "labels_detailed.csv").write_text("\n".join(lines))
    assert by_id(root)["0001_0009"].votes == {"happy": 2, "sad": 1}


def test_labels_are_read_without_recordings(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path)
    complete = list_files(root)
    shutil.rmtree(root / "Audios")
    listing = list_files(root)
    assert listing.utterances == complete.utterances
    (item,) = listing.left_out
    assert (item.where, item.reason) == ("Audios", "missing")
    assert item.detail == "the recordings of 4 segments; unpack this folder too"
    checked = read_corpus("msp-podcast", root, examine=examine)
    assert checked.utterances == ()
    names = ["Audios", *(f"Audios/{row.partition(',')[0]}" for row in PODCAST_ROWS)]
    assert [(item.where, item.reason) for item in checked.left_out] == [(name, "missing") for name in names]


def test_the_folder_of_the_labels_may_be_given(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path)
    assert list_files(root / "Labels") == list_files(root)


def test_the_other_spelling_and_folders_below(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path)
    expected = [u.id for u in list_files(root).utterances]
    table(root).rename(root / "Labels" / "labels_concensus.csv")
    (root / "Audios" / "part1").mkdir()
    for path in list((root / "Audios").glob("*.wav")):
        path.rename(root / "Audios" / "part1" / path.name)
    listing = list_files(root)
    assert [u.id for u in listing.utterances] == expected
    assert {u.audio.parent.name for u in listing.utterances} == {"part1"}


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("Curious", "blasé").encode("latin-1"),
        lambda text: text.replace(",", ";").encode() if "EmoDetail" not in text else text.encode(),
    ],
    ids=["CRLF", "BOM", "Latin-1", "semicolons"],
)
def test_tables_of_all_systems_are_read(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    root = make_msp_podcast(tmp_path)
    expected = list_files(root)
    for path in (root / "Labels").iterdir():
        path.write_bytes(encode(path.read_text()))
    assert list_files(root) == expected


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    rows = [*PODCAST_ROWS, "MSP-PODCAST_0009_0001.wav,Q,1,1,1,1,Male,Train", PODCAST_ROWS[0]]
    root = make_msp_podcast(tmp_path, PODCAST_ROWS)
    table(root).write_text("\n".join((PODCAST_HEADER, *rows)))
    place_file(root / "Audios" / "MSP-PODCAST_0099_0001.wav")
    place_file(root / "Audios" / "track 1.wav")
    place_file(root / "Audios" / "notes.txt")
    found = {(item.where, item.reason): item.detail for item in list_files(root).left_out}
    letters = "EmoClass Q, expected one of A, C, D, F, H, N, O, S, U, X"
    assert found == {
        ("labels_consensus.csv, line 6", "unknown label"): letters,
        ("Audios/MSP-PODCAST_0099_0001.wav", "no label"): "not in labels_consensus.csv",
        ("Audios/track 1.wav", "unreadable name"): "expected a name such as MSP-PODCAST_0001_0008",
        ("Audios/notes.txt", "other material"): "not a sound file",
    }


def test_a_mark_off_the_scale_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_msp_podcast(tmp_path, ["MSP-PODCAST_0001_0001.wav,A,0.5,nan,high,1,Male,Train"])
    with caplog.at_level(logging.WARNING):
        assert list_files(root).utterances[0].attributes is None
    assert "labels_consensus.csv, line 2: arousal 0.5 is not on the scale from 1 to 7" in caplog.text
    assert "line 2: dominance high is not on the scale" in caplog.text


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path)
    table(root).write_text(table(root).read_text().replace("Split_Set", "Partition"))
    with pytest.raises(
        CorpusError, match=r"no column 'Split_Set': .*labels_consensus.csv, line 1.*with FileName, EmoClass, EmoAct"
    ):
        list_files(root)


def test_two_different_lines_for_a_recording_are_refused(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path)
    table(root).write_text("\n".join((PODCAST_HEADER, *PODCAST_ROWS, PODCAST_ROWS[0].replace(",N,", ",S,"))))
    with pytest.raises(CorpusError, match=r"two different lines for MSP-PODCAST_0001_0008\.wav: .*line 6"):
        list_files(root)
    table(root).write_text("\n".join((PODCAST_HEADER, *PODCAST_ROWS, ",N,1,1,1,1,Male,Train")))
    with pytest.raises(CorpusError, match=r"empty cell in the column 'FileName': .*line 6"):
        list_files(root)


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path, ["MSP-PODCAST_0001_0001.wav,A,1,1,1,1,Male,Tain"])
    with pytest.raises(
        CorpusError, match=r"Split_Set: labels_consensus.csv, line 2. Found: 'Tain'. Expected: Train, Dev"
    ):
        list_files(root)


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make_msp_podcast(tmp_path / "MSP-PODCAST-Publish-1.11")
    for wrong in (tmp_path, root / "Audios", root / "Transcripts"):
        with pytest.raises(CorpusError, match=rf"lies in {root}.*: give that folder"):
            list_files(wrong)


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    place_file(tmp_path / "wav" / "03a01Fa.wav")
    with pytest.raises(CorpusError, match=r"not the folder of MSP-Podcast.*Found: wav/.*labels_consensus.csv"):
        list_files(tmp_path)


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("msp-podcast") is CORPUS
    assert CORPUS.commercial_use is False
