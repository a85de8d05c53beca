"""``serenade evaluate`` as a user calls it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main
from serenade.corpora.synthetic import generate


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    return folder


@pytest.mark.slow
def test_runs_are_tested_together_and_shown(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [tmp_path / name for name in ("one", "two")]
    for out in runs:
        assert main(["run", "baseline", "--corpus", f"synthetic={corpus}", "--out", str(out), "-q"]) == 0
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise/a.wav", np.random.default_rng(0).normal(0, 0.1, 32000), 16000)
    capsys.readouterr()
    call = ["evaluate", *map(str, runs), "-c", "noise:0,20", "-c", "telephone", "-c", "fgsm:0.1", "--noise"]
    call += [str(tmp_path / "noise"), "--out", str(tmp_path / "page"), "--workers", "1"]
    assert main(call) == 0
    shown = capsys.readouterr()
    for word in ("one (synthetic)", "two (synthetic)", "noise:20", "telephone", "fgsm:0.1", "active speech level"):
        assert word in shown.out
    page = (tmp_path / "page/conditions.html").read_text()
    assert page.count("<audio") == 4  # clean, two ratios, the telephone; features cannot be heard
    assert (tmp_path / "page/noise.svg").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no condition is given"),
        (["-c", "noise:0"], "--noise FOLDER"),
        (["-c", "fgsm:-1"], "from 0 on"),
        (["-c", "telefone"], "telephone"),
    ],
)
def test_bad_calls_are_told(
    options: list[str], message: str, make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(make_run()), *options]) in (1, 2)
    assert message in capsys.readouterr().err


def test_several_runs_need_a_folder(make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(make_run("a")), str(make_run("b")), "-c", "gain:-3"]) == 2
    assert "--out FOLDER" in capsys.readouterr().err
