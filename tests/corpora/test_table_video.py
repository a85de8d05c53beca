"""The user's own table with videos: their pictures, their sound, and words alone."""

from pathlib import Path

import pytest
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import NO_RECORDING, Video
from serenade.corpora import store_corpus
from serenade.corpora.table import list_files


def table(folder: Path, *lines: str) -> Path:
    path = folder / "own.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_video_is_the_picture_and_where_there_is_no_file_the_sound(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav")
    (tmp_path / "b.mp4").touch()
    root = table(
        tmp_path,
        "file,video,emotion,transcript,start,end",
        "a.wav,a.mp4,happy,yes,0.5,1.5",
        ",b.mp4,sad,no,,",
        "a.wav,,sad,maybe,,",
    )
    found = {u.extra["line"]: u for u in list_files(root).utterances}
    assert (found["2"].audio, found["2"].video) == (tmp_path / "a.wav", Video(tmp_path / "a.mp4", 0.5, 1.5))
    assert (found["3"].audio, found["3"].video) == (tmp_path / "b.mp4", Video(tmp_path / "b.mp4"))
    assert (found["3"].id, found["3"].text) == ("b.mp4", "no")
    assert found["4"].video is None


def test_a_table_of_videos_needs_no_column_for_sound(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    (utterance,) = list_files(table(tmp_path, "Video_Path,label", "b.mp4,sad")).utterances
    assert utterance.video == Video(utterance.audio)
    with pytest.raises(CorpusError, match="no column 'file'"):
        list_files(table(tmp_path, "clips,label", "b.mp4,sad"))


def test_words_alone_are_an_utterance_without_sound(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    root = table(tmp_path, "video,emotion,text", "b.mp4,sad,no", ",happy,hello there", ",happy,")
    listing = list_files(root)
    alone = {u.id: u for u in listing.utterances}["line3"]
    assert (alone.audio, alone.has_audio, alone.video, alone.text) == (NO_RECORDING, False, None, "hello there")
    assert [(item.where, item.reason) for item in listing.left_out] == [("line 4", "missing")]


def test_a_stored_listing_keeps_the_videos(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    root = table(tmp_path, "video,emotion,text", "b.mp4,sad,no", ",happy,hello there")
    with store_corpus("table", root, examine=None) as stored:
        assert tuple(stored.utterances("id")) == list_files(root).utterances
