"""openSMILE functionals: the features are openSMILE's, a missing plug-in is named, results are declared."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from serenade.core.errors import MissingPluginError, UsageError
from serenade.core.files import read_json
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.corpora.synthetic import generate
from serenade.experiments.run import prepare, run_experiment
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.experiments.summary import summarise
from serenade.reports.tables import result_table
from serenade.signal import functionals
from serenade.systems.functionals import FunctionalsSettings, FunctionalsSystem
from serenade.training.system import DeclaringSystem, Example

LABELS = LabelSet(("angry", "sad"))


def examples(count: int) -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    return [
        Example(
            Utterance(f"u{place}", Path("x"), "toy", f"s{place % 3}", LABELS.names[place % 2]),
            {"audio": torch.randn(1, 88, generator=generator) + place % 2},
            place % 2,
        )
        for place in range(count)
    ]


@pytest.mark.parametrize("feature_set", ["eGeMAPSv02", "ComParE_2016"])
def test_features_are_those_of_opensmile(feature_set: str) -> None:
    opensmile = pytest.importorskip("opensmile")
    system = FunctionalsSystem(FunctionalsSettings.model_validate({"feature_set": feature_set}), LABELS)
    waveform = 0.3 * torch.sin(torch.arange(24000) * torch.linspace(0.05, 0.2, 24000))
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    expected = smile.process_signal(waveform.numpy(), 16000).to_numpy()
    found = system.extract(waveform, training=False)["audio"].numpy()
    assert found.shape == (1, system.network.mean.shape[0])
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_feature_sets_do_not_share_cache_entries() -> None:
    pytest.importorskip("opensmile")
    keys = [
        FunctionalsSystem(FunctionalsSettings.model_validate({"feature_set": name}), LABELS).cache_key(training=False)
        for name in ("eGeMAPSv02", "ComParE_2016")
    ]
    assert len(set(keys)) == 2


def test_missing_plugin_is_named_with_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    functionals._smile.cache_clear()
    system = FunctionalsSystem(FunctionalsSettings(), LABELS)
    with pytest.raises(MissingPluginError, match=r"non-commercial use only.*pip install opensmile"):
        system.extract(torch.ones(16000), training=False)


def test_fitted_system_predicts_without_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    system = FunctionalsSystem(FunctionalsSettings(classifier="rbf_svm"), LABELS)
    train = examples(30)
    system.fit_inputs(train)
    system.fit(train, [], 0)
    said = system.predict(system.collate(train)).probabilities.argmax(dim=1)
    assert (said == torch.tensor([e.target for e in train])).float().mean() > 0.9


def test_it_declares_licence_and_protocol() -> None:
    plain = FunctionalsSystem(FunctionalsSettings(), LABELS)
    assert isinstance(plain, DeclaringSystem)
    assert plain.protocol is None
    assert "non-commercial" in plain.notes[0]
    assert "tested speakers" in str(
        FunctionalsSystem(FunctionalsSettings(speaker_normalisation="all_utterances"), LABELS).protocol
    )


def test_normalised_model_refuses_single_recordings() -> None:
    system = FunctionalsSystem(FunctionalsSettings(speaker_normalisation="all_utterances"), LABELS)
    with pytest.raises(UsageError, match=r"normalised per speaker.*: u0"):
        system.fit_inputs(examples(4))
    train = system.prepare(examples(12))
    system.fit_inputs(train)
    system.fit(train, [], 0)
    with pytest.raises(UsageError, match="speaker_normalisation=none"):
        system.predict(system.collate(examples(1)))


def test_run_with_speaker_normalisation_says_so_everywhere(tmp_path: Path) -> None:
    generate(tmp_path / "voices", speakers=4, utterances_per_class=2, classes=("angry", "sad"))
    settings = ExperimentSettings(
        preset="baseline",
        system={"speaker_normalisation": "all_utterances", "inverse_regularisation": [0.01]},
        corpora=(CorpusSettings(name="synthetic", root=tmp_path / "voices"),),
    )
    run = run_experiment(prepare(settings), tmp_path / "run", workers=1)
    record = read_json(next((run.path / "jobs").glob("*/record.json")))
    assert "tested speakers" in record["protocol"]
    summary = summarise(run.path)
    for table_format in ("text", "markdown", "latex"):
        table = result_table([summary], table_format)
        assert "TRANSDUCTIVE" in table.split("fold mean")[0]
        assert "recordings of the tested" in " ".join(table.split())
    assert "per-speaker normalisation" in result_table([summary], "csv")
    # Nobody's embedding depends on the fold: the same standardisation by speaker, up to that of the training part.
    assert summary["metrics"]["ua"]["pooled"]["mean"] > 0
