"""What a pretrained network has heard, against those who are tested with it."""

import json
from pathlib import Path

from serenade.core.records import UNKNOWN_SPEAKER, Fold, Split, Utterance
from serenade.evaluation.unlabelled_leaks import Heard, check_heard, heard_of


def utterance(name: str, speaker: str, corpus: str = "emodb", content: str | None = None) -> Utterance:
    return Utterance(name, Path(f"{name}.wav"), corpus, speaker, "angry", content=content or f"hash-{name}")


SPOKEN = [utterance(f"{speaker}{place}", speaker) for speaker in ("03", "08", "09", "10") for place in range(2)]
SPLIT = Split(
    "loso",
    (
        Fold("03", ("080", "081", "090", "091"), ("100", "101"), ("030", "031")),
        Fold("10", ("030", "031", "080", "081"), ("090", "091"), ("100", "101")),
    ),
)


def test_speakers_heard_are_errors_where_they_are_tested_and_warnings_where_they_validate() -> None:
    heard = heard_of([utterance("x", "03"), utterance("y", "03"), utterance("z", "10", content="other")])
    findings = check_heard(SPLIT, SPOKEN, heard)
    told = {(f.kind, f.severity, f.parts, f.folds) for f in findings}
    assert told == {
        ("speaker", "error", ("pretraining", "test"), ("03", "10")),
        ("speaker", "warning", ("pretraining", "validation"), ("03",)),
    }
    assert findings[0].message == "pretraining and test share 2 speakers in 2 of 2 folds: emodb/03, emodb/10"
    assert findings[0].offenders[0].counts == {"pretraining": 2, "test": 2}


def test_a_recording_heard_under_another_name_is_found() -> None:
    heard = heard_of([utterance("copy", UNKNOWN_SPEAKER, "unlabelled", "hash-030@0.000-1.000")])
    findings = check_heard(SPLIT, SPOKEN, heard)
    assert [(f.kind, f.severity) for f in findings] == [("content", "error"), ("unknown_speaker", "warning")]
    assert "of 1 pretraining recordings the speaker is not known" in findings[1].message


def test_training_speakers_and_namesakes_in_other_corpora_may_be_heard() -> None:
    assert check_heard(SPLIT, SPOKEN, heard_of([utterance("x", "08"), utterance("y", "03", "ravdess")])) == ()
    with_names = [u.with_(speaker=f"emodb/{u.speaker}") for u in SPOKEN]  # as in runs of several corpora
    assert check_heard(SPLIT, with_names, heard_of([utterance("x", "03")]))[0].severity == "error"


def test_nobody_is_named_in_what_is_written() -> None:
    heard = heard_of(SPOKEN)
    text = json.dumps(heard.to_json())
    assert "emodb" not in text
    assert "03" not in heard.speakers
    assert Heard.from_json(json.loads(text)) == heard
