"""Splits: who is trained on, who picks the epoch, who is tested."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.people import CLASSES, crowd, say, uneven_crowd

from serenade.core.errors import SettingsError, SplitError, UnknownNameError
from serenade.core.records import UNKNOWN_SPEAKER, Fold, Split, Utterance
from serenade.evaluation import SPLITS
from serenade.evaluation.leaks import check_split
from serenade.evaluation.splits import SplitSettings, make_split, parse_split


def split_of(utterances: Sequence[Utterance], text: str) -> Split:
    return make_split(utterances, parse_split(text))


def speakers(ids: Iterable[str]) -> set[str]:
    return {name.partition("-")[0] for name in ids}


def require_whole(split: Split, utterances: Sequence[Utterance]) -> None:
    """Every utterance is in exactly one part of every fold."""
    for fold in split.folds:
        assert sorted([*fold.train, *fold.validation, *fold.test]) == sorted(u.id for u in utterances)


# ------------------------------------------------------------------------------------------- text form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loso", {"kind": "loso"}),
        ("loso:2", {"kind": "loso", "validation_speakers": 2}),
        ("kfold:7", {"kind": "kfold", "folds": 7}),
        ("kfold:7,seed=3,validation_speakers=0", {"kind": "kfold", "folds": 7, "seed": 3, "validation_speakers": 0}),
        ("emobox:a/b, c/ravdess", {"kind": "emobox", "path": Path("a/b, c/ravdess")}),
        ("emobox:x,leaky=published lists", {"kind": "emobox", "path": Path("x"), "leaky": "published lists"}),
        ("columns", {"kind": "columns"}),
        ("columns:fold", {"kind": "columns", "column": "fold"}),
        ("random82_best_test", {"kind": "random82_best_test"}),
    ],
)
def test_text_form(text: str, expected: dict[str, object]) -> None:
    assert parse_split(text) == SplitSettings.model_validate(expected)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("lsoo", UnknownNameError, "Did you mean 'loso'"),
        ("kfold:two", SettingsError, "folds.*Found: 'two'"),
        ("kfold:1", SettingsError, "folds.*greater than or equal to 2"),
        ("kfold:", SettingsError, "takes no such argument"),
        ("random811:5", SettingsError, "takes no such argument.*kfold:FOLDS"),
        ("loso,validation_speaker=2", SettingsError, "Did you mean 'validation_speakers'"),
        ("columns:splits", SettingsError, "column.*Found: 'splits'"),
        ("loso,leaky=", SettingsError, "leaky"),
    ],
)
def test_a_wrong_text_form_is_explained(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_split(text)


def test_settings_of_an_unknown_kind_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'kfold'"):
        SplitSettings(kind="kflod")


# ------------------------------------------------------------------------------------------- every kind


ALL = ["loso", "loso:0", "loso:2", "session", "kfold:4", "random82_best_test", "random811", "columns:fold"]


@pytest.mark.parametrize("text", ALL)
def test_order_and_repetition_change_nothing(text: str) -> None:
    utterances = [u.with_(group=f"g{u.speaker}", fold=str(int(u.speaker[1:]) % 3)) for u in crowd(9)]
    shuffled = list(np.random.default_rng(0).permutation(np.array(utterances, dtype=object)))
    first = split_of(utterances, text)
    assert split_of(shuffled, text) == first
    require_whole(first, utterances)
    names = [fold.name for fold in first.folds]
    assert len(set(names)) == len(names)
    assert Split.from_json(first.to_json()) == first


@pytest.mark.parametrize("text", [text for text in ALL if not text.startswith("random")])
def test_honest_kinds_pass_the_leak_check(text: str) -> None:
    utterances = [u.with_(group=f"g{u.speaker}", fold=str(int(u.speaker[1:]) % 3)) for u in crowd(9)]
    split = split_of(utterances, text)
    report = check_split(split, utterances)
    assert report.errors == ()
    assert split.leaky is None
    tested = Counter(name for fold in split.folds for name in fold.test)
    assert tested == dict.fromkeys((u.id for u in utterances), 1)


@pytest.mark.parametrize("kind", list(SPLITS))
def test_unlabelled_and_repeated_utterances_are_refused(kind: str) -> None:
    asked = SplitSettings(kind=kind)
    with pytest.raises(SplitError, match=r"without a label.*Found: 1 of 9, such as extra"):
        make_split([*crowd(4, 2), say("extra", emotion=None)], asked)
    with pytest.raises(SplitError, match="twice: s01-000"):
        make_split([*crowd(4, 2), *crowd(1, 1)], asked)
    with pytest.raises(SplitError, match="no utterances"):
        make_split([], asked)


@pytest.mark.parametrize("text", ["loso", "kfold:2", "kfold:2,validation_speakers=0"])
def test_an_unknown_speaker_is_refused_where_speakers_matter(text: str) -> None:
    utterances = [*crowd(4), say("x", UNKNOWN_SPEAKER)]
    with pytest.raises(SplitError, match=r"speaker is not known.*Found: 1 of 33, such as x.*column speaker"):
        split_of(utterances, text)


def test_a_declaration_is_kept_with_the_split() -> None:
    assert split_of(crowd(3), "loso,leaky=because").leaky == "because"
    assert "picked on the test part" in str(split_of(crowd(3), "random82_best_test,leaky=because").leaky)


# ------------------------------------------------------------------------------------------- leave one speaker out


def test_loso_tests_each_speaker_and_validates_on_the_next() -> None:
    split = split_of(crowd(4), "loso")
    assert [(f.name, speakers(f.test), speakers(f.validation)) for f in split.folds] == [
        ("speaker-s01", {"s01"}, {"s02"}),
        ("speaker-s02", {"s02"}, {"s03"}),
        ("speaker-s03", {"s03"}, {"s04"}),
        ("speaker-s04", {"s04"}, {"s01"}),
    ]
    assert all(len(speakers(f.train)) == 2 for f in split.folds)


def test_loso_without_validation_trains_on_all_others() -> None:
    for fold in split_of(crowd(3), "loso:0").folds:
        assert fold.validation == ()
        assert len(speakers(fold.train)) == 2


def test_several_validation_speakers_are_of_both_sexes() -> None:
    women_first = [u.with_(gender="female" if int(u.speaker[1:]) <= 4 else "male") for u in crowd(8)]
    fold = split_of(women_first, "loso:2").folds[0]
    assert speakers(fold.validation) == {"s02", "s05"}


def test_the_partner_of_the_tested_speaker_validates() -> None:
    # Two speakers a session, as in IEMOCAP: the other one must not be trained on.
    utterances = [u.with_(group=f"session{(int(u.speaker[1:]) + 1) // 2}") for u in crowd(6)]
    split = split_of(utterances, "loso")
    partners = {fold.name: speakers(fold.validation) for fold in split.folds}
    assert partners == {
        "speaker-s01": {"s02"},
        "speaker-s02": {"s01"},
        "speaker-s03": {"s04"},
        "speaker-s04": {"s03"},
        "speaker-s05": {"s06"},
        "speaker-s06": {"s05"},
    }
    assert check_split(split, utterances).errors == ()


@pytest.mark.parametrize(("text", "count"), [("loso", 2), ("loso:0", 1), ("loso:3", 4)])
def test_too_few_speakers_are_counted(text: str, count: int) -> None:
    with pytest.raises(SplitError, match=rf"too few speakers.*Found: {count} \(s01.*validation_speakers=0"):
        split_of(crowd(count), text)


def test_speakers_of_two_corpora_are_different_people() -> None:
    other = [u.with_(id=f"other-{u.id}", corpus="other") for u in crowd(2)]
    split = split_of([*crowd(2), *other], "loso:0")
    assert [fold.name for fold in split.folds] == [
        "speaker-other-s01",
        "speaker-other-s02",
        "speaker-table-s01",
        "speaker-table-s02",
    ]
    named = [u.with_(speaker=f"{u.corpus}/{u.speaker}") for u in (*crowd(2), *other)]
    assert [fold.name for fold in split_of(named, "loso:0").folds][2:] == ["speaker-table_s01", "speaker-table_s02"]


def test_names_of_folds_can_be_folders() -> None:
    utterances = [say(f"{n}", speaker) for n, speaker in enumerate(["a/b", "a:b", "Zoë", "../x"])]
    names = [fold.name for fold in split_of(utterances, "loso:0").folds]
    assert all("/" not in name and ":" not in name for name in names)
    assert len(set(names)) == 4


# ------------------------------------------------------------------------------------------- sessions


def test_sessions_are_left_out_one_by_one() -> None:
    utterances = [u.with_(group=f"g{(int(u.speaker[1:]) + 1) // 2}") for u in crowd(6)]
    split = split_of(utterances, "session")
    assert [(f.name, speakers(f.test), speakers(f.validation)) for f in split.folds] == [
        ("session-g1", {"s01", "s02"}, {"s03", "s04"}),
        ("session-g2", {"s03", "s04"}, {"s05", "s06"}),
        ("session-g3", {"s05", "s06"}, {"s01", "s02"}),
    ]


def test_sessions_need_groups() -> None:
    with pytest.raises(SplitError, match=r"recording group of every utterance.*Found: 24 of 24"):
        split_of(crowd(3), "session")
    with pytest.raises(SplitError, match=r"too few recording groups.*Found: 2. Expected: at least 3"):
        split_of([u.with_(group=u.speaker) for u in crowd(2)], "session")


# ------------------------------------------------------------------------------------------- grouped folds


@pytest.mark.parametrize("seed", range(8))
def test_kfold_is_as_balanced_as_scikit_learns(seed: int) -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    utterances = sorted(uneven_crowd(seed), key=lambda u: u.id)
    labels = np.array([CLASSES.index(str(u.emotion)) for u in utterances])
    groups = np.array([u.speaker for u in utterances])
    ours = [
        [name_to_place(utterances)[name] for name in fold.test]
        for fold in split_of(utterances, "kfold:4,validation_speakers=0").folds
    ]
    theirs = [test for _, test in model_selection.StratifiedGroupKFold(4).split(labels, labels, groups)]
    assert imbalance(ours, labels) <= imbalance(theirs, labels)


def name_to_place(utterances: Sequence[Utterance]) -> dict[str, int]:
    return {u.id: place for place, u in enumerate(utterances)}


def imbalance(folds: Sequence[Sequence[int]], labels: np.ndarray) -> float:
    """How much the share of each class differs between folds: standard deviation, mean over classes."""
    counts = np.array([np.bincount(labels[list(fold)], minlength=len(CLASSES)) for fold in folds])
    return float((counts / counts.sum(axis=0)).std(axis=0).mean())


@given(seed=st.integers(0, 10_000), folds=st.integers(2, 4), speakers_in_a_group=st.integers(1, 3))
@settings(max_examples=40)
def test_kfold_keeps_speakers_and_groups_whole(seed: int, folds: int, speakers_in_a_group: int) -> None:
    utterances = [
        u.with_(group=f"g{int(u.speaker[1:]) // speakers_in_a_group}") if int(u.id[-1]) % 2 else u
        for u in uneven_crowd(seed)
    ]
    split = make_split(utterances, SplitSettings(kind="kfold", folds=folds, seed=seed, validation_speakers=0))
    require_whole(split, utterances)
    assert len(split.folds) == folds
    by_id = {u.id: u for u in utterances}
    for fold in split.folds:
        for key in (lambda u: u.speaker, lambda u: u.group):
            tested, trained = ({key(by_id[name]) for name in part} - {None} for part in (fold.test, fold.train))
            assert tested & trained == set()
    assert Counter(name for fold in split.folds for name in fold.test) == dict.fromkeys(by_id, 1)


def test_kfold_depends_on_its_seed_only() -> None:
    assert split_of(crowd(12), "kfold:3") == split_of(crowd(12), "kfold:3")
    drawn = {tuple(sorted(f.test for f in split_of(crowd(12), f"kfold:3,seed={seed}").folds)) for seed in range(5)}
    assert len(drawn) > 1


def test_kfold_validates_on_whole_clusters() -> None:
    utterances = [u.with_(group=f"g{(int(u.speaker[1:]) + 1) // 2}") for u in crowd(8)]
    split = split_of(utterances, "kfold:2")
    by_id = {u.id: u for u in utterances}
    for fold in split.folds:
        validated, trained = ({by_id[name].group for name in part} for part in (fold.validation, fold.train))
        assert len(validated) == 1
        assert validated & trained == set()


def test_the_last_cluster_is_divided_rather_than_taken_whole() -> None:
    utterances = [u.with_(group=f"g{(int(u.speaker[1:]) + 1) // 2}") for u in crowd(4)]
    split = split_of(utterances, "kfold:2")
    assert all(len(speakers(fold.validation)) == len(speakers(fold.train)) == 1 for fold in split.folds)
    report = check_split(split, utterances)
    assert {(finding.kind, finding.severity) for finding in report.findings} == {("group", "warning")}


def test_nobody_left_to_train_on_is_said() -> None:
    with pytest.raises(SplitError, match=r"too few speakers to train on.*Found: 2 on the training side.*at least 3"):
        split_of(crowd(4), "kfold:2,validation_speakers=2")


def test_kfold_counts_bound_speakers_as_one() -> None:
    utterances = [u.with_(group=f"g{(int(u.speaker[1:]) + 1) // 2}") for u in crowd(6)]
    with pytest.raises(SplitError, match=r"too few speakers for so many folds.*Found: 3 \(.*count as one\)"):
        split_of(utterances, "kfold:4")


# ------------------------------------------------------------------------------------------- random


def test_random82_is_declared_leaky_and_picks_on_test() -> None:
    split = split_of(crowd(5, 20), "random82_best_test")
    (fold,) = split.folds
    assert (len(fold.train), len(fold.validation), len(fold.test)) == (80, 0, 20)
    assert split.select_on_test
    assert split.leaky is not None
    assert len(speakers(fold.train) & speakers(fold.test)) == 5
    assert split_of(crowd(5, 20), "random82_best_test,seed=1").folds != split.folds


def test_random811_is_declared_leaky_but_touches_test_once() -> None:
    split = split_of(crowd(5, 20), "random811")
    (fold,) = split.folds
    assert (len(fold.train), len(fold.validation), len(fold.test)) == (80, 10, 10)
    assert not split.select_on_test
    assert split.leaky is not None


def test_parts_share_nothing_by_construction() -> None:
    fold: Fold = split_of(crowd(2, 50), "random811").folds[0]
    assert set(fold.train) & set(fold.test) == set(fold.validation) & set(fold.test) == set()
