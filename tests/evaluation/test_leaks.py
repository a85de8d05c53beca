"""The leak check: what parts share is found, named and weighed; and the score that the speaker alone reaches."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.people import say

from serenade.core.errors import LeakError, SplitError
from serenade.core.records import UNKNOWN_SPEAKER, Fold, NearDuplicate, Split, Utterance
from serenade.evaluation.leaks import Finding, LeakReport, check_split


def split_of(
    train: Sequence[Utterance], test: Sequence[Utterance], validation: Sequence[Utterance] = (), **facts: object
) -> tuple[Split, list[Utterance]]:
    fold = Fold("one", *(tuple(u.id for u in part) for part in (train, validation, test)))
    return Split("made", (fold,), **facts), [*train, *validation, *test]  # type: ignore[arg-type]


def report_of(
    train: Sequence[Utterance], test: Sequence[Utterance], validation: Sequence[Utterance] = ()
) -> LeakReport:
    return check_split(*split_of(train, test, validation))


def found(report: LeakReport) -> dict[tuple[str, tuple[str, ...]], str]:
    return {(finding.kind, finding.parts): finding.severity for finding in report.findings}


def only(report: LeakReport) -> Finding:
    (finding,) = report.findings
    return finding


A, B, C = (say(f"{name}1", name) for name in "abc")
TRAIN_TEST, VALIDATION_TEST, TRAIN_VALIDATION = ("train", "test"), ("validation", "test"), ("train", "validation")


def test_nothing_shared_is_nothing_found() -> None:
    report = report_of([A], [B], [C])
    assert report.findings == ()
    report.raise_if_leaking(split_of([A], [B])[0])


@pytest.mark.parametrize(
    ("kind", "facts", "severities"),
    [
        ("speaker", {"speaker": "x"}, ("error", "error", "warning")),
        ("group", {"group": "session 7"}, ("error", "warning", "warning")),
        ("dialogue", {"dialogue": "dialogue 7"}, ("error", "warning", "warning")),
        ("sentence", {"sentence": "a01"}, ("warning", None, None)),
        ("sentence", {"text": " Same  WORDS "}, ("warning", None, None)),
    ],
)
def test_each_kind_is_weighed_by_the_parts(
    kind: str, facts: dict[str, str], severities: tuple[str | None, ...]
) -> None:
    one, two = A.with_(**facts), B.with_(**facts)
    if "text" in facts:
        two = two.with_(text="same words")
    found_there = (
        found(report_of([one], [two], [C])).get((kind, TRAIN_TEST)),
        found(report_of([C], [one], [two])).get((kind, VALIDATION_TEST)),
        found(report_of([one], [C], [two])).get((kind, TRAIN_VALIDATION)),
    )
    assert found_there == severities


def test_spans_of_one_file_are_a_file_leak() -> None:
    one, two = A.with_(start_s=0.0, end_s=1.0), B.with_(audio=A.audio, start_s=1.0, end_s=2.0)
    report = report_of([one], [two])
    assert found(report) == {("file", TRAIN_TEST): "error"}
    assert "/data/a1.wav" in only(report).message


def test_overlapping_spans_are_the_same_content() -> None:
    one, two = A.with_(start_s=0.0, end_s=1.2), B.with_(audio=A.audio, start_s=1.0, end_s=2.0)
    assert found(report_of([one], [two], [C])) == {("file", TRAIN_TEST): "error", ("content", TRAIN_TEST): "error"}
    assert found(report_of([C], [one], [two]))[("content", VALIDATION_TEST)] == "error"
    assert found(report_of([one], [C], [two]))[("content", TRAIN_VALIDATION)] == "warning"


def test_rounded_neighbours_do_not_overlap() -> None:
    one, two = A.with_(start_s=0.0, end_s=1.04), B.with_(audio=A.audio, start_s=1.0, end_s=2.0)
    assert found(report_of([one], [two])) == {("file", TRAIN_TEST): "error"}


def test_a_copy_under_another_name_is_the_same_content() -> None:
    report = report_of([A.with_(content="abc")], [B.with_(content="abc")])
    assert only(report).kind == "content"
    assert [offender.name for offender in only(report).offenders] == ["a1 = b1"]


def test_spans_of_a_copy_count_too() -> None:
    one = A.with_(content="abc", duration_s=3.0)
    two = B.with_(content="abc@2.000-4.000", start_s=2.0, end_s=4.0)
    apart = C.with_(content="abc@3.100-4.000", start_s=3.1, end_s=4.0)
    assert only(report_of([one], [two])).kind == "content"
    assert report_of([one], [apart]).findings == ()


def test_a_dialogue_that_is_the_group_is_told_once() -> None:
    facts = {"group": "dialogue 7", "dialogue": "dialogue 7"}
    assert only(report_of([A.with_(**facts)], [B.with_(**facts)])).kind == "group"


def test_a_dialogue_is_found_within_a_session_of_its_own_and_across() -> None:
    one, two = A.with_(group="session 1", dialogue="d1"), B.with_(group="session 2", dialogue="d1")
    assert found(report_of([one], [two])) == {("dialogue", TRAIN_TEST): "error"}
    both = found(report_of([one], [two.with_(group="session 1")]))
    assert both == {("group", TRAIN_TEST): "error", ("dialogue", TRAIN_TEST): "error"}


@pytest.mark.parametrize("turned", [False, True])
def test_the_same_take_in_two_parts_is_a_leak(turned: bool) -> None:
    pair = NearDuplicate("b1" if turned else "a1", "a1" if turned else "b1", 0.05, 0.2, 1.0, -3.0)

    def weighed(*parts: list[Utterance]) -> dict[tuple[str, tuple[str, ...]], str]:
        return found(check_split(*split_of(*parts), [pair]))

    assert weighed([A], [B], [C]) == {("near_duplicate", TRAIN_TEST): "error"}
    assert weighed([C], [A], [B]) == {("near_duplicate", VALIDATION_TEST): "error"}
    assert weighed([A], [C], [B]) == {("near_duplicate", TRAIN_VALIDATION): "warning"}
    assert weighed([A, B], [C]) == {}
    split, utterances = split_of([A], [B])
    with pytest.raises(LeakError, match=r"1 take in two recordings \(near-duplicate\) in 1 of 1 fold: a1 ~ b1"):
        check_split(split, utterances, [pair]).raise_if_leaking(split)


def test_near_duplicates_of_others_do_not_matter() -> None:
    split, utterances = split_of([A], [B])
    assert check_split(split, utterances, [NearDuplicate("x", "a1", 0, 0, 1, 0)]).findings == ()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 15)), min_size=2, max_size=12))
@settings(max_examples=60)
def test_overlaps_are_those_of_the_slow_way(spans: list[tuple[bool, int, int]]) -> None:
    spoken = [
        say(f"u{n:02d}", f"s{n}", start_s=start / 2, end_s=(start + length) / 2, audio=Path("/data/one.wav"))
        for n, (_, start, length) in enumerate(spans)
    ]
    train = [u for u, (side, *_) in zip(spoken, spans, strict=True) if side]
    test = [u for u, (side, *_) in zip(spoken, spans, strict=True) if not side]
    if not train or not test:
        return
    expected = {
        " = ".join(sorted((one.id, two.id)))
        for one in train
        for two in test
        if min(one.end_s or 0, two.end_s or 0) - max(one.start_s, two.start_s) > 0.05
    }
    content = [finding for finding in report_of(train, test).findings if finding.kind == "content"]
    assert {offender.name for finding in content for offender in finding.offenders} == expected


def test_offenders_are_named_with_what_they_have_in_each_part() -> None:
    train = [say("a1", "anna"), say("a2", "anna"), say("b1", "ben"), say("x", "xu")]
    test = [say("a3", "anna"), say("b2", "ben")]
    finding = only(report_of(train, test))
    assert {(o.name, o.fold, o.counts["train"], o.counts["test"]) for o in finding.offenders} == {
        ("anna", "one", 2, 1),
        ("ben", "one", 1, 1),
    }
    assert finding.message == "train and test share 2 speakers in 1 of 1 fold: anna, ben"


def test_the_error_names_the_offenders_unless_declared() -> None:
    shared = [say("a1", "anna")], [say("a2", "anna")]
    split, utterances = split_of(*shared)
    with pytest.raises(LeakError, match=r"split made\. Found: train and test share 1 speaker .*: anna\..*leaky=REASON"):
        check_split(split, utterances).raise_if_leaking(split)
    declared, utterances = split_of(*shared, leaky="published so")
    report = check_split(declared, utterances)
    report.raise_if_leaking(declared)
    assert len(report.errors) == 1
    assert report.leaky == "published so"


def test_errors_come_first() -> None:
    train = [say("a1", "anna", sentence="1")]
    test = [say("a2", "anna", sentence="1")]
    assert [finding.severity for finding in report_of(train, test).findings] == ["error", "warning"]


def test_speakers_of_two_corpora_are_different_people() -> None:
    assert report_of([say("a", "03")], [say("b", "03", corpus="other")]).findings == ()
    report = report_of([say("a", "table/03"), say("c", "04")], [say("b", "table/03"), say("d", "04", corpus="other")])
    assert [offender.name for offender in only(report).offenders] == ["table/03"]


def test_unknown_speakers_are_called_out() -> None:
    report = report_of([say("a", UNKNOWN_SPEAKER)], [B])
    assert found(report) == {("unknown_speaker", ()): "warning"}
    both = report_of([say("a", UNKNOWN_SPEAKER)], [say("b", UNKNOWN_SPEAKER)])
    assert found(both) == {("unknown_speaker", ()): "warning"}
    assert "cannot be told" in only(both).message


def test_a_pair_that_is_apart_in_two_folds_counts_once() -> None:
    copies = [say("b1", "ben", content="x"), say("c1", "carl", content="x")]
    folds = (Fold("1", ("b1", "a1"), (), ("c1",)), Fold("2", ("c1", "a1"), (), ("b1",)))
    same_take = NearDuplicate("c1", "b1", 0.1, 0.0, 1.0, 0.0)
    report = check_split(Split("made", folds), [A, *copies], [same_take])
    shared = {f.kind: f for f in report.findings if f.kind in ("content", "near_duplicate")}
    assert [o.name for o in shared["near_duplicate"].offenders] == ["b1 ~ c1"] * 2
    assert "share 1 take in two recordings (near-duplicate) in 2 of 2 folds" in shared["near_duplicate"].message
    assert "share 1 recording with the same sound in 2 of 2 folds: b1 = c1" in shared["content"].message


def test_a_class_that_is_tested_untrained_is_called_out() -> None:
    report = report_of([say("a", "a", "happy")], [say("b", "b", "sad")])
    assert found(report) == {("untrained_class", TRAIN_TEST): "warning"}


def test_utterances_tested_twice_are_called_out() -> None:
    folds = (Fold("1", ("a1",), (), ("b1",)), Fold("2", ("c1",), (), ("b1",)))
    report = check_split(Split("made", folds), [A, B, C])
    assert [finding.message for finding in report.findings] == ["1 utterance tested in more than one fold: b1"]


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ((), "no folds"),
        ((Fold("1", ("a1", "b1"), (), ("b1",)),), "in the fold twice: .*fold 1. Found: b1"),
        ((Fold("1", ("a1",), ("b1",), ("b1",)),), "in the fold twice"),
        ((Fold("1", ("a1", "zz"), (), ("b1",)),), "not there: .*Found: zz"),
        ((Fold("1", (), (), ("b1",)),), "to train on and to test"),
        ((Fold("1", ("a1",), (), ()),), "to train on and to test"),
        ((Fold("1", ("a1",), (), ("b1",)), Fold("1", ("a1",), (), ("b1",))), "two folds have one name"),
    ],
)
def test_folds_that_cannot_be_right_are_refused_even_if_leaky(folds: tuple[Fold, ...], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        check_split(Split("made", folds, leaky="yes"), [A, B, C])


def test_picking_on_test_must_be_declared() -> None:
    split, utterances = split_of([A], [B], select_on_test=True)
    with pytest.raises(SplitError, match="must be declared leaky"):
        check_split(split, utterances)


def test_the_report_is_plain_json() -> None:
    report = report_of([say("a1", "anna")], [say("a2", "anna")])
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert values["findings"][0]["offenders"] == [{"name": "anna", "fold": "one", "counts": {"train": 1, "test": 1}}]
    assert values["majority"]["speakers"] == 1
