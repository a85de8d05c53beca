"""MESM's tables: rows, figures against scikit-learn, costs, and what stands beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score
from tests.corpora.trees import write_sound

from serenade.app.main import main
from serenade.core.errors import UnknownNameError, UsageError
from serenade.core.labels import LabelSet
from serenade.corpora.synthetic_av import generate_clips
from serenade.evaluation.multi_label import weighted_accuracy
from serenade.experiments.answers import Answers, answers_of_seed, speaker_intervals
from serenade.experiments.mesm_tables import members_of, mesm_rows, read_mesm_table
from serenade.experiments.results import read_results
from serenade.models.mesm import Fe2e, Frames
from serenade.models.mesm_cnn import dense_cost
from serenade.reports.mesm_table import mesm_table, write_mesm_table
from serenade.systems import system_settings

TINY = {
    "network.channels": [2, 3, 4, 5],
    "network.projection_dim": 6,
    "network.branch_dim": 4,
    "network.text_dim": 6,
    "network.feed_forward": 8,
    "training.epochs": 1,
}
QUICK = [part for name, value in TINY.items() for part in ("--set", f"{name}={json.dumps(value)}")]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clips") / "av"
    generate_clips(root, speakers=3, clips_per_class=2, classes=("angry", "sad"))
    return root


def test_figures_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=(40, 3)) < 0.3
    probabilities = generator.uniform(size=(40, 3))
    decided = probabilities > 0.6
    figures = Answers(tuple(map(str, range(40))), truth, probabilities, decided).figures()
    for name, theirs in (
        ("accuracy", accuracy_score),
        ("weighted_accuracy", balanced_accuracy_score),
        ("f1", f1_score),
    ):
        expected = [theirs(truth[:, k], decided[:, k]) for k in range(3)]
        np.testing.assert_allclose(figures[name]["classes"], expected)
        assert figures[name]["mean"] == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(
        figures["auc"]["classes"], [roc_auc_score(truth[:, k], probabilities[:, k]) for k in range(3)]
    )


def test_intervals_draw_speakers_as_a_plain_bootstrap_does() -> None:
    generator = np.random.default_rng(0)
    names = [f"u{number}" for number in range(240)]
    speakers = {name: f"s{number % 12:02d}" for number, name in enumerate(names)}
    truth = generator.uniform(size=(240, 2)) < 0.4
    right = generator.uniform(size=(240, 2)) < np.linspace(0.5, 0.9, 12)[np.arange(240) % 12][:, None]
    decided = np.where(right, truth, ~truth)
    found = speaker_intervals([Answers(tuple(names), truth, decided * 1.0, decided)], speakers)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([np.arange(240)[np.arange(240) % 12 == s] for s in generator.integers(0, 12, 12)])
        drawn.append(weighted_accuracy(truth[rows], decided[rows]).mean())
    low, high = found["weighted_accuracy"]
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)
    assert low < weighted_accuracy(truth, decided).mean() < high
    assert set(found) == {"accuracy", "weighted_accuracy", "f1"}
    assert speaker_intervals([Answers(("a",), truth[:1], decided[:1] * 1.0, decided[:1])], {"a": "unknown"}) == {}


def test_branches_are_judged_where_their_modality_is_there() -> None:
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=(50, 2)) < 0.5
    scores = generator.normal(size=(50, 2)).astype(np.float32)
    scores[:10] = 0
    nothing = np.zeros_like(scores)
    answers = Answers(("",) * 50, truth, scores * 1.0, scores > 0, {"face": scores, "audio": nothing})
    expected = np.mean([roc_auc_score(truth[10:, k], scores[10:, k]) for k in range(2)])
    assert answers.branch_areas() == {"face": pytest.approx(expected), "audio": None}


def test_the_published_answer_no_is_what_the_counts_give() -> None:
    """IEMOCAP's test part: 84.2, 85.6, 74.9, 90.9, 78.3, 86.0, mean 83.3."""
    counts = (234, 213, 371, 135, 321, 207)
    truth = np.zeros((1481, 6), dtype=bool)
    place = 0
    for column, count in enumerate(counts):
        truth[place : place + count, column] = True
        place += count
    nothing = Answers(("",) * 1481, truth, np.zeros((1481, 6)), np.zeros((1481, 6), dtype=bool)).figures()
    assert [round(100 * value, 1) for value in nothing["accuracy"]["classes"]] == [84.2, 85.6, 74.9, 90.9, 78.3, 86.0]
    assert round(100 * nothing["accuracy"]["mean"], 1) == 83.3
    assert nothing["f1"]["mean"] == 0


