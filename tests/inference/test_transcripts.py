"""Words of recordings: from files beside them, from a table, and from a function."""

from pathlib import Path

import pytest

from serenade.core.errors import CorpusError, UsageError
from serenade.inference.transcripts import Spoken, Words, find_transcriber, plain_words, read_transcript


def test_transcripts_are_plain_text_or_subtitles(tmp_path: Path) -> None:
    plain, captions = tmp_path / "a.txt", tmp_path / "a.srt"
    plain.write_text("Hello\nthere\n", encoding="utf-8")
    captions.write_text(
        "1\n00:00:01,500 --> 00:00:02,250\n<i>Hello</i>\nthere\n\n2\n01:00:00.000 --> 01:00:01.000\nBye\n",
        encoding="utf-8",
    )
    assert read_transcript(plain) == [Spoken("Hello there")]
    assert read_transcript(captions) == [Spoken("Hello there", 1.5, 2.25), Spoken("Bye", 3600.0, 3601.0)]
    with pytest.raises(UsageError, match="cannot be read"):
        read_transcript(tmp_path / "absent.txt")


def test_a_transcriber_is_named_by_module_and_function() -> None:
    assert find_transcriber("os.path:basename")(Path("a/b.mp4")) == "b.mp4"
    for name in ("os.path", "os.path:nothing", "nowhere:at_all"):
        with pytest.raises(UsageError, match="function to transcribe with"):
            find_transcriber(name)


def test_words_stand_beside_the_recording_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("from text")
    assert plain_words(Words().of(tmp_path / "a.wav")) == "from text"
    (tmp_path / "a.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nfrom\n\n2\n00:00:01,000 --> 00:00:02,000\ncaptions\n"
    )
    assert plain_words(Words().of(tmp_path / "a.wav")) == "from captions"
    assert plain_words(Words().of(tmp_path / "b.wav")) == ""
    assert plain_words(Words(transcript=tmp_path / "a.txt").of(tmp_path / "b.wav")) == "from text"


def test_words_of_a_table_are_found_by_path_name_or_stem(tmp_path: Path) -> None:
    table = tmp_path / "words.csv"
    table.write_text(f"file,text\n{tmp_path / 'x' / 'a.wav'},by path\na.wav,by name\nb,by stem\nc.wav,\n")
    words = Words(table=table)
    assert [words.of(tmp_path / name) for name in ("x/a.wav", "y/a.wav", "b.flac", "c.wav", "d.wav")] == [
        "by path",
        "by name",
        "by stem",
        "",
        "",
    ]
    (tmp_path / "other.csv").write_text("file,words\na.wav,hello\n")
    with pytest.raises(CorpusError, match="text"):
        Words(table=tmp_path / "other.csv").of(tmp_path / "a.wav")


def test_words_come_from_one_place_and_a_transcript_is_of_one_recording(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several places"):
        Words(transcript=tmp_path / "a.txt", asr="os.path:basename")
    Words(transcript=tmp_path / "a.txt").require_one(1)
    with pytest.raises(UsageError, match="a transcript is of one recording"):
        Words(transcript=tmp_path / "a.txt").require_one(2)
    assert not Words().told
    assert Words(asr="os.path:basename").told
