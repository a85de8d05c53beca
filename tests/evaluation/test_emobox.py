"""EmoBox's lists: matched to the recordings at hand; what does not meet is told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_aesdd, make_cafe, make_savee, make_tess, make_urdu
from tests.evaluation.people import crowd, say

from serenade.core.errors import SplitError
from serenade.core.records import Split, Utterance
from serenade.corpora import CORPORA
from serenade.evaluation.leaks import check_split
from serenade.evaluation.splits import SplitSettings, make_split


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


def test_real_lists_of_turevdb_share_their_speakers(shared: Path) -> None:
    utterances = CORPORA.resolve("turevdb").list_files(shared / "corpora" / "turev-db").utterances
    lists = shared / "corpora" / "emobox-splits" / "data" / "turevdb"
    split = emobox(list(utterances), lists, validation_speakers=0)
    (finding,) = [f for f in check_split(split, utterances).errors if f.kind == "speaker"]
    assert finding.parts == ("train", "test")
    assert {offender.name for offender in finding.offenders} == {u.speaker for u in utterances}


# ------------------------------------------------------------------------------------------- names that repeat


def recording(path: str, speaker: str, emotion: str = "happy") -> Utterance:
    return say(path.replace("/", "-"), speaker, emotion, audio=Path("/here") / path)


def write_paths(folder: Path, parts: dict[str, list[tuple[str, str]]], label_map: dict[str, str] | None = None) -> Path:
    """Lists of one fold from the whole paths and labels."""
    (folder / "fold_1").mkdir(parents=True)
    for part, pairs in parts.items():
        lines = [json.dumps({"wav": f"downloads/c/{path}", "emo": label}) for path, label in pairs]
        (folder / "fold_1" / f"c_{part}_fold_1.jsonl").write_text("\n".join(lines))
    if label_map is not None:
        (folder / "label_map.json").write_text(json.dumps(label_map))
    return folder


@pytest.mark.parametrize("renamed", [False, True], ids=["original folders", "renamed folders"])
def test_folders_decide_where_a_name_is_met_twice(tmp_path: Path, renamed: bool) -> None:
    """MELD: dia0_utt0 is a different turn in each of its three parts."""
    parts = {"train": "train_splits", "valid": "dev_splits_complete", "test": "output_repeated_splits_test"}
    lists = {part: [(f"{folder}/dia{n}_utt0.mp4", "joy") for n in range(3)] for part, folder in parts.items()}
    folders = ("train", "dev", "Test") if renamed else tuple(parts.values())
    here = [recording(f"MELD/{f}/dia{n}_utt0.mp4", f"s{n}-{f}") for f in folders for n in range(3)]
    split = emobox(here, write_paths(tmp_path / "meld", lists))
    (fold,) = split.folds
    for part, folder in zip((fold.train, fold.validation, fold.test), folders, strict=True):
        assert part == tuple(f"MELD-{folder}-dia{n}_utt0.mp4" for n in range(3))
    assert split.notes == ()


def test_what_is_absent_is_not_mistaken_for_its_namesake(tmp_path: Path) -> None:
    lists = {"train": [("DC/a01.wav", "a"), ("JE/a01.wav", "a"), ("DC/a02.wav", "a")], "test": [("KL/a01.wav", "a")]}
    here = [recording(f"AudioData/{name}", name[:2], "angry") for name in ("JE/a01.flac", "KL/a01.flac", "DC/a02.flac")]
    split = emobox(here, write_paths(tmp_path, lists), validation_speakers=0)
    (fold,) = split.folds
    assert fold.train == ("AudioData-DC-a02.flac", "AudioData-JE-a01.flac")
    assert fold.test == ("AudioData-KL-a01.flac",)
    assert split.notes == ("1 of 4 listed recordings are not here or not used, such as a01",)


def test_a_speaker_in_the_name_also_means_a_folder(tmp_path: Path) -> None:
    """SAVEE is published as JE/a03.wav and as JE_a03.wav."""
    lists = {"train": [("JE_a03.wav", "a"), ("KL_a03.wav", "a")], "test": [("DC_a03.wav", "a")]}
    here = [recording(f"AudioData/{name}/a03.wav", name, "angry") for name in ("DC", "JE", "KL")]
    (fold,) = emobox(here, write_paths(tmp_path, lists), validation_speakers=0).folds
    assert fold.train == ("AudioData-JE-a03.wav", "AudioData-KL-a03.wav")
    assert fold.test == ("AudioData-DC-a03.wav",)


def test_names_that_no_folder_tells_apart_are_refused(tmp_path: Path) -> None:
    lists = {"train": [("x/a01.wav", "a"), ("z/b.wav", "a")], "test": [("y/a01.wav", "a")]}
    here = [recording("p/a01.wav", "1"), recording("q/a01.wav", "2"), recording("q/b.wav", "3")]
    with pytest.raises(SplitError, match=r"two recordings have the name.*a01.*Found: /here/p/a01.wav, /here/q/a01.wav"):
        emobox(here, write_paths(tmp_path, lists), validation_speakers=0)


LAYOUTS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], str]]] = {
    "savee": (make_savee, lambda path: f"{path.parent.name}_{path.name}"),  # AudioData/DC/a01.wav as DC_a01.wav
    "cafe": (make_cafe, lambda path: f"CaFE_48k/D\u201ago\u2013t/Fort/{path.name}"),  # the folder as EmoBox has it
    "urdu": (make_urdu, lambda path: f"{path.parent.name}/{path.name}"),
    "aesdd": (make_aesdd, lambda path: f"{path.parent.name}/{path.name}"),
    "tess": (make_tess, lambda path: path.name),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_recordings_of_a_corpus_are_found_under_emoboxs_paths(tmp_path: Path, name: str) -> None:
    make, emobox_path = LAYOUTS[name]
    utterances = CORPORA.resolve(name).list_files(make(tmp_path / name)).utterances
    lines = [(emobox_path(u.audio), str(u.emotion)) for u in utterances]
    parts = {"train": lines[1:], "test": lines[:1]}
    split = emobox(list(utterances), write_paths(tmp_path / "lists", parts), validation_speakers=0)
    (fold,) = split.folds
    assert split.notes == ()
    assert (fold.test, fold.train) == ((utterances[0].id,), tuple(u.id for u in utterances[1:]))


# ------------------------------------------------------------------------------------------- labels


def test_labels_that_differ_are_told(tmp_path: Path) -> None:
    lists = {"train": [("a.wav", "c"), ("b.wav", "j")], "test": [("d.wav", "N"), ("e.wav", "?")]}
    here = [say("a", "1", "angry"), say("b", "1", "sad"), say("d", "2", "neutral"), say("e", "2", "sad")]
    label_map = {"c": "Angry", "j": "Happy", "n": "Neutral"}
    split = emobox(here, write_paths(tmp_path, lists, label_map), validation_speakers=0)
    assert split.notes == (
        "the lists have labels that nobody knows: ?",
        "1 of 4 recordings have another class in the lists, such as b: happy there, sad here",
    )


@pytest.mark.parametrize(("text", "message"), [("{", "label map is not JSON"), ('["a"]', "label map is not readable")])
def test_a_damaged_label_map_is_named(tmp_path: Path, text: str, message: str) -> None:
    folder = write_paths(tmp_path, {"train": [("a.wav", "a")], "test": [("b.wav", "a")]})
    (folder / "label_map.json").write_text(text)
    with pytest.raises(SplitError, match=rf"{message}.*label_map\.json"):
        emobox([say("a"), say("b", "2")], folder, validation_speakers=0)


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    people = crowd(3)
    parts = {"train": [(f"{name}.wav", "") for name in names(people, "s01", "s02")]}
    parts["test"] = [(f"{name}.wav", "") for name in names(people, "s03")]
    folder = write_paths(tmp_path, parts)
    for path in (folder / "fold_1").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    (fold,) = emobox(people, folder).folds
    assert list(fold.test) == names(people, "s03")


def test_a_list_in_another_encoding_is_named(tmp_path: Path) -> None:
    folder = write_paths(tmp_path, {"train": [("a.wav", "a")], "test": [("b.wav", "a")]})
    (folder / "fold_1" / "c_test_fold_1.jsonl").write_bytes('{"wav": "Ä.wav"}'.encode("latin-1"))
    with pytest.raises(SplitError, match=r"not UTF-8 text.*c_test_fold_1"):
        emobox([say("a"), say("b", "2")], folder, validation_speakers=0)
