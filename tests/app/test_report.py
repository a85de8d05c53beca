"""serenade report: the page, the table, the players."""

import base64
import io
import re

import numpy as np
import soundfile

from serenade.app.main import main
from serenade.core.files import read_json


def test_page_lies_in_the_run_and_holds_playable_sound(make_run, capsys):
    run = make_run(skill=0.5, audio=True)
    assert main(["report", str(run)]) == 0
    shown = capsys.readouterr()
    assert "95% interval" in shown.out
    assert f"Report: {run}/report.html" in shown.err
    source = (run / "report.html").read_text()
    sounds = re.findall(r'src="data:(audio/\w+);base64,([^"]+)"', source)
    worst = read_json(run / "summary.json")["worst"]
    assert len(sounds) == len(worst) > 3
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sounds[0][1])))
    assert rate == 16000
    assert abs(len(samples) / rate - 1.5) < 0.15  # MP3 pads to whole frames
    wanted = 200 + 10 * [f"{s:02d}-{p:02d}" for s in (1, 2, 3) for p in range(12)].index(worst[0]["id"])
    spectrum = np.abs(np.fft.rfft(samples[4000:20000]))
    assert abs(int(spectrum.argmax()) - wanted) <= 2  # one second: bins are hertz


def test_no_audio_makes_a_page_without_players(make_run, tmp_path):
    run = make_run(skill=0.5, audio=True)
    assert main(["report", str(run), "--no-audio", "--out", str(tmp_path / "p.html"), "-q"]) == 0
    assert "<audio" not in (tmp_path / "p.html").read_text()
    assert not (run / "report.html").exists()


def test_recordings_that_are_gone_are_told_and_the_page_is_made(make_run, capsys):
    run = make_run(skill=0.5)
    assert main(["report", str(run), "-q"]) == 0
    shown = capsys.readouterr()
    assert "listed without sound" in shown.err
    assert shown.out == ""
    assert "<audio" not in (run / "report.html").read_text()


def test_relative_paths_are_explained(make_run, tmp_path, monkeypatch, capsys):
    run = make_run(skill=0.5)
    text = (run / "utterances.jsonl").read_text().replace(f"{tmp_path}/", "")
    (run / "utterances.jsonl").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["report", "run", "-q"]) == 0
    assert "from the folder where the run was started" in capsys.readouterr().err


def test_several_runs_make_one_page_here(make_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    a, b, c = make_run("a"), make_run("b", noise_seed=2), make_run("c", labels=("angry", "happy"))
    assert main(["report", str(a), str(b), str(c), "--no-audio"]) == 0
    source = (tmp_path / "report.html").read_text()
    assert "3 runs compared" in source
    assert "b − a" in re.sub(r"\s+", " ", source)
    assert "without paired differences: the two runs have different classes" in capsys.readouterr().err


def test_folder_that_is_no_run_ends_with_a_usage_error(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "this folder is not a run" in capsys.readouterr().err
