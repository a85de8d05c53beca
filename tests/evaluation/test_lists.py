"""Fixed lists: EmoBox's folds and the user's columns; what does not meet is told."""

import json
from pathlib import Path

import pytest
from tests.evaluation.people import crowd, say

from serenade.core.errors import SplitError
from serenade.core.records import Split, Utterance
from serenade.corpora import CORPORA
from serenade.evaluation.leaks import check_split
from serenade.evaluation.splits import SplitSettings, make_split, parse_split


def write_lists(folder: Path, folds: dict[str, tuple[list[str], list[str]]]) -> Path:
    """Lists in EmoBox's layout: fold name to stems of train and test."""
    for name, parts in folds.items():
        (folder / name).mkdir(parents=True)
        for part, stems in zip(("train", "test"), parts, strict=True):
            lines = [json.dumps({"key": f"c-{stem}", "wav": f"downloads/c/wav/{stem}.wav"}) for stem in stems]
            (folder / name / f"c_{part}_{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def emobox(utterances: list[Utterance], path: Path, **settings: object) -> Split:
    return make_split(utterances, SplitSettings.model_validate({"kind": "emobox", "path": path, **settings}))


def names(utterances: list[Utterance], *speakers: str) -> list[str]:
    return [u.id for u in utterances if u.speaker in speakers]


def test_lists_are_matched_by_file_stem(tmp_path: Path) -> None:
    people = crowd(4)
    one, two, three, four = (names(people, f"s0{n}") for n in range(1, 5))
    folder = write_lists(tmp_path / "c", {"fold_1": (one + two + three, four), "fold_2": (two + three + four, one)})
    split = emobox(people, folder)
    assert split.name == "emobox-c"
    assert split.notes == ()
    first, second = split.folds
    assert (first.name, list(first.test), list(first.validation), list(first.train)) == (
        "fold_1",
        four,
        one,
        two + three,
    )
    assert (second.name, list(second.test), list(second.validation)) == ("fold_2", one, two)


def test_folds_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    people = crowd(3)
    parts = (names(people, "s01", "s02"), names(people, "s03"))
    split = emobox(people, write_lists(tmp_path, {f"fold_{n}": parts for n in (10, 2, 1)}))
    assert [fold.name for fold in split.folds] == ["fold_1", "fold_2", "fold_10"]


def test_what_does_not_meet_is_told(tmp_path: Path) -> None:
    people = crowd(3)
    train, test = names(people, "s01", "s02"), names(people, "s03")
    split = emobox(people, write_lists(tmp_path, {"fold_1": ([*train[1:], "gone1"], [*test, "gone2"])}))
    assert split.notes == (
        "2 of 25 listed recordings are not here or not used, such as gone1",
        "1 of 24 recordings are in no list and not used, such as s01-000",
    )


def test_lists_of_another_corpus_are_refused(tmp_path: Path) -> None:
    folder = write_lists(tmp_path, {"fold_1": (["x1", "x2"], ["x3"])})
    with pytest.raises(SplitError, match=r"the train part is empty|most recordings are in none of the lists"):
        emobox(crowd(3), folder)
    people = crowd(3)
    few = write_lists(tmp_path / "few", {"fold_1": (names(people, "s01")[:4], names(people, "s02")[:4])})
    with pytest.raises(SplitError, match=r"most recordings are in none of the lists.*Found: 16 of 24 not listed"):
        emobox(people, few, validation_speakers=0)


def test_one_level_off_names_the_lists(tmp_path: Path) -> None:
    people = crowd(3)
    folder = write_lists(tmp_path / "data" / "c", {"fold_1": (names(people, "s01", "s02"), names(people, "s03"))})
    for wrong in (tmp_path / "data", folder / "fold_1"):
        with pytest.raises(SplitError, match=rf"no EmoBox lists.*There are lists in {folder}"):
            emobox(people, wrong)
    with pytest.raises(SplitError, match=r"needs the folder of its lists"):
        make_split(people, SplitSettings(kind="emobox"))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    people = crowd(3)
    folder = write_lists(tmp_path, {"fold_1": (names(people, "s01", "s02"), names(people, "s03"))})
    file = folder / "fold_1" / "c_test_fold_1.jsonl"
    file.write_text(file.read_text() + '{"key": "no wav"}\n')
    with pytest.raises(SplitError, match=r"cannot be read: .*c_test_fold_1\.jsonl, line 9"):
        emobox(people, folder)
    file.unlink()
    with pytest.raises(SplitError, match=r"expected one test list.*Found: none"):
        emobox(people, folder)


def test_two_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    people = [say("a", audio=Path("/x/1.wav")), say("b", "s2", audio=Path("/y/1.wav"))]
    folder = write_lists(tmp_path, {"fold_1": (["1"], ["2"])})
    with pytest.raises(SplitError, match=r"two recordings have the name.*: 1\. Found: /x/1\.wav, /y/1\.wav"):
        emobox(people, folder)


def test_real_lists_of_ravdess_are_disjoint(shared: Path) -> None:
    utterances = CORPORA.resolve("ravdess").list_files(shared / "corpora" / "ravdess").utterances
    split = emobox(list(utterances), shared / "corpora" / "emobox-splits" / "data" / "ravdess")
    assert [(len(f.train), len(f.validation), len(f.test)) for f in split.folds] == [(1140, 60, 240)] * 6
    assert split.notes == ()
    report = check_split(split, utterances)
    assert report.errors == ()
    assert [finding.kind for finding in report.findings] == ["sentence"]


def test_real_lists_of_emodb_share_their_speakers(shared: Path) -> None:
    utterances = CORPORA.resolve("emodb").list_files(shared / "corpora" / "emodb").utterances
    lists = shared / "corpora" / "emobox-splits" / "data" / "emodb"
    split = emobox(list(utterances), lists, validation_speakers=0)
    assert split.notes == ("37 of 535 listed recordings are not here or not used, such as 10b01Ea",)
    (finding,) = check_split(split, utterances).errors
    assert (finding.kind, finding.parts, len(finding.folds)) == ("speaker", ("train", "test"), 5)
    assert {offender.name for offender in finding.offenders} == {u.speaker for u in utterances}


# ------------------------------------------------------------------------------------------- columns


def columns(utterances: list[Utterance], text: str = "columns") -> Split:
    return make_split(utterances, parse_split(text))


PARTS = {"s01": "train", "s02": "train", "s03": "validation", "s04": "test"}


def test_the_users_split_is_taken_as_it_is() -> None:
    people = [u.with_(split=PARTS[u.speaker]) for u in crowd(4)]
    (fold,) = columns(people).folds
    assert list(fold.train) == names(people, "s01", "s02")
    assert list(fold.validation) == names(people, "s03")
    assert list(fold.test) == names(people, "s04")


def test_validation_is_taken_from_the_training_side_where_there_is_none() -> None:
    people = [u.with_(split=PARTS[u.speaker].replace("validation", "train")) for u in crowd(4)]
    (fold,) = columns(people).folds
    assert list(fold.test) == names(people, "s04")
    assert list(fold.validation) == names(people, "s01")


def test_the_users_folds_are_left_out_in_turn() -> None:
    people = [u.with_(fold="ab"[int(u.speaker[1:]) % 2] + "/x") for u in crowd(6)]
    split = columns(people)
    assert [fold.name for fold in split.folds] == ["fold-a_x", "fold-b_x"]
    assert list(split.folds[1].test) == names(people, "s01", "s03", "s05")
    assert list(split.folds[1].validation) == names(people, "s06")


def test_rows_without_a_value_are_told() -> None:
    people = [u.with_(split=PARTS.get(u.speaker)) for u in crowd(5)]
    assert columns(people).notes == ("8 of 40 utterances have no split and are not used, such as s05-000",)


def test_columns_must_be_there_and_clear() -> None:
    people = crowd(4)
    with pytest.raises(SplitError, match="no utterance has a value in the column split or fold"):
        columns(people)
    with pytest.raises(SplitError, match="no utterance has a value in the column fold"):
        columns([u.with_(split=PARTS[u.speaker]) for u in people], "columns:fold")
    both = [u.with_(split=PARTS[u.speaker], fold=u.speaker) for u in people]
    with pytest.raises(SplitError, match="Say columns:split or columns:fold"):
        columns(both)
    assert len(columns(both, "columns:fold").folds) == 4
    with pytest.raises(SplitError, match=r"the column split has no test.*Found: train, validation"):
        columns([u.with_(split=PARTS[u.speaker]) for u in crowd(3)])
    with pytest.raises(SplitError, match="at least two different values"):
        columns([u.with_(fold="1") for u in people])


def test_unknown_speakers_need_a_validation_part_of_the_users_own() -> None:
    nobody = [u.with_(split=PARTS[u.speaker].replace("validation", "train"), speaker="unknown") for u in crowd(4)]
    with pytest.raises(SplitError, match=r"validation speakers cannot be taken.*validation_speakers=0"):
        columns(nobody)
    assert len(columns(nobody, "columns,validation_speakers=0").folds) == 1
