"""MESM's lists: read as people save them, checked against the published counts, called what they are."""

from pathlib import Path

import pytest
from tests.evaluation.iemocap import iemocap
from tests.evaluation.people import crowd, say

from serenade.core.errors import SplitError
from serenade.core.records import Split, Utterance
from serenade.evaluation.leaks import check_split
from serenade.evaluation.mesm import read_ids
from serenade.evaluation.splits import SplitSettings, make_split

# mesm.md, section 1.2: utterances of train, valid and test by class
CLASSES = {
    "angry": (757, 112, 234),
    "excited": (736, 92, 213),
    "frustrated": (1298, 180, 371),
    "happy": (398, 62, 135),
    "neutral": (1214, 173, 321),
    "sad": (759, 118, 207),
}


def write(folder: Path, train: list[str], valid: list[str], test: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, ids in {"train": train, "valid": valid, "test": test}.items():
        (folder / f"{name}_split.txt").write_text("\n".join(ids) + "\n")
    return folder


def mesm(utterances: list[Utterance], folder: Path | None) -> Split:
    return make_split(utterances, SplitSettings(kind="mesm", path=folder))


def published() -> tuple[list[Utterance], list[list[str]]]:
    """7,380 utterances of six classes named like IEMOCAP's, and their ids by part with the published counts."""
    utterances = iemocap((1476,) * 5)
    emotions = [(name, part) for name, counts in CLASSES.items() for part in range(3) for _ in range(counts[part])]
    parts: list[list[str]] = [[], [], []]
    labelled = []
    for utterance, (emotion, part) in zip(utterances, emotions, strict=True):
        parts[part].append(utterance.id)
        labelled.append(utterance.with_(emotion=emotion))
    return labelled, parts


def test_published_counts_leave_no_note_and_are_called_leaky(tmp_path: Path) -> None:
    utterances, parts = published()
    split = mesm(utterances, write(tmp_path, *parts))
    (fold,) = split.folds
    assert [len(part) for part in (fold.train, fold.validation, fold.test)] == [5162, 737, 1481]
    assert split.notes == ()
    assert "all ten speakers are in train, validation and test" in str(split.leaky)
    report = check_split(split, utterances)
    report.raise_if_leaking(split)
    assert {"speaker", "group"} <= {finding.kind for finding in report.errors}


def test_other_counts_are_told(tmp_path: Path) -> None:
    utterances, parts = published()
    swapped = [u.with_(emotion="sad") if u.id == parts[2][0] else u for u in utterances]
    (note,) = mesm(swapped, write(tmp_path, *parts)).notes
    assert "the classes of test are angry 233" in note
    assert "sad 208" in note
    parts[0].pop()
    notes = mesm(utterances, write(tmp_path, *parts)).notes
    assert "not the published lists for IEMOCAP: test 1481, train 5161, validation 737" in notes[0]
    assert "1 of 7380 utterances are in no list" in notes[1]


def test_lists_of_videos_are_not_called_leaky(tmp_path: Path) -> None:
    clips = [say(f"-3g5yACwYn{v}_{n}", f"v{v}", group=f"v{v}", corpus="cmu-mosei") for v in range(6) for n in (1, 10)]
    ids = [u.id for u in clips]
    split = mesm(clips, write(tmp_path, ids[:8], ids[8:10], [*ids[10:], "gone_3"]))
    assert split.leaky is None
    assert check_split(split, clips).errors == ()
    assert "CMU-MOSEI: test 3, train 8, validation 2, not test 4188, train 14524, validation 1765" in split.notes[0]
    assert split.notes[1] == "1 of 13 listed utterances are not here or not used, such as gone_3"


def test_lists_of_another_corpus_are_not_held_against_published_counts(tmp_path: Path) -> None:
    people = crowd(3)
    ids = [u.id for u in people]
    assert mesm(people, write(tmp_path, ids[:8], ids[8:16], ids[16:])).notes == ()


def test_lists_are_read_as_people_save_them(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfSes01F_impro01_F000\r\n\r\n Ses01F_impro01_M000 \r\n")
    assert read_ids(path) == ["Ses01F_impro01_F000", "Ses01F_impro01_M000"]


def test_other_names_of_the_files_are_understood(tmp_path: Path) -> None:
    people = crowd(3)
    ids = [u.id for u in people]
    for name, part in {"Train.txt": ids[:8], "val-list.lst": ids[8:16], "iemocap.test.csv": ids[16:]}.items():
        (tmp_path / name).write_text("\n".join(part))
    (tmp_path / "README.md").write_text("train and test")
    (fold,) = mesm(people, tmp_path).folds
    assert (list(fold.train), list(fold.validation), list(fold.test)) == (ids[:8], ids[8:16], ids[16:])


def test_bad_lists_are_named(tmp_path: Path) -> None:
    people = crowd(3)
    ids = [u.id for u in people]
    with pytest.raises(SplitError, match="needs the folder of its lists"):
        mesm(people, None)
    with pytest.raises(SplitError, match=r"folder of the lists is not there.*train_split\.txt"):
        mesm(people, tmp_path / "none")
    folder = write(tmp_path / "x", ids[:8], ids[8:16], ids[16:])
    (folder / "valid_split.txt").unlink()
    with pytest.raises(SplitError, match=r"expected one valid list.*test_split\.txt, train_split\.txt"):
        mesm(people, folder)
    with pytest.raises(SplitError, match=r"more than one of the lists.*1, such as s01-007"):
        mesm(people, write(folder, ids[:8], ids[7:16], ids[16:]))
    with pytest.raises(SplitError, match=r"in the list twice: .*test_split\.txt.*s03-007"):
        mesm(people, write(folder, ids[:8], ids[8:16], [*ids[16:], ids[-1]]))
    with pytest.raises(SplitError, match=r"list is empty: .*valid_split"):
        mesm(people, write(folder, ids[:8], [], ids[16:]))
    with pytest.raises(SplitError, match=r"of another corpus\?.*ids such as q1.*ids such as s01-000"):
        mesm(people, write(folder, ["q1"], ["q2"], ["q3"]))
    (folder / "train_split.txt").write_bytes("Ä".encode("latin-1"))
    with pytest.raises(SplitError, match="not UTF-8"):
        mesm(people, folder)
