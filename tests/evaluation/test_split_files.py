"""Split files: written and read back, checked without recordings, run elsewhere with every difference told."""

import difflib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.iemocap import iemocap
from tests.evaluation.people import crowd, say

from serenade.core.errors import SplitError
from serenade.core.records import Split, Utterance
from serenade.evaluation.leaks import check_split
from serenade.evaluation.nested import check_folds
from serenade.evaluation.reproduction import check_document, compare
from serenade.evaluation.split_files import SplitDocument, check_value, make_document, read_split_file, write_split_file
from serenade.evaluation.splits import SplitSettings, make_split, parse_split


def examined(utterances: list[Utterance]) -> list[Utterance]:
    return [u.with_(content=f"{place:032x}") for place, u in enumerate(utterances)]


def people(speakers: int = 5, each: int = 8) -> list[Utterance]:
    return examined(crowd(speakers, each))


def document_of(utterances: list[Utterance], text: str = "loso") -> SplitDocument:
    settings = parse_split(text)
    return make_document(make_split(utterances, settings), utterances, settings, [Path("/data")])


def write(path: Path, utterances: list[Utterance], text: str = "loso") -> Path:
    write_split_file(path, document_of(utterances, text))
    return path


def reproduce(path: Path, utterances: list[Utterance]) -> Split:
    return make_split(utterances, SplitSettings(kind="file", path=path))


# ------------------------------------------------------------------------------------------- round trip


KINDS = ["loso", "kfold:3", "nested:2", "fewshot:1", "fewshot:1,target_shots=1", "random811", "random82_best_test"]


@pytest.mark.parametrize("text", [*KINDS, "session", "superb"])
def test_what_is_written_is_read(tmp_path: Path, text: str) -> None:
    utterances = examined(iemocap((24, 24, 24, 24, 24))) if text in ("session", "superb") else people()
    document = document_of(utterances, text)
    path = tmp_path / "split.json"
    write_split_file(path, document)
    assert read_split_file(path) == document
    first = path.read_bytes()
    write_split_file(path, document_of(utterances[::-1], text))
    assert path.read_bytes() == first


@pytest.mark.parametrize("text", KINDS)
def test_the_file_gives_the_same_folds_as_the_protocol(tmp_path: Path, text: str) -> None:
    utterances = people()
    split = make_split(utterances, parse_split(text))
    path = write(tmp_path / "paper.json", utterances, text)
    again = reproduce(path, utterances)
    assert replace(again, notes=()) == replace(split, notes=())
    assert again.notes[-2:] == (
        f"folds from the split file paper.json, check value {check_value(split, utterances)}",
        f"all {len(document_of(utterances, text).utterances)} utterances of the split file are here and unchanged",
    ) or text.startswith("fewshot")  # which leaves utterances unused


def test_every_id_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    """A moved utterance changes a handful of lines, however large the split."""
    utterances = people()
    one = write(tmp_path / "one.json", utterances).read_text().splitlines()
    document = document_of(utterances)
    first = document.split.folds[0]
    moved = replace(first, train=first.train[1:], validation=(first.train[0], *first.validation))
    split = replace(document.split, folds=(moved, *document.split.folds[1:]))
    write_split_file(tmp_path / "two.json", replace(document, split=split))
    two = (tmp_path / "two.json").read_text().splitlines()
    changed = [line for line in difflib.ndiff(one, two) if line.startswith(("+", "-"))]
    assert len(changed) == 6  # the check value, the id from one place to another, and the comma before its new one
    assert all(len(line) < 200 for line in one)


def test_nothing_private_is_in_the_file(tmp_path: Path) -> None:
    words = "She had your dark suit in greasy wash water all year."
    utterances = [u.with_(audio=Path("/home/me/x") / u.audio.name, text=words, sentence=words) for u in people()]
    utterances[0] = utterances[0].with_(sentence="a01")
    settings = SplitSettings(kind="loso", path=Path("/home/me/lists"))
    document = make_document(make_split(utterances, settings), utterances, settings, [Path("/home/me/x")])
    write_split_file(tmp_path / "s.json", document)
    text = (tmp_path / "s.json").read_text()
    assert "/home" not in text
    assert "suit" not in text
    assert document.utterances[0].sentence == "a01"
    assert document.utterances[0].audio == Path("s01-000.wav")
    assert document.utterances[1].sentence == document.utterances[2].sentence != document.utterances[0].sentence


