"""Upstreams by name: those without weights, trained systems, folders; exact under padding like all others."""

from pathlib import Path

import pytest
import torch

from serenade.core.errors import CheckpointError, MissingPluginError, UnknownNameError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.models.upstreams import UPSTREAMS, full_name
from serenade.models.upstreams.upstream import Upstream, pad_waveforms
from serenade.signal.features import LogMelSettings, build_front_end
from serenade.systems import make_system, save_checkpoint
from serenade.systems.baseline import BaselineSettings, BaselineSystem
from serenade.systems.upstreams import named_upstream
from serenade.training.system import Example, System

LABELS = LabelSet(("angry", "sad"))
LENGTHS = (9000, 700, 16000, 1)
# name: frames of LENGTHS
BUILT_IN = {"filter-bank": [57, 5, 101, 1], "log-mel": [23, 2, 41, 1], "mfcc": [18, 2, 32, 1]}
ONE_FRAME = {"functionals": 1280, "egemaps": 88, "compare": 6373}
TINY = {"network": {"channels": [4, 4, 4, 4], "lstm_units": 4, "embedding_dim": 5}}
TRAINED = {"mtl_aug": TINY, "glam": {}, "baseline": {}}


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def assert_exact_under_padding(upstream: Upstream, lengths: tuple[int, ...] = LENGTHS) -> list[int]:
    """A padded batch has the frames of each utterance alone; returns how many those are."""
    utterances = [upstream.prepare(noise(n, seed), 16000) for seed, n in enumerate(lengths)]
    waveforms, counts = pad_waveforms(utterances)
    waveforms = torch.nn.functional.pad(waveforms, (0, 3000))
    waveforms[1, counts[1] :] = 9.0  # what stands in the padding does not count
    with torch.inference_mode():
        together = upstream(waveforms, counts)
        assert len(together.layers) == upstream.num_layers
        assert together.lengths.tolist() == upstream.num_frames(counts).tolist()
        for row, utterance in enumerate(utterances):
            alone = upstream(*pad_waveforms([utterance])).last[0]
            assert alone.shape == (together.lengths[row], upstream.dim)
            torch.testing.assert_close(together.last[row, : len(alone)], alone, rtol=1e-5, atol=1e-5)
            assert (together.last[row, len(alone) :] == 0).all()
    assert upstream.num_frames(torch.tensor([[0]])).tolist() == [[0]]
    return together.lengths.tolist()


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_front_ends_are_upstreams(name: str) -> None:
    upstream = named_upstream(name)
    assert (upstream.kind, upstream.num_layers, upstream.modality) == (name, 1, "speech")
    assert assert_exact_under_padding(upstream) == BUILT_IN[name]


def test_every_built_in_upstream_is_tested() -> None:
    assert {*BUILT_IN, *ONE_FRAME, "filter-bank-superb"} == set(UPSTREAMS)


def test_superbs_filter_bank_is_an_upstream() -> None:
    upstream = named_upstream("filter-bank-superb")
    assert (upstream.dim, upstream.frame_rate, upstream.least_samples) == (240, 100.0, 400)
    assert assert_exact_under_padding(upstream, (9000, 400, 16000, 559)) == [54, 1, 98, 1]
    assert upstream.num_frames(torch.tensor([399])).tolist() == [0]
    frames = upstream(*pad_waveforms([noise(16000)])).last[0]
    torch.testing.assert_close(frames.mean(dim=0), torch.zeros(240), atol=1e-5, rtol=0)
    torch.testing.assert_close(frames.std(dim=0), torch.ones(240), atol=1e-4, rtol=0)


