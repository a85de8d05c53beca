"""Kaldi data folders: every file of theirs is read, no command is run, and complaints name file and line."""

from pathlib import Path

import pytest
from tests.corpora.format_trees import make_kaldi
from tests.corpora.trees import fingerprint, write_sound

from serenade.core.errors import CorpusError, UsageError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.kaldi import CORPUS, list_files
from serenade.signal.audio import examine


def test_all_files_are_read(tmp_path: Path) -> None:
    root = make_kaldi(tmp_path, utt2lang="anna-a EN\nben-b en\n", utt2scene="ben-b street\n", utt2dur="ben-b 0.1\n")
    listing = read_corpus("kaldi", root, examine=examine)
    assert listing.left_out == ()
    anna, ben = listing.utterances
    assert (anna.id, anna.audio) == ("anna-a", tmp_path / "audio" / "a.wav")
    assert (anna.speaker, anna.gender, anna.emotion, anna.language) == ("anna", "female", "angry", "en")
    assert (anna.text, anna.sentence) == ("Stop that!", "stop that")
    assert (ben.gender, ben.emotion, ben.extra) == ("male", "happy", {"scene": "street"})


def test_segments_are_utterances_of_one_group(tmp_path: Path) -> None:
    root = make_kaldi(
        tmp_path,
        segments="u1 anna-a 0.00 0.05\nu2 anna-a 0.05 -1\nu3 ben-b 0 0.1\n",
        utt2spk="u1 anna\nu2 ben\nu3 ben\n",
    )
    found = {u.id: (u.start_s, u.end_s, u.speaker, u.group) for u in list_files(root).utterances}
    assert found == {
        "u1": (0.0, 0.05, "anna", "audio/a.wav"),
        "u2": (0.05, None, "ben", "audio/a.wav"),
        "u3": (0.0, 0.1, "ben", None),
    }


def test_wav_scp_alone_is_unlabelled_speech(tmp_path: Path) -> None:
    root = make_kaldi(tmp_path)
    for name in ("utt2spk", "spk2gender", "text", "utt2emo"):
        (root / name).unlink()
    assert {(u.speaker, u.emotion, u.text) for u in list_files(root / "wav.scp").utterances} == {
        (UNKNOWN_SPEAKER, None, None)
    }