def test_cost_of_the_dense_network_needs_no_weights() -> None:
    sizes = system_settings("fe2e", {}).network  # type: ignore[attr-defined]
    with torch.device("meta"):
        network = Fe2e(6, sizes.model_copy(update={"modalities": ("face",)}))
    face = Frames(torch.zeros(1, 3, 48, 48, device="meta"), torch.tensor([1]))
    assert dense_cost(sizes, "face").multiply_adds == network.feature_costs(face=face)["face"].multiply_adds


def test_rows_are_those_of_the_paper() -> None:
    assert [row.name for row in mesm_rows("main", None, small=False)][-2:] == ["fe2e", "mesm"]
    assert len(mesm_rows("ablation", None, small=True)) == 10
    shares = members_of("top-p", mesm_rows("top-p", "p0.3,fe2e", small=True))
    assert [(member.name, member.preset) for member in shares] == [
        ("top-p/p0.3", "mesm-cpu"),
        ("top-p/fe2e", "fe2e-cpu"),
    ]
    for table in ("main", "ablation", "top-p"):
        for row in mesm_rows(table, None, small=True):  # type: ignore[arg-type]
            system_settings(row.preset, row.changes)
    with pytest.raises(UnknownNameError, match=r"p0\.3"):
        mesm_rows("top-p", "p0.33", small=True)


