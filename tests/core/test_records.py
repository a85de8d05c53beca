"""Records survive the way to JSON and back."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serenade.core import records
from serenade.core.records import Attributes, Fold, Prediction, RunRecord, Score, Split, Utterance, Video

TEXT = st.text(max_size=8)
MAYBE = st.none() | TEXT
SECONDS = st.floats(0, 1e6)
MARKS = st.none() | st.floats(1, 5)
VIDEOS = st.builds(
    Video, st.just(Path("Ä b.mp4")), SECONDS, st.none() | SECONDS, st.none() | st.sampled_from(("left", "right"))
)
UTTERANCES = st.builds(
    Utterance,
    id=TEXT,
    audio=st.just(Path("wav/Ä b.wav")) | st.just(Path("/a.wav")) | st.just(records.NO_RECORDING),
    corpus=TEXT,
    speaker=TEXT,
    emotion=MAYBE,
    start_s=SECONDS,
    end_s=st.none() | SECONDS,
    dialogue=MAYBE,
    text=MAYBE,
    attributes=st.none() | st.builds(Attributes, st.just(1), st.just(5), MARKS, MARKS, MARKS),
    votes=st.dictionaries(TEXT, SECONDS, max_size=2),
    extra=st.dictionaries(TEXT, TEXT, max_size=2),
    duration_s=st.none() | SECONDS,
    channel=st.none() | st.integers(0, 9),
    video=st.none() | VIDEOS,
    faces=st.none() | st.just(Path("faces/Ä b.safetensors")),
)
PLAIN_FOLDS = st.builds(Fold, TEXT, *[st.lists(TEXT, max_size=3).map(tuple) for _ in range(3)])
FOLDS = st.builds(
    lambda fold, inner: dataclasses.replace(fold, inner=inner),
    PLAIN_FOLDS,
    st.lists(PLAIN_FOLDS, max_size=2).map(tuple),
)
SPLITS = st.builds(
    Split,
    TEXT,
    st.lists(FOLDS, max_size=2).map(tuple),
    leaky=MAYBE,
    select_on_test=st.booleans(),
    notes=st.lists(TEXT, max_size=2).map(tuple),
)
SCORES = st.builds(Score, TEXT, TEXT, st.lists(st.floats(0, 1), max_size=4).map(tuple), segments=st.integers(1, 9))
RUNS = st.builds(
    RunRecord,
    system=TEXT,
    fold=TEXT,
    seed=st.integers(0, 2**63),
    labels=st.lists(TEXT, max_size=3).map(tuple),
    scores=st.lists(SCORES, max_size=3).map(tuple),
    epochs=st.lists(st.dictionaries(TEXT, SECONDS, max_size=2), max_size=2).map(tuple),
    chosen_epoch=st.integers(1, 99),
    settings=st.dictionaries(TEXT, SECONDS | TEXT | st.lists(TEXT, max_size=2), max_size=3),
    versions=st.dictionaries(TEXT, TEXT, max_size=2),
    data=TEXT,
    timing=st.dictionaries(TEXT, SECONDS, max_size=2),
    embeddings=MAYBE,
    protocol=MAYBE,
    notes=st.lists(TEXT, max_size=2).map(tuple),
)


@given(st.one_of(UTTERANCES, SPLITS, RUNS))
def test_record_comes_back_from_json(record: Utterance | Split | RunRecord) -> None:
    text = json.dumps(record.to_json(), allow_nan=False)
    copy = type(record).from_json(json.loads(text))
    assert copy == record
    assert type(copy) is type(record)
    assert copy.to_json() == record.to_json()


def test_prediction_is_plain_json() -> None:
    prediction = Prediction("a.wav", 0.0, 2.5, "angry", 0.75, {"angry": 0.75, "sad": 0.25})
    assert json.loads(json.dumps(prediction.to_json())) == {
        "file": "a.wav",
        "start_s": 0.0,
        "end_s": 2.5,
        "label": "angry",
        "score": 0.75,
        "scores": {"angry": 0.75, "sad": 0.25},
        "speaker": None,
        "uncertain": False,
        "attributes": None,
    }


@pytest.mark.parametrize(
    "kind", [getattr(records, name) for name in records.__all__ if dataclasses.is_dataclass(getattr(records, name))]
)
def test_records_cannot_be_changed(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not hasattr(object.__new__(kind), "__dict__")


def test_changed_copy_leaves_the_utterance_as_it_was() -> None:
    utterance = Utterance("a", Path("a.wav"), "table", "anna", "angry")
    changed = utterance.with_(duration_s=1.5)
    assert (utterance.duration_s, changed.duration_s, changed.id) == (None, 1.5, "a")


def test_to_json_shares_nothing_with_the_record() -> None:
    utterance = Utterance("a", Path("a.wav"), "table", "anna", "angry", extra={"intensity": "strong"})
    utterance.to_json()["extra"]["intensity"] = "weak"
    assert utterance.extra == {"intensity": "strong"}


def test_attributes_keep_their_place_on_another_scale() -> None:
    attributes = Attributes(1, 5, valence=1.5, dominance=5.0)
    assert attributes.on_scale(-1, 1) == Attributes(-1, 1, valence=-0.75, dominance=1.0)
    assert attributes.on_scale(-1, 1).on_scale(1, 5) == attributes


@given(st.floats(1, 7), st.floats(-10, 0), st.floats(0.1, 10))
def test_attributes_never_leave_the_new_scale(value: float, low: float, high: float) -> None:
    moved = Attributes(1, 7, arousal=value).on_scale(low, high).arousal
    assert moved is not None
    assert low <= moved <= high


def test_attribute_outside_its_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"arousal 5\.5 lies outside the scale from 1 to 5"):
        Attributes(1, 5, arousal=5.5)
    with pytest.raises(ValueError, match="has no extent"):
        Attributes(5, 5)


def test_a_split_written_before_folds_could_be_nested_is_read() -> None:
    fold = {"name": "a", "train": ["1"], "validation": [], "test": ["2"]}
    values = {"name": "loso", "folds": [fold], "leaky": None, "select_on_test": False, "notes": []}
    assert Split.from_json(values).folds == (Fold("a", ("1",), (), ("2",)),)