def test_attributes_and_votes_lie_in_files_of_their_own(tmp_path: Path) -> None:
    root = make_kaldi(
        tmp_path,
        utt2valence="anna-a 2.5\n",
        utt2arousal="anna-a 4\n",
        utt2scale="anna-a 1..5\n",
        utt2votes="anna-a ang=2;neu=1\n",
    )
    anna = list_files(root).utterances[0]
    assert anna.attributes is not None
    assert (anna.attributes.high, anna.attributes.valence, anna.attributes.dominance) == (5.0, 2.5, None)
    assert anna.votes == {"angry": 2.0, "neutral": 1.0}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "sph2pipe -f wav a.sph |",
            r"names a command.*wav\.scp, recording x\. Found: sph2pipe.*commands of a corpus",
        ),
        ("| touch hacked", r"names a command"),
        ("/data/raw.ark:1203", r"a place in an archive.*Found: /data/raw\.ark:1203.*wav-copy"),
    ],
)
def test_commands_and_archives_are_refused_and_not_run(tmp_path: Path, entry: str, message: str) -> None:
    root = make_kaldi(tmp_path, wav_scp=f"x {entry}\n")
    with pytest.raises(CorpusError, match=message):
        list_files(root)
    assert not (root / "hacked").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"wav_scp": "a\n"}, r"one field only: .*wav\.scp, line 1\. Found: a"),
        ({"segments": "u1 anna-a 0.5\n"}, r"number of fields: .*segments, line 1\. Found: u1 anna-a 0\.5"),
        (
            {"utt2spk": "anna-a anna\nanna-a ben\n"},
            r"anna-a stands twice: .*utt2spk, line 2\. Found: ben, before",
        ),
        (
            {"wav_scp": "a gone/1.wav\nb gone/2.wav\n"},
            r"none of 2.*a \(wav\.scp\) names gone/1\.wav.*#audio=",
        ),
        ({"utt2split": "anna-a tets\n"}, r"column split.*Found: 'tets'.*Did you mean 'test'"),
        ({"wav_scp": ""}, r"names no recording"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        list_files(make_kaldi(tmp_path, **files))


def test_rows_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    segments = "u1 anna-a 0 0.1\nu1 anna-a 0.05 0.1\nu2 nobody 0 1\nu3 ben-b 1 0.5\n"
    root = make_kaldi(tmp_path, segments=segments, utt2emo="u1 sda\n", utt2spk="u1 anna\n", text="u1 Stop!\n")
    reasons = {item.where: (item.reason, item.detail) for item in list_files(root).left_out}
    assert reasons == {
        "u1 (segments, line 2)": ("duplicate", "the same utterance u1 as u1 (segments, line 1)"),
        "u2 (segments, line 3)": ("missing", "wav.scp does not name the recording nobody"),
        "u3 (segments, line 4)": ("bad span", "1 to 0.5, expected seconds"),
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_any_encoding_and_ends_of_line(tmp_path: Path, encoding: str) -> None:
    root = make_kaldi(tmp_path)
    (root / "text").write_bytes("anna-a Größe\r\nben-b\r\n".encode(encoding))
    (root / "wav.scp").write_bytes(b"anna-a\taudio/a.wav\r\nben-b  audio/b.wav\r\n")
    assert [u.text for u in list_files(root).utterances] == ["Größe", None]


def test_copies_in_another_format_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_kaldi(tmp_path)
    (root / "audio" / "a.wav").unlink()
    write_sound(root / "audio" / "a.flac")
    assert list_files(root).utterances[0].audio == root / "audio" / "a.flac"
    assert "1 recording taken from a copy of another format, such as a.flac for a.wav" in caplog.text


def test_paths_are_found_from_folders_above(tmp_path: Path) -> None:
    root = make_kaldi(tmp_path / "data" / "train", wav_scp="anna-a wavs/a.wav\nben-b wavs/b.wav\n")
    (root / "audio").rename(tmp_path / "wavs")
    assert list_files(root).utterances[1].audio == tmp_path / "wavs" / "b.wav"


def test_a_moved_corpus_opens_where_the_user_says(tmp_path: Path) -> None:
    lines = "anna-a /gone/for/good/audio/a.wav\nben-b /gone/for/good/audio/b.wav\n"
    root = make_kaldi(tmp_path / "lists", wav_scp=lines)
    (root / "audio").rename(tmp_path / "sounds")
    with pytest.raises(CorpusError, match=r"none of 2"):
        list_files(root)
    listing = list_files(Path(f"{root}#audio={tmp_path / 'sounds'}"))
    assert [u.audio for u in listing.utterances] == [tmp_path / "sounds" / name for name in ("a.wav", "b.wav")]
    with pytest.raises(CorpusError, match=r"folder of the recordings is not there.*audio=absent"):
        list_files(Path(f"{root}#audio=absent"))
    with pytest.raises(UsageError, match=r"Did you mean audio=\.\.\."):
        list_files(Path(f"{root}#adio={tmp_path}"))


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    root = make_kaldi(tmp_path / "data" / "train")
    with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
        list_files(tmp_path / "data")
    with pytest.raises(CorpusError, match=r"not there.*Did you mean .*train"):
        list_files(tmp_path / "data" / "trian")


def test_reading_leaves_the_folder_alone(tmp_path: Path) -> None:
    root = make_kaldi(tmp_path / "data")
    before = fingerprint(root)
    read_corpus("kaldi", root, examine=examine)
    assert fingerprint(root) == before


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("kaldi") is CORPUS


def test_half_copied_files_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_kaldi(tmp_path, utt2spk="anna-a anna\n", utt2emo="anna-a ang\nben-b hap\ncem-c sad\n")
    listing = list_files(root)
    assert "the file of the fact 'speaker' does not have 1 of 2 utterances, such as ben-b" in caplog.text
    assert [(item.where, item.reason, item.detail) for item in listing.left_out] == [
        ("cem-c", "missing", "its emotion is known, but neither wav.scp nor segments name it")
    ]
