"""What all lists share: ids without absolute paths, recordings found in the nearest place, twins in other formats."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.manifests import Draft, assemble


def drafts(files: Sequence[str], emotion: str | None = "anger", **facts: object) -> list[Draft]:
    blank = Utterance("", Path(), "kaldi", "s1", emotion).with_(**facts)
    return [Draft(f"line {number}", file, blank) for number, file in enumerate(files, start=1)]


def read(folder: Path, files: Sequence[str], audio: str | None = None) -> Listing:
    folder.mkdir(parents=True, exist_ok=True)
    return assemble(folder, drafts(files), folder=folder, title="list", recordings_needed=True, audio=audio)


@pytest.mark.parametrize("place", ["lists", "elsewhere/deep"])
def test_ids_hold_no_absolute_path(tmp_path: Path, place: str) -> None:
    files = [write_sound(tmp_path / place / name) for name in ("x/1.wav", "y/2.wav")]
    found = read(tmp_path / "lists", [str(path) for path in files]).utterances
    assert [u.id for u in found] == ["x/1.wav", "y/2.wav"]
    assert [u.audio for u in found] == files


def test_absolute_and_relative_paths_may_be_mixed(tmp_path: Path) -> None:
    near, far = write_sound(tmp_path / "lists" / "a.wav"), write_sound(tmp_path / "far" / "b.wav")
    found = read(tmp_path / "lists", ["./a.wav", str(far)]).utterances
    assert [(u.id, u.audio) for u in found] == [("a.wav", near), ("b.wav", far)]


def test_paths_above_and_below_are_different_recordings(tmp_path: Path) -> None:
    write_sound(tmp_path / "lists" / "a.wav")
    write_sound(tmp_path / "a.wav")
    assert len(read(tmp_path / "lists", ["a.wav", "../a.wav"]).utterances) == 2


def test_the_nearest_place_is_taken_for_the_whole_list(tmp_path: Path) -> None:
    for folder in ("data/lists", "data", "."):
        write_sound(tmp_path / folder / "wav" / "1.wav")
    write_sound(tmp_path / "wav" / "2.wav")
    found = read(tmp_path / "data" / "lists", ["wav/1.wav", "wav/2.wav"]).utterances
    assert {u.audio.parent for u in found} == {tmp_path / "data" / "lists" / "wav"}


def test_leading_folders_may_lack_but_not_all(tmp_path: Path) -> None:
    write_sound(tmp_path / "corpus" / "wav" / "1.wav")
    found = read(tmp_path / "corpus", ["C:\\data\\corpus\\wav\\1.wav"]).utterances
    assert found[0].audio == tmp_path / "corpus" / "wav" / "1.wav"
    with pytest.raises(CorpusError, match=r"line 1 names downloads/1\.wav, looked for below .*#audio=FOLDER"):
        read(tmp_path / "corpus" / "wav", ["downloads/1.wav"])
    named = read(tmp_path / "corpus" / "wav", ["downloads/1.wav"], audio=str(tmp_path / "corpus" / "wav")).utterances
    assert named[0].audio == tmp_path / "corpus" / "wav" / "1.wav"


def test_a_named_folder_is_the_only_one(tmp_path: Path) -> None:
    original = write_sound(tmp_path / "old" / "wav" / "1.wav")
    copy = write_sound(tmp_path / "new" / "wav" / "1.wav")
    assert read(tmp_path / "lists", [str(original)], audio=str(tmp_path / "new")).utterances[0].audio == copy


@pytest.mark.parametrize("name", ["x" * 300 + ".wav", "a\0b.wav", "a.wav/b.wav"])
def test_names_that_no_file_can_have_are_missing_and_no_crash(tmp_path: Path, name: str) -> None:
    write_sound(tmp_path / "a.wav")
    found = read(tmp_path, ["a.wav", name]).utterances
    assert [u.audio.name == "a.wav" for u in found].count(True) == 1
    with pytest.raises(CorpusError, match="none of 1 recording"):
        read(tmp_path, [name])


def test_rows_alone_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    item = LeftOut("line 1", "bad span", "x")
    assert assemble(tmp_path, [item], folder=tmp_path, title="list", recordings_needed=True) == Listing((), (item,))
    with pytest.raises(CorpusError, match="the list names no recording"):
        assemble(tmp_path, [], folder=tmp_path, title="list", recordings_needed=True)


def test_slips_and_repetitions_are_told_with_both_rows(tmp_path: Path) -> None:
    for name in ("1.wav", "2.wav"):
        write_sound(tmp_path / name)
    rows = [*drafts(["1.wav"], "happy"), *drafts(["2.wav"], "hapy"), *drafts(["1.wav"], "sad", speaker="s2")]
    left_out = assemble(tmp_path, rows, folder=tmp_path, title="list", recordings_needed=True).left_out
    assert [item.reason for item in left_out] == ["unknown label", "duplicate"]
    assert left_out[1].detail == (
        "the same utterance 1.wav as line 1, labelled happy there and sad here, spoken by s1 there and s2 here"
    )
