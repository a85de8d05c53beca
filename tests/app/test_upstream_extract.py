"""`serenade upstream extract` and `check --measure` as a user meets them."""

import json
import re
from functools import partial
from pathlib import Path

import pytest

from serenade.app.main import main
from serenade.core.labels import LabelSet
from serenade.corpora import read_corpus
from serenade.corpora.synthetic import generate
from serenade.inference import upstream_cost
from serenade.signal.audio import examine
from serenade.training.frame_store import FrameStore


@pytest.fixture
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few generated recordings, and a cache of the test's own."""
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "cache"))
    generate(tmp_path / "voices", speakers=2, utterances_per_class=2)
    return tmp_path / "voices"


def told(out: str) -> dict[str, str]:
    return {line[:14].strip(): line[14:] for line in out.splitlines()}


def test_extraction_says_cost_and_outcome_and_is_not_done_twice(
    voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["upstream", "extract", "--upstream", "filter-bank", "--corpus", f"synthetic={voices}"]
    assert main([*words, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"(\d+) of \1 recordings, \d\.\d min of sound, are to be computed: about .* GiB in", shown.err)
    assert shown.out == ""
    assert main(words) == 0
    first = told(capsys.readouterr().out)
    count = int(first["new"].split()[0])
    assert count > 0
    assert (first["known"].split()[0], first["left out"]) == ("0", "0, and 0 by the corpus")
    assert float(first["padding"].split()[0]) < 15
    (folder,) = (tmp_path / "cache" / "frames").iterdir()
    assert len(FrameStore(folder)) == count
    assert main(words) == 0
    shown = capsys.readouterr()
    again = told(shown.out)
    assert (again["new"], again["known"].split()[0]) == ("0 recordings", str(count))
    assert f"all {count} recordings are in" in shown.err


def test_systems_find_what_was_extracted(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from serenade.systems.upstream_downstream import UpstreamDownstreamSettings, UpstreamDownstreamSystem

    assert main(["upstream", "extract", "--upstream", "filter-bank", "--corpus", f"synthetic={voices}", "-q"]) == 0
    listing = read_corpus("synthetic", voices, examine=examine)
    branches = {"speech": {"upstream": "filter-bank", "layers": "last"}}
    settings = UpstreamDownstreamSettings.model_validate({"branches": branches})
    system = UpstreamDownstreamSystem(settings, LabelSet.of(str(u.emotion) for u in listing.utterances))
    monkeypatch.setattr("serenade.models.upstreams.acoustic.SpectralUpstream.forward", None)  # nothing is computed
    inputs = system.gather(listing.utterances)
    assert [found["speech"].shape[-1] for found in inputs] == [80] * len(listing.utterances)


def test_one_folder_holds_one_kind(voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def words(upstream: str, *more: str) -> list[str]:
        corpus = ["--corpus", f"synthetic={voices}", "--out", str(tmp_path / "frames"), "-q"]
        return ["upstream", "extract", "--upstream", upstream, *corpus, *more]

    assert main(words("mfcc", "--layers", "0", "--numbers", "bfloat16")) == 0
    assert FrameStore(tmp_path / "frames").kind.numbers == "bfloat16"
    capsys.readouterr()
    for bad, message in [
        (words("log-mel"), "this folder holds frames of another kind"),
        (words("mfcc", "--layers", "first"), "unknown layer"),
        (words("mfcc", "--layers", "3"), "the upstream has no such layer"),
        (words("mfcc", "--numbers", "int8"), "unknown type of numbers"),
        (words("mfcc", "--engine", "abacus"), "unknown engine"),
        (words("mfccs"), "Did you mean 'mfcc'?"),
    ]:
        assert main(bad) == 2
        assert message in capsys.readouterr().err


def test_what_has_no_frame_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers", reason="needs the extra ssl")
    from tests.models.checkpoints import write_text_checkpoint

    generate(tmp_path / "voices", speakers=2, utterances_per_class=1)
    table = tmp_path / "table.csv"
    sounds = sorted((tmp_path / "voices").rglob("*.flac"))[:3]
    rows = [f"{path},anna,happy,{text}" for path, text in zip(sounds, ["so happy", "", "no"], strict=True)]
    table.write_text("\n".join(["path,speaker,emotion,text", *rows]), encoding="utf-8")
    write_text_checkpoint(tmp_path / "bert", "bert")
    capsys.readouterr()
    words = ["upstream", "extract", "--upstream", str(tmp_path / "bert"), "--corpus", f"table={table}"]
    assert main([*words, "--layers", "all", "--out", str(tmp_path / "frames")]) == 3
    shown = capsys.readouterr()
    assert told(shown.out)["new"] == "2 transcripts"
    assert "extracting frames: 1 failed, 2 done" in shown.err
    assert "no text: it has no transcript" in shown.err
    assert FrameStore(tmp_path / "frames").kind.layers == (0, 1, 2, 3)


def test_check_tells_what_text_encoders_and_front_ends_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(upstream_cost, "measure_speed", partial(upstream_cost.measure_speed, budget_s=0))
    assert main(["upstream", "check", "filter-bank", "--clip", "0.5", "-q"]) == 0
    shown = told(capsys.readouterr().out)
    assert shown["frames"] == "80 numbers, 100 per second"
    assert shown["takes"] == "16000 Hz (others are resampled), from 0.0001 s"
    pytest.importorskip("transformers", reason="needs the extra ssl")
    from tests.models.checkpoints import write_text_checkpoint

    write_text_checkpoint(tmp_path, "bert")
    capsys.readouterr()
    assert main(["upstream", "check", str(tmp_path), "-q"]) == 0
    shown = told(capsys.readouterr().out)
    assert shown["frames"] == "16 numbers, one per token"
    assert shown["takes"] == "transcripts; longer ones are cut to 128 tokens"
    assert re.fullmatch(r"[\d.]+ transcripts per second \(ten words each, \d+ threads?, float32\)", shown["speed here"])


@pytest.mark.slow
def test_the_quickest_engine_is_kept_and_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="needs the extra ssl")
    from tests.models.checkpoints import write_checkpoint

    from serenade.models.upstreams import engine_choice

    # torch alone, as exporting takes too long for this test
    monkeypatch.setattr("serenade.models.upstreams.engines.find_spec", lambda package: None)
    monkeypatch.setattr(engine_choice, "choose_engine", lambda measured: "bfloat16")
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "cache"))
    write_checkpoint(tmp_path, "hubert-base", num_conv_pos_embedding_groups=1)
    capsys.readouterr()
    words = ["upstream", "check", str(tmp_path), "--clip", "0.1", "--threads", "1", "-q"]
    assert main([*words, "--measure"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("engine")]
    assert [line.split()[1] for line in lines] == ["float32:", "bfloat16:"]
    assert "frames differ by 0 %" in lines[0]
    (case,) = json.loads((tmp_path / "cache" / "engines.json").read_text())["cases"].values()
    assert case["chosen"] == "bfloat16"
    assert main(words) == 0
    assert told(capsys.readouterr().out)["speed here"].endswith("1 thread, bfloat16)")