def test_filter_bank_is_log_mel_without_its_mean() -> None:
    upstream = named_upstream("filter-bank")
    assert (upstream.dim, upstream.frame_rate) == (80, 100.0)
    settings = LogMelSettings(
        num_bands=80, window="hamming", window_length=400, hop_length=160, fft_length=512, log="natural"
    )
    expected = build_front_end(settings)(noise(8000)[None])[0].T
    found = upstream(*pad_waveforms([noise(8000)])).last[0]
    torch.testing.assert_close(found, expected - expected.mean(dim=0))
    louder = upstream(*pad_waveforms([3 * noise(8000)])).last[0]
    torch.testing.assert_close(louder, found, atol=1e-4, rtol=0)  # the level is a constant of every band


@pytest.mark.parametrize("name", list(ONE_FRAME))
def test_functionals_are_one_frame(name: str) -> None:
    if name != "functionals":
        pytest.importorskip("opensmile")
    upstream = named_upstream(name)
    assert (upstream.dim, upstream.frame_rate) == (ONE_FRAME[name], None)
    assert assert_exact_under_padding(upstream, (9000, 700, 1)) == [1, 1, 1]


def test_our_functionals_are_those_of_the_baseline() -> None:
    found = named_upstream("functionals")(*pad_waveforms([noise(9000)])).last[0]
    baseline = BaselineSystem(BaselineSettings(), LABELS)
    torch.testing.assert_close(found, baseline.extract(noise(9000), training=False)["audio"])


def test_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serenade.signal.functionals.metadata.version", _not_there)
    with pytest.raises(MissingPluginError, match="pip install opensmile"):
        named_upstream("egemaps")


def _not_there(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model folders by system."""
    root = tmp_path_factory.mktemp("trained")
    for name, settings in TRAINED.items():
        torch.manual_seed(0)
        system = make_system(name, settings, LABELS)
        system.fit_inputs([_example(system, seed) for seed in range(4)])
        save_checkpoint(system, name, root / name / "model")
    return {name: root / name for name in TRAINED}


def _example(system: System, seed: int) -> Example:
    utterance = Utterance(f"u{seed}", Path("x"), "toy", "anna", LABELS.names[seed % 2])
    return Example(utterance, system.extract(noise(40_000, seed), training=True), seed % 2)


def test_encoder_of_mtl_aug_is_an_upstream(trained: dict[str, Path]) -> None:
    upstream = named_upstream(trained["mtl_aug"] / "model")
    assert (upstream.kind, upstream.dim, upstream.frame_rate) == ("cnn-blstm", 4 * 5, 16000 / 1024)
    lengths = (200_000, 16000, 400, 1)  # the first is longer than the window it was trained on
    assert assert_exact_under_padding(upstream, lengths) == [-(-(1 + n // 256) // 4) for n in lengths]


@pytest.mark.parametrize("name", ["glam", "baseline"])
def test_other_systems_give_a_vector_per_segment(name: str, trained: dict[str, Path]) -> None:
    upstream = named_upstream(trained[name])  # the folder that holds model/
    counts = assert_exact_under_padding(upstream, (70_000, 16_000, 33_000))
    assert counts == ([1, 1, 1] if name == "baseline" else counts)
    assert min(counts) >= 1
    assert upstream.frame_rate is None


def test_identities_differ(trained: dict[str, Path]) -> None:
    names = ["filter-bank", "log-mel", "mfcc", "functionals", *trained.values()]
    assert len({named_upstream(name).identity() for name in names}) == len(names)
    assert named_upstream("mfcc").identity() == named_upstream("mfcc").identity()


def test_checkpoint_folder_is_opened(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra ssl")
    from tests.models.checkpoints import write_checkpoint, write_text_checkpoint

    write_checkpoint(tmp_path / "speech", "hubert-base")
    write_text_checkpoint(tmp_path / "text", "bert")
    assert [named_upstream(tmp_path / name).modality for name in ("speech", "text")] == ["speech", "text"]


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no upstream called 'filterbank', and no such folder.*'filter-bank'"):
        named_upstream("filterbank")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        named_upstream(tmp_path)


def test_names_can_be_read_from_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert full_name("mfcc") == "mfcc"
    assert full_name("hubert") == str(tmp_path / "hubert")