def test_recordings_outside_the_corpus_keep_no_path() -> None:
    utterances = [say("a", "1", audio=Path("/elsewhere/me/1.wav")), say("b", "2", audio=Path("/data/wav/2.wav"))]
    settings = SplitSettings(kind="columns", column="fold", validation_speakers=0)
    split = make_split([u.with_(fold=u.id) for u in utterances], settings)
    found = make_document(split, utterances, settings, [Path("/data")]).utterances
    assert [u.audio.as_posix() for u in found] == ["a.wav", "wav/2.wav"]


def test_only_settings_that_matter_are_kept_and_no_folder(tmp_path: Path) -> None:
    assert document_of(people()).protocol == {"kind": "loso", "validation_speakers": 1}
    ids = [u.id for u in people()]
    for name, part in {"train": ids[:20], "valid": ids[20:30], "test": ids[30:]}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(part))
    assert document_of(people(), f"mesm:{tmp_path}").protocol == {"kind": "mesm", "path": tmp_path.name}


def test_words_are_compared_without_being_told() -> None:
    utterances = [u.with_(text=f"It is {place % 3}  O'CLOCK") for place, u in enumerate(people(3, 3))]
    utterances[4] = utterances[4].with_(text="it is 1 o'clock")
    document = document_of(utterances)
    names = [u.sentence for u in document.utterances]
    assert len(set(names)) == 3
    assert names[1] == names[4] == names[7]
    assert all(str(name).startswith("words-") for name in names)
    (finding,) = [f for f in check_document(document).findings if f.kind == "sentence"]
    assert len(finding.folds) == 3


# ------------------------------------------------------------------------------------------- check value


def test_check_value_names_the_division_only() -> None:
    utterances = people()
    split = make_split(utterances, parse_split("loso"))
    value = check_value(split, utterances)
    reencoded = [u.with_(content="0", audio=Path("/x.flac"), speaker="?") for u in utterances]
    assert check_value(replace(split, notes=("a",), folds=split.folds[::-1]), reencoded[::-1]) == value
    assert check_value(split, [utterances[0].with_(emotion="sad"), *utterances[1:]]) != value
    assert check_value(replace(split, folds=split.folds[1:]), utterances) != value
    nested = make_split(utterances, parse_split("nested:2"))
    assert check_value(nested, utterances) != value


def test_a_file_changed_by_hand_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "s.json", people())
    values = json.loads(path.read_text())
    moved = values["folds"][0]["train"].pop()
    values["folds"][0]["validation"].append(moved)
    path.write_text(json.dumps(values))
    assert "changed after it was made" in read_split_file(path).split.notes[-1]


# ------------------------------------------------------------------------------------------- leak check


def test_a_file_is_checked_as_the_recordings_are(tmp_path: Path) -> None:
    utterances = people()
    for text in ("loso", "random811", "fewshot:1,target_shots=1"):
        split = make_split(utterances, parse_split(text))
        there = check_split(split, utterances)
        document = read_split_file(write(tmp_path / "s.json", utterances, text))
        report = check_document(document)
        assert [(f.kind, f.severity, f.folds) for f in report.findings] == [
            (f.kind, f.severity, f.folds) for f in there.findings
        ]


def test_same_recordings_are_found_by_their_hash(tmp_path: Path) -> None:
    utterances = people()
    copied = [*utterances[:-1], utterances[-1].with_(content=utterances[0].content)]
    report = check_document(read_split_file(write(tmp_path / "s.json", copied)))
    assert "content" in {finding.kind for finding in report.errors}


def test_two_corpora_may_have_files_of_one_name() -> None:
    utterances = [
        u.with_(id=f"{name}/{u.id}", corpus=name, audio=Path(f"/{name}/{u.id}.wav"), content=f"{name}{u.content}")
        for name in "ab"
        for u in people(3)
    ]
    settings = parse_split("corpus")
    document = make_document(make_split(utterances, settings), utterances, settings, [Path("/a"), Path("/b")])
    assert document.utterances[0].audio == Path("s01-000.wav")
    assert check_document(document).errors == ()


def test_a_leak_inside_an_inner_fold_is_found() -> None:
    utterances = people(6)
    split = make_split(utterances, parse_split("nested:2"))
    assert check_folds(split, utterances).errors == ()
    fold = split.folds[0]
    inner = fold.inner[0]
    mixed = replace(inner, test=inner.test[1:], train=(*inner.train, inner.test[0]))
    spoilt = replace(split, folds=(replace(fold, inner=(mixed, *fold.inner[1:])), *split.folds[1:]))
    (finding,) = [f for f in check_folds(spoilt, utterances).errors if f.parts == ("train", "test")]
    assert (finding.kind, finding.folds) == ("speaker", ("speaker-s01/inner-1",))


