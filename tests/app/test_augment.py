"""serenade augment: what it writes, what it goes on over, and what it refuses before the work."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main

RATE = 16_000


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", tone(1000), RATE)
    return Path("talk.wav")


@pytest.fixture
def folder(talk: Path) -> Path:
    for name in ("a.wav", "b/a.wav", "b/twin.wav", "b/twin.flac"):
        path = Path("recordings") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(500, 0.5), RATE)
    (Path("recordings") / "broken.wav").write_bytes(b"no sound" * 20)
    soundfile.write("recordings/silent.wav", np.zeros(RATE), RATE)
    return Path("recordings")


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (path / "augmented.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_file_is_written_and_told(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["augment", "talk.wav", "--with", "speed:0.9,noise:10"]) == 0
    shown = capsys.readouterr()
    assert shown.out.split()[:4] == ["speed", "factor", "0.9", "noise"]
    assert "snr_db 10  source pink" in shown.out
    assert "Written: talk-augmented.wav" in shown.err
    samples, rate = soundfile.read("talk-augmented.wav")
    assert rate == RATE
    assert len(samples) == pytest.approx(RATE / 0.9, abs=1)
    assert int(np.abs(np.fft.rfft(samples)).argmax()) * RATE / len(samples) == pytest.approx(900, abs=2)


def test_a_seed_decides(talk: Path) -> None:
    for out, seed in (("1.wav", "1"), ("again.wav", "1"), ("2.flac", "2")):
        assert main(["augment", "talk.wav", "--with", "noise:0..20", "--seed", seed, "-o", out, "-q"]) == 0
    one, again, two = (soundfile.read(name)[0] for name in ("1.wav", "again.wav", "2.flac"))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)


def test_noise_rooms_and_partners_are_the_users(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("noises/rain").mkdir(parents=True)
    Path("noises/hum").mkdir()
    soundfile.write("noises/rain/1.wav", tone(3000), RATE)
    soundfile.write("noises/hum/1.wav", tone(50), RATE)
    (Path("noises") / "rain" / "broken.wav").write_bytes(b"x" * 99)
    response = np.zeros(8000)
    response[[100, 4100]] = 1, 0.5
    soundfile.write("room.wav", response, RATE)
    soundfile.write("other.wav", tone(2000, 2.0), RATE)
    call = ["augment", "talk.wav", "--with", "reverb,noise:10,mixup:0.5", "--noise", "noises", "--environment", "rain"]
    assert main([*call, "--rir", "room.wav", "--partner", "other.wav", "-o", "x.wav"]) == 0
    shown = capsys.readouterr()
    assert "recording rain/1.wav" in shown.out
    assert "response room.wav" in shown.out
    assert "Left out of the noise recordings" in shown.err
    assert "broken.wav" in shown.err
    samples, _ = soundfile.read("x.wav")
    assert len(samples) == 2 * RATE
    spectrum = np.abs(np.fft.rfft(samples))
    assert set(np.argsort(spectrum)[-3:] // 2) <= {999, 1000, 1999, 2000, 2001, 3000}
    assert main([*call, "--rir", "room.wav", "-o", "y.wav"]) == 2
    assert "needs a second recording" in capsys.readouterr().err


def test_a_folder_goes_on_over_what_is_broken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["augment", "recordings", "--with", "noise:5..20"]) == 3
    told = capsys.readouterr().err
    assert "broken.wav" in told
    assert "speech is silent, so its ratio to noise is undefined" in told
    assert "silent.wav" in told
    out = Path("recordings-augmented")
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
    assert written == {"a.wav", "b/a.wav", "b/twin.wav.wav", "b/twin.flac.wav", "augmented.jsonl"}
    lines = records(out)
    assert {line["recording"]: line["written"] for line in lines}["b/twin.flac"] == "b/twin.flac.wav"
    assert len({line["steps"][0]["seed"] for line in lines}) == 4, "each recording has a draw of its own"  # type: ignore[index]


def test_a_recording_gets_the_same_whatever_lies_beside_it(folder: Path) -> None:
    assert main(["augment", "recordings", "--with", "noise:5..20", "-o", "all", "-q"]) == 3
    for name in ("a.wav", "broken.wav", "silent.wav"):
        (folder / name).unlink()
    assert main(["augment", "recordings", "--with", "noise:5..20", "-o", "few", "-q"]) == 0
    assert Path("all/b/a.wav").read_bytes() == Path("few/b/a.wav").read_bytes()


def test_a_folder_is_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["augment", "recordings", "--with", "gain:-6", "--out", "out"]
    assert main(call) == 3
    assert main(call) == 2
    assert "exists already" in capsys.readouterr().err
    records_file = Path("out/augmented.jsonl")
    first, *_ = records_file.read_text().splitlines(keepends=True)
    records_file.write_text(first + '{"recording": "b/a.w')  # stopped while it wrote
    before = Path("out/a.wav").stat().st_mtime_ns
    (folder / "broken.wav").unlink()
    assert main([*call, "--resume"]) == 0
    assert "done before: 1" in capsys.readouterr().err
    assert Path("out/a.wav").stat().st_mtime_ns == before
    assert {line["recording"] for line in records(Path("out"))} == {
        *("a.wav", "silent.wav", "b/a.wav", "b/twin.wav", "b/twin.flac")
    }
    assert main([*call, "--resume", "--seed", "1"]) == 2
    assert "made by another chain or seed" in capsys.readouterr().err
    assert main([*call, "--overwrite", "-q"]) == 0
    assert len(records(Path("out"))) == 5


def test_loud_results_are_scaled_and_told(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["augment", "talk.wav", "--with", "gain:20", "-o", "loud.wav"]) == 0
    assert "Made 3.00 times softer" in capsys.readouterr().out
    samples, _ = soundfile.read("loud.wav")
    assert np.abs(samples).max() == pytest.approx(1, abs=1e-3)


def test_the_length_can_be_kept(talk: Path) -> None:
    assert main(["augment", "talk.wav", "--with", "speed:0.5", "--keep-length", "-q"]) == 0
    assert soundfile.info("talk-augmented.wav").frames == RATE


def test_a_page_shows_and_plays_both(folder: Path) -> None:
    call = ["augment", "recordings", "--with", "speed:1.1,spec_augment", "-q", "--page", "page.html"]
    assert main([*call, "-o", "out"]) == 3
    source = Path("page.html").read_text(encoding="utf-8")
    assert source.count("<audio controls") == 2 * 5
    assert source.count("data:image/png;base64,") == 2 * 5
    assert "http://" not in source.replace("http://www.w3.org", "")
    assert "https://" not in source
    assert "b/twin.flac" in source
    assert main([*call, "-o", "out2"]) == 2
    assert not Path("out2").exists()


def test_a_figure_by_its_suffix(talk: Path) -> None:
    pytest.importorskip("PIL")
    for name in ("figure.svg", "figure.png"):
        assert main(["augment", "talk.wav", "--with", "telephone", "-o", f"{name}.wav", "--page", name, "-q"]) == 0
    assert Path("figure.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert Path("figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--with", "sped:0.9"], 2, "Did you mean 'speed'?"),
        (["--with", "speed:9"], 2, "must lie between 0.25 and 4"),
        (["--with", "noise:10", "--noise", "nowhere"], 1, "nowhere"),
        (["--with", "noise:10", "--noise", "empty"], 1, "empty"),
        (["--with", "noise:10/recorded"], 2, "needs recordings of noise"),
        (["--with", "reverb", "--rir", "nowhere.wav"], 1, "there is no such file"),
        (["--with", "reverb", "--rir", "empty"], 2, "there are no impulse responses"),
        (["--with", "gain", "--out", "x.mp3"], 2, "Expected: .wav or .flac"),
        (["--with", "gain", "--out", "talk.wav"], 2, "would replace what is read"),
        (["--with", "gain", "--page", "x.pdf"], 2, "Expected: .html, .svg or .png"),
        (["--with", "gain", "--resume"], 2, "--resume continues a folder"),
    ],
)
def test_bad_calls_are_explained(
    talk: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert main(["augment", "talk.wav", *arguments]) == code
    assert message in capsys.readouterr().err
    assert not Path("talk-augmented.wav").exists()


def test_what_is_missing_or_broken_fails_as_itself(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["augment", "gone.wav", "--with", "gain"]) == 1
    assert "there is no such file" in capsys.readouterr().err
    Path("text.wav").write_bytes(b"Dear diary, " * 30)
    assert main(["augment", "text.wav", "--with", "gain"]) == 1
    assert "cannot be decoded" in capsys.readouterr().err
    Path("none").mkdir()
    assert main(["augment", "none", "--with", "gain"]) == 2
    assert "no recording was found" in capsys.readouterr().err
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    assert main(["augment", "silent.wav", "--with", "noise:10"]) == 1
    assert "speech is silent, so its ratio to noise is undefined: silent.wav" in capsys.readouterr().err
    shutil.copy("silent.wav", "hush.wav")
    assert main(["augment", "hush.wav", "--with", "gain", "-q"]) == 0
