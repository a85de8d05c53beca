"""SUPERB's IEMOCAP protocol against the published sizes, orders and permutations."""

import hashlib

import pytest
from tests.evaluation.iemocap import iemocap
from tests.evaluation.people import crowd

from serenade.core.errors import SplitError
from serenade.evaluation.leaks import check_split
from serenade.evaluation.splits import SplitSettings, make_split
from serenade.evaluation.superb import CHECK_VALUES, CLASSES, check_value, permutation, pool_order

SUPERB = SplitSettings(kind="superb")

# ssl_upstream_downstream.md, section 1.2: the first six values for the five pools
FIRST = {
    4446: [224, 1110, 4359, 1515, 2505, 4131],
    4508: [2020, 562, 1771, 1243, 3815, 2957],
    4380: [4004, 4247, 685, 3129, 2991, 259],
    4500: [44, 3198, 3747, 771, 2711, 214],
    4290: [4124, 1899, 1847, 3405, 2103, 1199],
}


@pytest.mark.parametrize("size", FIRST)
def test_permutation_has_the_published_values(size: int) -> None:
    assert permutation(size)[:6] == FIRST[size]


@pytest.mark.parametrize("size", [0, 1, 2, 7, 500, *FIRST])
def test_permutation_is_what_torch_draws(size: int) -> None:
    torch = pytest.importorskip("torch")
    assert permutation(size) == torch.randperm(size, generator=torch.Generator().manual_seed(0)).tolist()


def test_sizes_are_the_published_ones() -> None:
    split = make_split(iemocap(), SUPERB)
    sizes = [(len(f.test), len(f.train) + len(f.validation), len(f.train), len(f.validation)) for f in split.folds]
    assert sizes == [
        (1085, 4446, 3556, 890),
        (1023, 4508, 3606, 902),
        (1151, 4380, 3504, 876),
        (1031, 4500, 3600, 900),
        (1241, 4290, 3432, 858),
    ]


def test_train_is_the_beginning_of_the_permuted_pool() -> None:
    utterances = iemocap()
    fold = make_split(utterances, SUPERB).folds[2]
    pool = sorted((u.id for u in utterances if not u.id.startswith("Ses03")), key=pool_order)
    order = permutation(4380)
    assert fold.train == tuple(sorted(pool[place] for place in order[:3504]))
    assert fold.validation == tuple(sorted(pool[place] for place in order[3504:]))
    assert pool[0] == "Ses01F_script03_2_F000"  # the first of these dialogues in the annex, though not in the alphabet


def test_pools_follow_the_order_of_the_published_lists() -> None:
    """The first and last dialogues of sessions 1, 3 and 5 in the specification's annex."""
    names = ["Ses01F_script02_2_M001", "Ses01F_impro07_F000", "Ses01F_impro07_M000", "Ses01F_script01_2_F000"]
    names += ["Ses03F_script02_1_F000", "Ses03M_impro05b_M016", "Ses03M_impro08b_F001", "Ses03F_impro02_F000"]
    names += ["Ses05M_script01_3_F000", "Ses05M_script01_1b_M033", "Ses05M_script01_1_F000", "Ses05M_script01_2_F000"]
    assert sorted(sorted(names), key=pool_order) == names


def test_all_151_dialogues_are_known() -> None:
    parts = {1: (7, "1 2 3"), 2: (8, "1 2 3"), 4: (8, "1 2 3")}
    for session, (scenes, _) in parts.items():
        for scene in range(1, scenes + 1):
            assert pool_order(f"Ses0{session}M_impro0{scene}_F000")[0] == str(session)
    with pytest.raises(SplitError, match=r"IEMOCAP only.*Ses01F_impro08_F000"):
        pool_order("Ses01F_impro08_F000")  # session 1 has seven improvised scenes


def test_only_the_validation_part_shares_speakers() -> None:
    utterances = iemocap((60, 60, 60, 60, 60))
    split = make_split(utterances, SUPERB)
    report = check_split(split, utterances)
    assert split.leaky is None
    assert report.errors == ()
    shared = {(finding.kind, finding.parts, finding.severity) for finding in report.findings}
    assert ("speaker", ("train", "validation"), "warning") in shared
    assert "chosen on speakers who are trained on" in split.notes[0]


def test_other_lists_are_told_with_their_check_values() -> None:
    utterances = iemocap()
    split = make_split(utterances, SUPERB)
    pool = sorted((u.id for u in utterances if not u.id.startswith("Ses01")), key=pool_order)
    value = hashlib.sha256("\n".join(pool).encode()).hexdigest()[:16]
    assert f"20 of 20 check values differ: pool of fold 1 ({value}, not cea2fbbe35b96e04)" in split.notes[1]


def test_the_published_lists_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the check values of the lists at hand in place of the published ones, which need the corpus."""
    utterances = iemocap()
    split = make_split(utterances, SUPERB)
    values = []
    for number, fold in enumerate(split.folds, start=1):
        pool = sorted((u.id for u in utterances if u.id[4] != str(number)), key=pool_order)
        values.append((check_value(pool), *(check_value(part) for part in (fold.train, fold.validation, fold.test))))
    monkeypatch.setattr("serenade.evaluation.superb.CHECK_VALUES", tuple(values))
    assert make_split(utterances, SUPERB).notes[1:] == ("all 20 check values are those of SUPERB's lists",)
    excited = [u.with_(emotion="excited") if place == 0 else u for place, u in enumerate(utterances)]
    assert "the classes are angry, excited, happy, neutral, sad" in make_split(excited, SUPERB).notes[-1]


def test_check_values_and_classes_are_complete() -> None:
    assert len({value for values in CHECK_VALUES for value in values}) == 20
    assert set(CLASSES) == {"angry", "happy", "neutral", "sad"}


def test_order_and_other_settings_change_nothing() -> None:
    utterances = iemocap((40, 40, 40, 40, 40))
    other = SplitSettings(kind="superb", seed=7, validation_speakers=0)
    assert make_split(utterances[::-1], other) == make_split(utterances, SUPERB)


def test_another_corpus_and_a_missing_session_are_refused() -> None:
    with pytest.raises(SplitError, match=r"superb is for IEMOCAP only.*s01-000.*Use session"):
        make_split(crowd(5), SUPERB)
    with pytest.raises(SplitError, match=r"session of IEMOCAP is missing.*no session 4"):
        make_split(iemocap((10, 10, 10, 0, 10)), SUPERB)
