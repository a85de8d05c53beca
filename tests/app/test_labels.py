"""`serenade labels`: what is known, and what a user's words become."""

import json

import pytest

from serenade.app.main import main
from serenade.core.label_maps import LABEL_MAPS
from serenade.core.labels import EMOTIONS


def test_every_emotion_and_map_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in (*EMOTIONS, *LABEL_MAPS))
    assert "excited=happy,happy=-" in shown


def test_words_are_read_as_classes_and_mapped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "Wut", "exc", "humming", "--map", "hap_only"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Wut -> angry",
        "exc -> left out",
        "humming -> humming    (a class of your own)",
    ]


def test_a_map_alone_tells_what_becomes_of_every_emotion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "--map", "merge", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["excited"] == read["happy"] == "happy"
    assert read["sad"] == "sad"


def test_json_holds_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["emotions"] == {name: list(others) for name, others in EMOTIONS.items()}


def test_misspelt_map_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "--map", "mrge"]) == 2
    assert "Did you mean 'merge'" in capsys.readouterr().err