def test_utterances_with_several_emotions_and_with_none_are_learnt_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in CMU-MOSEI, with a validation part in which no utterance has one class; an empty cell is not known."""
    told = {"a": "angry", "b": "sad", "c": "angry,sad", "d": "", "e": "happy,sad"}
    lines = ["file,speaker,emotion,labels,text,split"]
    for part, names in (("train", "abcde"), ("validation", "cd"), ("test", "abcde")):
        for name in names:
            write_sound(tmp_path / f"{part}{name}.wav")
            emotion = told[name] if told[name] in ("angry", "sad") else ""
            lines.append(f'{part}{name}.wav,{part}{name},{emotion},"{told[name]}",{name} {part},{part}')
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    wanted = ["table", "mesm", "--table", "ablation", "--rows", "fe2e-text", "--small", "--out", str(out), "-q"]
    data = [
        "--corpus",
        f"table={tmp_path / 'own.csv'}",
        "--split",
        "columns:split",
        "--device",
        "cpu",
        "--workers",
        "1",
    ]
    assert main([*wanted, *data, "--set", "fusion.answers=several", *QUICK]) == 0
    assert "9 utterances of 9 speakers in 3 classes, 3 left out" in capsys.readouterr().err
    found = read_mesm_table(out, "ablation")["rows"][0]["found"]
    assert found["labels"] == ["angry", "happy", "sad"]
    assert found["tested"] == 4
    assert json.loads((out / "ablation.json").read_text())["corpora"] == ["table"]
    assert main([*wanted, "--table", "mask", "--p", "0.5"]) == 2
    assert found["always_no"]["accuracy"]["classes"] == pytest.approx([0.5, 0.75, 0.25])


def test_the_study_of_p_is_made_by_one_command(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table"
    wanted = ["table", "mesm", "--table", "top-p", "--small", "--out", str(out)]
    data = [
        "--corpus",
        f"synthetic-av={corpus}",
        "--detector",
        "middle",
        "--split",
        "random811",
        "--workers",
        "1",
        "-q",
    ]
    assert main([*wanted, "--rows", "p0.3,fe2e", *data, *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "MESM, p = 0.3" in shown
    assert "generated clips" in shown
    assert "LEAKY" in shown
    document = read_mesm_table(out, "top-p")
    sparse, dense = (row["found"]["cost"] for row in document["rows"])
    assert dense["flops"] == dense["dense_flops"] == sparse["dense_flops"]
    assert 0.1 < sparse["flops"] / sparse["dense_flops"] < 0.9
    sizes = system_settings("fe2e-cpu", {"network": {"channels": [2, 3, 4, 5]}}).network  # type: ignore[attr-defined]
    assert dense["per_frame"]["face"] == dense_cost(sizes, "face").flops
    assert sparse["per_frame"]["audio"] < dense["per_frame"]["audio"]
    assert "The text encoder is not in these FLOPs" in shown
    assert (out / "mesm-top-p.svg").is_file()
    results = read_results(out / "top-p" / "fe2e")
    answers = answers_of_seed(results, 0)
    assert set(answers.ids) == set(results.split.folds[0].test)
    assert set(answers.branches) == {"text", "face", "audio"}
    labels = LabelSet(results.labels)
    assert [labels.names[int(row.argmax())] for row in answers.truth] == [
        str(results.utterances[name].emotion) for name in answers.ids
    ]
    assert main([*wanted, "--finished", "-q"]) == 0


def test_published_rows_and_no_stand_beside_ours(tmp_path: Path) -> None:
    classes = ["angry", "excited", "frustrated", "happy", "neutral", "sad"]
    of_all = {"classes": [0.5] * 6, "mean": 0.5}
    figures = dict.fromkeys(("accuracy", "weighted_accuracy", "f1", "auc"), of_all)
    found = {"labels": classes, "figures": figures, "always_no": figures, "complete": True, "tested": 1481}
    found |= {"split": "mesm", "leaky": "random over utterances", "synthetic": False}
    found |= {"intervals": {"accuracy": (0.45, 0.55)}, "branches": {"text": 0.9, "face": None}}
    rows = [{"name": "mesm", "title": "MESM", "changes": {}, "found": found}]
    document = {"table": "main", "corpora": ["iemocap"], "rows": rows}
    table = mesm_table(document)
    assert [row[1] for row in table.rows] == ["computed", "ours", "interval", "published, Table 2"]
    assert [cell.text() for cell in table.rows[2][2:6]] == ["45.0 to 55.0", "", "", ""]  # type: ignore[union-attr]
    assert table.rows[3][-1] == "88.6/62.2"
    assert any("LEAKY" in note for note in table.notes)
    assert "MESM: AUC of its branches alone: text 90.0." in table.notes
    assert not any("are alike" in note for note in table.notes)
    never = {**of_all, "classes": [0.5, None, 0.5, 0.5, 0.5, 0.5]}
    told = {**found, "figures": {**figures, "weighted_accuracy": never}}
    notes = mesm_table({**document, "rows": [{**rows[0], "found": told}]}).notes
    assert "Of excited all true answers are alike: WAcc and AUC are means over the other emotions." in notes
    assert {path.suffix for path in write_mesm_table(document, tmp_path)} == {".md", ".tex", ".csv"}
    with pytest.raises(UsageError, match="not begun"):
        read_mesm_table(tmp_path, "main")


def test_several_emotions_and_none_go_through_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in CMU-MOSEI: an emotion that never stands alone is a class, and a segment without any is tested too."""
    from serenade.core.records import Listing, Utterance
    from serenade.evaluation.splits import parse_split
    from serenade.experiments import data
    from serenade.experiments.answers import figures_of_run
    from serenade.experiments.run import prepare, run_experiment
    from serenade.experiments.settings import CorpusSettings, ExperimentSettings

    pytest.importorskip("av")
    sounds = [tmp_path / f"u{number:02d}.wav" for number in range(24)]
    for number, sound in enumerate(sounds):
        soundfile.write(sound, 0.1 * np.random.default_rng(number).normal(size=16000), 16000)
    kinds = ("angry", "sad", "angry,happy", "")
    told = [
        Utterance(
            f"u{number:02d}",
            sounds[number],
            "toy",
            f"s{number % 6}",
            kinds[number % 4] if number % 4 < 2 else None,
            text=f"{kinds[number % 4]} word",
            extra={"labels": kinds[number % 4]},
            duration_s=1.0,
            content=f"c{number}",
        )
        for number in range(24)
    ]
    monkeypatch.setattr(data, "read_corpus", lambda *_, **__: Listing(tuple(told)))
    system = {"fusion": {"answers": "several"}, "modalities": ["text"], "training": {"epochs": 2, "patience": None}}
    base = ExperimentSettings(
        preset="lf-lstm",
        corpora=(CorpusSettings(name="synthetic", root=tmp_path),),
        split=parse_split("kfold:3"),
        system=system,
        device="cpu",
    )
    plan = prepare(base)
    assert len(plan.listing.utterances) == 24
    run = run_experiment(plan, tmp_path / "run", workers=1)
    found = figures_of_run(run.path)
    assert found["labels"] == ["angry", "happy", "sad"]
    assert found["tested"] == 24
    assert found["always_no"]["accuracy"]["classes"] == [0.5, 0.75, 0.75]
    assert len(read_results(run.path).scores(0).ids) == 12
