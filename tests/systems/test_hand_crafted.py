"""Systems over hand-crafted features: where features come from, how they are scaled."""

from pathlib import Path

import pytest
import torch

from serenade.core.errors import CheckpointError, CorpusError, SettingsError
from serenade.core.labels import LabelSet
from serenade.core.records import NO_RECORDING, Utterance
from serenade.signal.word_vectors import WordVectors
from serenade.systems import make_system, system_settings
from serenade.systems.hand_crafted import HandCraftedSystem
from serenade.training.system import Example

LABELS = LabelSet(("angry", "sad"))
TAKE = "01-01-05-01-02-01-12"


def make(**changes: object) -> HandCraftedSystem:
    torch.manual_seed(0)
    system = make_system("hand_crafted", system_settings("lf-lstm", changes).model_dump(), LABELS)
    assert isinstance(system, HandCraftedSystem)
    return system


def units(path: Path, *names: str) -> Path:
    rows = [",".join([name, *(str(place + column) for column in range(35))]) for place, name in enumerate(names)]
    path.write_text("\n".join([",".join(["clip", *(f"AU{n}" for n in range(35))]), *rows]))
    return path


def seen(name: str, text: str | None = None) -> Utterance:
    return Utterance(name, NO_RECORDING, "toy", "s", "sad", text=text)


def test_action_units_come_from_a_table_by_take(tmp_path: Path) -> None:
    system = make(face_units=units(tmp_path / "au.csv", TAKE, "other", "other"), modalities=["face"])
    assert system.extract_utterance(seen(TAKE.replace("01-", "03-", 1)))["face"][0, :2].tolist() == [0, 1]
    assert system.extract_utterance(seen("other"))["face"].shape == (2, 35)
    assert system.extract_utterance(seen("nobody")) == {}
    assert system.utterance_key(seen(TAKE)) != system.utterance_key(seen("other"))


def test_action_units_come_from_a_folder_of_openface_tables(tmp_path: Path) -> None:
    units(tmp_path / "a.csv", "0", "1", "2")
    found = make(face_units=tmp_path, modalities=["face"]).extract_utterance(seen("a"))
    assert found["face"].shape == (3, 35)
    assert found["face"][2, 0] == 2


def test_words_have_the_vectors_of_the_file_and_others_by_spelling(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("door " + " ".join(["0.5"] * 300) + "\n")
    vectors = WordVectors(path).vectors("Door, window")
    assert vectors[0].tolist() == [0.5] * 300
    torch.testing.assert_close(vectors[1], WordVectors(None).vectors("window")[0])
    path.write_text("door 1 2 3\n")
    with pytest.raises(CheckpointError, match="no word with its vector"):
        WordVectors(path)


def test_a_damaged_table_of_action_units_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "au.csv"
    path.write_text("clip,AU01\nx,1\n")
    with pytest.raises(CorpusError, match=r"another form"):
        make(face_units=path).extract_utterance(seen("x"))


def test_features_are_standardised_on_the_training_part() -> None:
    system = make(modalities=["face", "text"])
    generator = torch.Generator().manual_seed(0)
    train = [
        Example(seen(f"u{n}"), {"face": 3 + 2 * torch.randn(4, 35, generator=generator)}, n % 2) for n in range(20)
    ]
    system.fit_inputs(train)
    rows = torch.cat([example.inputs["face"] for example in train])
    torch.testing.assert_close(system.network.face_mean, rows.mean(0))
    torch.testing.assert_close(system.network.face_std, rows.std(0, unbiased=False))
    assert (system.network.text_std == 1).all()


def test_mult_needs_two_modalities() -> None:
    with pytest.raises(SettingsError, match="two modalities"):
        system_settings("mult", {"modalities": ["audio"]})