# ------------------------------------------------------------------------------------------- elsewhere


def test_what_differs_is_told(tmp_path: Path) -> None:
    utterances = people()
    path = write(tmp_path / "s.json", utterances)
    here = {u.id: u for u in utterances}
    del here["s01-000"], here["s02-001"]
    here["s03-000"] = here["s03-000"].with_(content="0" * 32)
    here["s04-000"] = here["s04-000"].with_(emotion="sad")
    here["s05-000"] = here["s05-000"].with_(speaker="s09")
    here["more"] = say("more", "s10", content="1" * 32)
    split = reproduce(path, list(here.values()))
    assert split.notes[-5:] == (
        "2 of 40 utterances of the split file are not here, and left out of its folds: s01-000, s02-001",
        "1 of 40 recordings have other bytes than those of the split file: s03-000",
        "1 of 40 utterances have another class than in the split file: s04-000",
        "1 of 40 utterances have another speaker than in the split file: s05-000",
        "1 utterance here that the split file does not name, not used: more",
    )
    named = {name for fold in split.folds for name in (*fold.train, *fold.validation, *fold.test)}
    assert named == {u.id for u in utterances} - {"s01-000", "s02-001"}
    assert compare(read_split_file(path), list(here.values())).damaging


def test_recordings_that_were_not_examined_are_not_compared(tmp_path: Path) -> None:
    path = write(tmp_path / "s.json", people())
    assert not compare(read_split_file(path), crowd(5)).changed


def test_other_data_and_a_missing_part_are_refused(tmp_path: Path) -> None:
    utterances = people()
    path = write(tmp_path / "s.json", utterances)
    with pytest.raises(
        SplitError, match=r"none of its utterances is here.*such as q.*such as s01-000.*corpora of the file: table"
    ):
        reproduce(path, [say("q")])
    without = [u for u in utterances if u.speaker != "s02"]
    with pytest.raises(SplitError, match=r"validation part is here.*fold speaker-s01.*8 are missing, such as s02-000"):
        reproduce(path, without)
    with pytest.raises(SplitError, match="file:PATH"):
        make_split(utterances, SplitSettings(kind="file"))


def test_a_declaration_travels_with_the_file(tmp_path: Path) -> None:
    utterances = people()
    path = write(tmp_path / "s.json", utterances, "random811")
    assert reproduce(path, utterances).leaky == make_split(utterances, parse_split("random811")).leaky
    best = reproduce(write(tmp_path / "b.json", utterances, "random82_best_test"), utterances)
    assert best.select_on_test


# ------------------------------------------------------------------------------------------- bad files


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def edited(text: str) -> str:
        values = json.loads(text)
        change(values)
        return json.dumps(values)

    return edited


BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "cut short": (lambda text: text[: len(text) // 2], "not JSON.*It may be cut short"),
    "empty": (lambda _: "", "not JSON"),
    "a list": (lambda _: "[1]", "not a split file.*Found: a list"),
    "another kind": (lambda _: '{"format": "serenade-run"}', "not a split file.*serenade-run"),
    "newer": (edit(lambda v: v.update(version=2)), "another version.*version 2.*version 1.*release of Serenade"),
    "no folds": (edit(lambda v: v.update(folds=[])), "has no folds"),
    "no key": (edit(lambda v: v.pop("labels")), "not valid: labels"),
    "odd key": (edit(lambda v: v.update(fold=1)), "unknown key 'fold'"),
    "wrong type": (edit(lambda v: v["folds"][0].update(train="all")), "folds.0.train"),
    "unknown id": (edit(lambda v: v["folds"][1]["test"].append("x")), "fold speaker-s02.*1 id .*such as x"),
    "twice in a fold": (edit(lambda v: v["folds"][0]["test"].append("s03-000")), "fold speaker-s01.*in it twice"),
    "two folds": (edit(lambda v: v["folds"][1].update(name="speaker-s01")), "two folds of this name"),
    "twice": (edit(lambda v: v["utterances"].append(v["utterances"][0])), "in the split file twice.*s01-000"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_explained(tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    path = write(tmp_path / "s.json", people())
    path.write_text(spoil(path.read_text()))
    with pytest.raises(SplitError, match=f"(?s){message}") as caught:
        read_split_file(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"there is no such split file: .*none\.json"):
        read_split_file(tmp_path / "none.json")
    with pytest.raises(SplitError, match="cannot be read"):
        read_split_file(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "s.json", people())
    document = read_split_file(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_split_file(path) == document
