"""An upstream of one's own from folder to folder: it learns, resumes, tells what it heard, refuses what it must."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.experiments.test_run import Quiet

from serenade.core.errors import CorpusError, LeakError, SettingsError, TrainingError, UsageError
from serenade.core.files import read_json, read_json_lines, write_json
from serenade.core.labels import LabelSet
from serenade.core.settings import make_settings
from serenade.corpora.synthetic import generate
from serenade.evaluation.splits import make_split, parse_split
from serenade.evaluation.unlabelled_leaks import check_heard
from serenade.experiments import pretraining
from serenade.experiments.data import read_corpora
from serenade.experiments.pretraining import PretrainSettings, read_pretraining_speech
from serenade.experiments.run import prepare
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.models.upstreams.masked_mel import read_heard
from serenade.systems import PRESETS, make_system
from serenade.training.system import DeclaringSystem

RATE = 16000
TINY = {
    "network": {
        "num_bands": 20,
        "width": 32,
        "num_blocks": 2,
        "num_heads": 2,
        "feed_forward": 64,
        "position_kernel": 9,
    },
    "training": {"steps": 12, "batch_size": 4, "report_every": 5, "learning_rate": 3e-3},
    "num_clusters": 8,
}


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    generate(folder, speakers=4, utterances_per_class=3, classes=("angry", "sad"))
    return folder


@pytest.fixture
def shared_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path_factory.getbasetemp() / "pretraining-cache"))


def settings_of(*unlabelled: tuple[str, Path], **changes: object) -> PretrainSettings:
    corpora = [{"name": name, "root": str(root)} for name, root in unlabelled]
    values = {**TINY, "unlabelled": {"corpora": corpora, "piece_s": 2.0}, "held_out": 0.25, **changes}
    return make_settings(PretrainSettings, values)


def pretrain_upstream(settings: PretrainSettings, out: Path, *, watcher: Quiet) -> None:
    speech = read_pretraining_speech(settings, watcher)
    pretraining.pretrain_upstream(settings, speech, out, watcher=watcher)


def fold_of(voices: Path, **changes: object) -> PretrainSettings:
    return settings_of(
        corpora=[{"name": "synthetic", "root": str(voices)}],
        split=parse_split("loso").model_dump(exclude_none=True),
        **{"fold": "speaker-s01", **changes},
    )


@pytest.mark.slow  # tests/training/test_pretraining.py shows the same of drawn frames
@pytest.mark.usefixtures("shared_cache")
def test_it_learns_from_synthetic_speech(voices: Path, tmp_path: Path) -> None:
    training = {"steps": 200, "batch_size": 6, "report_every": 200, "learning_rate": 4e-3, "mask_span": 4}
    out = tmp_path / "up"
    pretrain_upstream(settings_of(("synthetic", voices), training=training, num_clusters=16), out, watcher=Quiet())
    (entry,) = read_json_lines(out / "log.jsonl")
    told = entry["held_out"]
    assert told["clusters"] < 0.7 * told["chance"]
    assert told["accuracy"] > told["majority"] + 0.15


@pytest.mark.usefixtures("shared_cache")
def test_the_folder_tells_what_was_heard(voices: Path, tmp_path: Path) -> None:
    watcher = Quiet()
    out = tmp_path / "up"
    left = out.with_name("up.training") / ".writing-0123"  # as a process leaves it that was killed while it wrote
    left.parent.mkdir()
    left.write_bytes(b"part of a state")
    pretrain_upstream(settings_of(("synthetic", voices)), out, watcher=watcher)
    assert sorted(path.name for path in out.iterdir()) == [
        "card.md", "config.json", "log.jsonl", "model.safetensors", "pretraining.json",
    ]  # fmt: skip
    assert not out.with_name("up.training").exists()
    about = read_json(out / "pretraining.json")
    (corpus,) = about["corpora"]
    assert corpus["recordings"] == 24
    assert corpus["speakers"] == 4
    assert "4 speakers and 24 recordings" in (out / "card.md").read_text()
    heard = read_heard(out)
    assert heard is not None
    data = ExperimentSettings(corpora=(CorpusSettings(name="synthetic", root=voices),))
    utterances = read_corpora(data).utterances
    findings = check_heard(make_split(utterances, data.split), utterances, heard)
    assert {(f.kind, f.severity) for f in findings} == {
        ("speaker", "error"), ("content", "error"), ("speaker", "warning"), ("content", "warning"),
    }  # fmt: skip
    before = (out / "model.safetensors").read_bytes()
    pretrain_upstream(settings_of(("synthetic", voices)), out, watcher=watcher)
    assert any("finished already" in warning for warning in watcher.warnings)
    assert (out / "model.safetensors").read_bytes() == before
    with pytest.raises(UsageError, match="other speech or with other settings"):
        pretrain_upstream(settings_of(("synthetic", voices), num_clusters=9), out, watcher=watcher)


@pytest.mark.usefixtures("shared_cache")
def test_of_a_labelled_corpus_only_the_training_part_is_heard(voices: Path) -> None:
    speech = read_pretraining_speech(fold_of(voices), Quiet())
    data = ExperimentSettings(corpora=(CorpusSettings(name="synthetic", root=voices),))
    utterances = read_corpora(data).utterances
    split = make_split(utterances, data.split)
    (fold,) = [fold for fold in split.folds if fold.name == "speaker-s01"]
    assert {u.id for u in speech.all} == {f"unlabelled/synthetic/{name}" for name in fold.train}
    assert all(u.emotion is None and u.text is None for u in speech.all)
    alone = make_split(utterances, data.split).__class__("one", (fold,))
    assert check_heard(alone, utterances, pretraining.heard_of(speech.all)) == ()


def test_what_cannot_be_heard_honestly_is_refused(voices: Path, tmp_path: Path) -> None:
    cases: list[tuple[PretrainSettings, str]] = [
        (settings_of(), "nothing to learn from"),
        (fold_of(voices, fold=None), "no fold is named"),
        (fold_of(voices, fold="77"), "no such fold.*77.*speaker-s01"),
        (settings_of(("synthetic", voices), split={"kind": "loso"}), "none is given"),
        (
            fold_of(voices, unlabelled={"corpora": [{"name": "synthetic", "root": str(voices)}]}),
            "given twice.*synthetic",
        ),
        (settings_of(("librispeech", voices), ("ravdess", voices)), "--mixed-licences"),
        (settings_of(("unlabelled", voices), ("ravdess", voices)), "not for commercial use: RAVDESS"),
    ]
    for settings, message in cases:
        with pytest.raises(UsageError, match=message):
            pretrain_upstream(settings, tmp_path / "up", watcher=Quiet())
    with pytest.raises(SettingsError, match=r"network\.num_heads|must divide the width"):
        settings_of(("synthetic", voices), network={"width": 30, "num_heads": 4})


@pytest.mark.usefixtures("shared_cache")
def test_a_run_refuses_to_test_whom_its_upstream_has_heard(voices: Path, tmp_path: Path) -> None:
    pretrain_upstream(settings_of(("synthetic", voices)), tmp_path / "all", watcher=Quiet())
    pretrain_upstream(fold_of(voices), tmp_path / "training", watcher=Quiet())

    def run(folder: Path, split: str = "loso") -> ExperimentSettings:
        system = {"branches": {"speech": {"upstream": str(folder)}}}
        return ExperimentSettings(
            preset="ssl-mean",
            system=system,
            corpora=(CorpusSettings(name="synthetic", root=voices),),
            split=parse_split(split),
        )

    with pytest.raises(LeakError, match="pretraining and test share 4 speakers in 4 of 4 folds"):
        prepare(run(tmp_path / "all"))
    with pytest.raises(LeakError, match="pretraining and test share 2 speakers in 2 of 4 folds"):
        prepare(run(tmp_path / "training"))  # honest in its own fold alone
    about = read_json(tmp_path / "all" / "pretraining.json")
    about["corpora"][0] |= {"title": "RAVDESS", "licence": "CC BY-NC-SA 4.0", "commercial_use": False}
    write_json(tmp_path / "all" / "pretraining.json", about)
    system = make_system(PRESETS["ssl-mean"], run(tmp_path / "all").system, LabelSet(("angry", "sad")))
    assert isinstance(system, DeclaringSystem)
    (note,) = system.notes
    assert note == "Its upstream was pretrained on RAVDESS (CC BY-NC-SA 4.0), so it is NOT for commercial use."
    plan = prepare(run(tmp_path / "all", "loso,leaky=the upstream has heard them"))
    assert plan.leaks.findings[0].parts == ("pretraining", "test")


def test_licences_are_written_into_the_card() -> None:
    corpora = [
        {"title": "A", "recordings": 2, "speakers": 0, "minutes": 1, "licence": "CC0", "commercial_use": True},
        {"title": "B", "recordings": 2, "speakers": 3, "minutes": 1, "licence": "NC", "commercial_use": False},
    ]
    assert "because of B" in pretraining._use(corpora)
    assert "may be used commercially" in pretraining._use(corpora[:1])
    assert "NOT for commercial use" in pretraining._corpus_line(corpora[1])


def noise(seconds: float, seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "speech"
    folder.mkdir()
    with pytest.raises(CorpusError, match="unlabelled speech"):
        pretrain_upstream(settings_of(("unlabelled", folder)), tmp_path / "up", watcher=Quiet())
    (folder / "broken.wav").write_bytes(b"RIFF no sound")
    soundfile.write(folder / "tiny.wav", noise(0.02, 1), RATE)
    bad = noise(2, 2)
    bad[100] = np.nan
    soundfile.write(folder / "nan.wav", bad, RATE, subtype="FLOAT")
    with pytest.raises(CorpusError, match=r"3 left out: .*not finite"):
        pretrain_upstream(settings_of(("unlabelled", folder)), tmp_path / "up", watcher=Quiet())
    soundfile.write(folder / "one.wav", noise(2, 3), RATE)
    with pytest.raises(CorpusError, match="two recordings where nobody knows who speaks"):
        pretrain_upstream(settings_of(("unlabelled", folder)), tmp_path / "up", watcher=Quiet())
    soundfile.write(folder / "two.wav", noise(2, 4), RATE)
    many = settings_of(("unlabelled", folder), num_clusters=500)
    with pytest.raises(TrainingError, match=r"too little speech for so many clusters.*99 steps.*at least 500"):
        pretrain_upstream(many, tmp_path / "up", watcher=Quiet())
    found = read_pretraining_speech(settings_of(("unlabelled", folder)), Quiet())
    assert len(found.training) == len(found.held_out) == 1
    assert {item.where.rpartition("/")[2] for item in found.left_out} >= {"broken.wav", "tiny.wav", "nan.wav"}
    with pytest.raises(UsageError, match="no upstream of `serenade pretrain`"):
        pretrain_upstream(settings_of(("unlabelled", folder)), folder, watcher=Quiet())


@pytest.mark.slow
def test_a_killed_process_is_taken_up_and_ends_the_same(voices: Path, tmp_path: Path) -> None:
    def command(out: Path) -> list[str]:
        changes = [f"network.{k}={v}" for k, v in TINY["network"].items()]
        changes += ["training.report_every=2", "training.batch_size=2", "num_clusters=8", "held_out=0.25"]
        options = [part for change in changes for part in ("--set", change)]
        corpus = f"synthetic={voices}"
        return [
            sys.executable, "-m", "serenade.app", "pretrain", "--unlabelled", corpus, "--out", str(out),
            "--steps", "60", "--threads", "1", *options,
        ]  # fmt: skip

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command(tmp_path / "killed"), env=environment, stderr=subprocess.DEVNULL)
    state = tmp_path / "killed.training" / "state.safetensors"
    for _ in until(60):
        if state.exists() or first.poll() is not None:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    for name in ("killed", "whole"):
        subprocess.run(command(tmp_path / name), env=environment, check=True)
    one, other = (read_json_lines(tmp_path / name / "log.jsonl") for name in ("killed", "whole"))
    assert [entry["training"] for entry in one] == [entry["training"] for entry in other]
    assert [entry["held_out"] for entry in one] == [entry["held_out"] for entry in other]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]


def until(seconds: float) -> Iterator[None]:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.02)
        yield


def test_settings_of_a_finished_upstream_are_plain(voices: Path, tmp_path: Path) -> None:
    out = tmp_path / "up"
    pretrain_upstream(settings_of(("synthetic", voices)), out, watcher=Quiet())
    about = json.loads((out / "pretraining.json").read_text())
    assert about["settings"]["training"]["steps"] == 12
    assert about["part"] is None
    assert about["result"]["step"] == 12
    assert about["hours"]["speech"] > 0
