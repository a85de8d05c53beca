"""`serenade table ssl` as a user meets it: two stages per fold, averages, skipped rows, and all eleven experiments."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.corpora.conversation_trees import Turn, make_iemocap, name_iemocap_turns
from tests.corpora.trees import write_sound
from tests.models.checkpoints import write_checkpoint, write_text_checkpoint

from serenade.app.main import main
from serenade.corpora.synthetic import generate
from serenade.evaluation.metrics import confusion, ua, wa

pytest.importorskip("transformers")

SMALL = {"channels": 8, "squeeze_channels": 4, "attention_channels": 4, "embedding_dim": 4}
QUICK = [
    *[part for name, value in SMALL.items() for part in ("--set", f"ecapa.{name}={value}")],
    *["--set", "training.epochs=2", "--workers", "1", "-q"],
]


@pytest.fixture(scope="module")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints: wav2vec2, hubert, text."""
    root = tmp_path_factory.mktemp("upstreams")
    write_checkpoint(root / "wav2vec2", "wav2vec2-large")
    write_checkpoint(root / "hubert", "hubert-base")
    write_text_checkpoint(root / "text", "bert")
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=3, utterances_per_class=2, classes=("angry", "sad"))
    for path in folder.rglob("*.flac"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, samples[: rate // 2], rate)  # short recordings are quick to train on
    return folder


def table(*arguments: object) -> int:
    return main(["table", "ssl", *(str(argument) for argument in arguments)])


def records(out: Path, run: str, *, single: bool = False) -> dict[str, dict[str, object]]:
    found = {}
    for folder in sorted((out / run / "jobs").iterdir()):
        found[folder.name] = json.loads((folder / ("single/record.json" if single else "record.json")).read_text())
    return found


def accuracies(record: dict[str, object]) -> tuple[float, float]:
    scores = record["scores"]
    labels = record["labels"]
    truth = np.array([labels.index(score["truth"]) for score in scores])
    told = np.array([np.argmax(score["probabilities"]) for score in scores])
    counts = confusion(truth, told, len(labels))
    return float(wa(counts)), float(ua(counts))


def test_both_stages_of_every_fold_are_done_averaged_and_shown(
    corpus: Path, upstreams: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        "--corpus",
        f"synthetic={corpus}",
        "--wav2vec2",
        upstreams / "wav2vec2",
        "--experiments",
        "1,3,7",
        *QUICK,
    ]
    out = tmp_path / "one"
    assert table(*given, "--out", out) == 0
    shown = capsys.readouterr().out
    flat = " ".join(shown.split())
    for words in (
        "wav2vec 2.0 (synthetic)",
        "74.09",
        "77.07 or 77.36 (?)",
        "Not run: experiment 7: no HuBERT is given",
    ):
        assert words in flat
    assert {path.name for path in out.glob("ssl.*")} == {"ssl.json", "ssl.md", "ssl.tex", "ssl.csv", "ssl.html"}
    first, second = records(out, "fine-tuned/wav2vec2"), records(out, "experiment-03")
    single = records(out, "fine-tuned/wav2vec2", single=True)
    assert set(first) == set(second) == set(single) == {f"speaker-s0{n}-seed0" for n in (1, 2, 3)}
    for job, record in second.items():
        named = str(record["settings"]["branches"]["speech"]["fine_tuned"])
        assert named == str(out / "fine-tuned/wav2vec2/jobs" / job / "model"), "every fold takes its own upstream"
        assert record["averaged"]["asked"] == 5
        assert len(record["averaged"]["epochs"]) == 2
        assert any("of which there were only 2" in note for note in record["notes"])
        assert single[job]["averaged"] is None
        assert first[job]["scores"] != single[job]["scores"]
        assert not (out / "fine-tuned/wav2vec2/jobs" / job / "best").exists()
    wacc = np.mean([accuracies(record) for record in second.values()], axis=0)
    row = next(line for line in (out / "ssl.csv").read_text().splitlines() if line.startswith("3,"))
    values = [float(cell) for cell in row.split(",") if cell.replace(".", "").isdigit()]
    assert values[1] == pytest.approx(100 * wacc[0])
    assert values[3] == pytest.approx(100 * wacc[1])
    assert table("--out", out, "--finished", "-q") == 0
    assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_two_tables_of_one_seed_are_equal(corpus: Path, upstreams: Path, tmp_path: Path) -> None:
    given = ["--corpus", f"synthetic={corpus}", "--wav2vec2", upstreams / "wav2vec2", "--experiments", "3", *QUICK]
    for name in ("one", "two"):
        assert table(*given, "--out", tmp_path / name) == 0
    for run in ("fine-tuned/wav2vec2", "experiment-03"):
        one, two = (records(tmp_path / name, run).values() for name in ("one", "two"))
        assert [record["scores"] for record in one] == [record["scores"] for record in two]


@pytest.mark.slow
def test_the_other_reading_of_experiments_3_and_4_is_the_first_stage_itself(
    corpus: Path, upstreams: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--corpus", f"synthetic={corpus}", "--hubert", upstreams / "hubert", "--experiments", "2,4", *QUICK]
    assert table(*given, "--out", tmp_path, "--joint", "--dry-run") == 0
    assert table(*given, "--out", tmp_path, "--joint") == 0
    assert [path.name for path in tmp_path.glob("*/*") if path.is_dir()] == ["hubert"], "one run is enough"
    assert "averaged networks of the first stage, head included" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--experiments", "12"], "numbers from 1 to 11"),
        (["--experiments", "a"], "experiments are given by number"),
        (["--experiments", "1"], "no wav2vec 2.0 is given (--wav2vec2 FOLDER)"),
        (["--experiments", "1", "--wav2vec2", "nowhere"], "no such folder"),
        (["--experiments", "10", "--text", "{upstreams}/hubert"], "takes speech, not text"),
        (["--experiments", "9", "--set", "training.epoch=1"], "Did you mean 'epochs'"),
        (["--experiments", "9", "--split", "loso:0"], "picked on a validation part"),
    ],
)
def test_bad_input_is_told(
    corpus: Path,
    upstreams: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    filled = [argument.replace("{upstreams}", str(upstreams)) for argument in arguments]
    code = table(*filled, "--corpus", f"synthetic={corpus}", "--out", tmp_path / "t", "-q")
    shown = " ".join(capsys.readouterr().err.split())
    assert code in (1, 2)
    assert message in shown
    assert "Traceback" not in shown


def test_experiments_on_words_are_left_out_where_some_are_missing(
    corpus: Path, upstreams: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["path,speaker,emotion,text"]
    for place, path in enumerate(sorted(corpus.rglob("*.flac"))):
        text = "" if place == 0 else "so happy"
        lines.append(f"{path},{path.name[:3]},{'angry' if place % 2 else 'sad'},{text}")
    listed = tmp_path / "table.csv"
    listed.write_text("\n".join(lines), encoding="utf-8")
    given = ["--corpus", f"table={listed}", "--experiments", "9,10", "--text", upstreams / "text", "--dry-run", *QUICK]
    assert table(*given, "--out", tmp_path / "all") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "experiment 10: 1 of 12 utterances have no transcript (--where transcript=yes leaves them out)" in told
    assert table(*given, "--out", tmp_path / "some", "--where", "transcript=yes") == 0
    assert "not run" not in capsys.readouterr().err


def miniature_iemocap(root: Path) -> Path:
    """Five sessions of two people, four classes with excited for one of the happy ones, 0.3 s each."""
    codes = ("ang", "hap", "exc", "neu", "sad")
    turns = [Turn(f"Ses0{session}{gender}", "impro", code) for session in "12345" for gender in "FM" for code in codes]
    named = name_iemocap_turns(turns, differing=20)
    return make_iemocap(root, named, write=lambda path: write_sound(path, seconds=0.3, key=path.stem))


@pytest.mark.slow
def test_all_eleven_experiments_end_to_end_on_a_miniature_iemocap(
    upstreams: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = miniature_iemocap(tmp_path / "iemocap"), tmp_path / "out"
    folders = [part for name in ("wav2vec2", "hubert", "text") for part in (f"--{name}", upstreams / name)]
    assert table("--corpus", f"iemocap={corpus}", *folders, "--out", out, *QUICK) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "split superb, 5 folds, 1 seed" in shown
    assert "50 test utterances of 10 speakers, 4 classes (angry, happy, neutral, sad)" in shown
    assert "Not run" not in shown
    assert "not SUPERB's lists" in shown, "a miniature is not the corpus"
    runs = [
        *(f"fine-tuned/{name}" for name in ("wav2vec2", "hubert", "text")),
        *(f"experiment-{n:02}" for n in range(3, 12)),
    ]
    for run in runs:
        found = records(out, run)
        assert set(found) == {f"session-{n}-seed0" for n in range(1, 6)}
        tested = sorted(score["id"] for record in found.values() for score in record["scores"])
        assert len(tested) == len(set(tested)) == 50
    lines = (out / "ssl.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(1, 12)]
    fused = records(out, "experiment-07")["session-1-seed0"]["settings"]["branches"]
    assert list(fused) == ["hubert", "wav2vec2"]
