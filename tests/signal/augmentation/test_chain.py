"""What every step of every chain keeps to, and chains as text, tables and records."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import torch
from torch import Generator, Tensor

from serenade.core.errors import AudioError, SettingsError, UnknownNameError, UsageError
from serenade.core.settings import Settings, dump_toml, load_toml, make_settings
from serenade.corpora.noise import list_files
from serenade.signal import augmentation
from serenade.signal.augmentation import AUGMENTATIONS
from serenade.signal.augmentation.chain import AugmentationChain, AugmentationSettings, parse_chain
from serenade.signal.augmentation.step import Sources
from serenade.signal.mixing import NoiseBank
from serenade.signal.responses import ResponseBank, synthesise_response

RATE = 16000
STEPS = list(AUGMENTATIONS)
LENGTHEN = {"speed", "mixup"}


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def chain_of(text: str, sources: Sources | None = None, **settings: Any) -> AugmentationChain:
    return AugmentationChain(make_settings(AugmentationSettings, {"steps": text, **settings}), sources)


def voices(seconds: float = 0.6, rows: int = 3) -> Tensor:
    return 0.1 * torch.randn(rows, round(seconds * RATE), generator=seeded(5))


@pytest.fixture(autouse=True)
def _needs_media(request: pytest.FixtureRequest) -> None:
    if "step" in request.fixturenames and request.getfixturevalue("step") in ("opus", "mp3"):
        pytest.importorskip("av")


def test_every_file_with_a_step_is_in_the_table() -> None:
    folder = Path(augmentation.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if "\n    settings_class = " in path.read_text(encoding="utf-8")}
    assert files == {AUGMENTATIONS.target(name).partition(":")[0].rpartition(".")[2] for name in AUGMENTATIONS}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_keeps_the_contract(step: str) -> None:
    chain, batch = chain_of(step), voices()
    assert [type(each).settings_class.model_fields["kind"].default for each in chain.steps] == [step]
    before = batch.clone()
    done, records = chain(batch, seeded(1))
    assert torch.equal(batch, before), "the input is not touched"
    assert done.dtype == torch.float32
    assert done.isfinite().all()
    assert not torch.equal(done[:, : batch.shape[1]], batch)
    if step not in LENGTHEN:
        assert done.shape == batch.shape
    assert [len(record.steps) for record in records] == [1, 1, 1]
    assert [record.steps[0].kind for record in records] == [step] * 3
    json.dumps([record.to_json() for record in records])


@pytest.mark.parametrize("step", STEPS)
def test_a_seed_gives_a_result_whatever_else_is_drawn(step: str) -> None:
    chain, batch = chain_of(step), voices()
    torch.manual_seed(1)
    first, records = chain(batch, seeded(1))
    torch.manual_seed(2)
    np.random.default_rng()
    again, same = chain(batch, seeded(1))
    assert torch.equal(first, again)
    assert records == same


@pytest.mark.parametrize("step", [step for step in STEPS if step != "telephone"])
def test_another_seed_gives_another_result(step: str) -> None:
    chain, batch = chain_of(step), voices(rows=8)
    _, first = chain(batch, seeded(1))
    _, other = chain(batch, seeded(2))
    assert first != other


@pytest.mark.parametrize("step", STEPS)
def test_a_record_is_enough_to_do_it_again(step: str) -> None:
    chain, batch = chain_of(step), voices()
    done, records = chain(batch, seeded(1))
    for row, record, again in zip(done, records, chain.repeat(batch, records), strict=True):
        assert torch.equal(row[: record.length], again)
        assert not row[record.length :].any()


@pytest.mark.parametrize("step", STEPS)
def test_padding_is_not_seen(step: str) -> None:
    chain, batch = chain_of(step), voices()
    lengths = torch.tensor([9600, 5000, 7777])
    noisy = batch.clone()
    noisy[1, 5000:], noisy[2, 7777:] = 9, -9
    ours, records = chain(batch, seeded(1), lengths)
    theirs, _ = chain(noisy, seeded(1), lengths)
    assert torch.equal(ours, theirs)
    if step not in LENGTHEN:
        assert [record.length for record in records] == lengths.tolist()
        assert not ours[1, 5000:].any()


@pytest.mark.parametrize("step", STEPS)
def test_silence_stays_silence(step: str) -> None:
    done, records = chain_of(step)(torch.zeros(2, 8000), seeded(0))
    assert not done.any() if step not in ("telephone", "opus", "mp3") else float(done.abs().max()) < 1e-3
    assert all(bool(record.left_out) == (step == "noise") for record in records)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("length", [1, 2, 50, 700])
def test_the_shortest_sound_passes(step: str, length: int) -> None:
    done, _ = chain_of(step)(voices()[:, :length].contiguous(), seeded(0))
    assert done.isfinite().all()
    assert abs(done.shape[1] - length) <= max(1, 0.25 * length)


@pytest.mark.parametrize("step", STEPS)
def test_half_of_the_waveforms_by_probability(step: str) -> None:
    _, records = chain_of(f"{step}/probability=0.5" if ":" in step else f"{step}:probability=0.5")(
        voices(0.02, rows=60), seeded(3)
    )
    assert 15 < sum(len(record.steps) for record in records) < 45


def test_steps_follow_each_other() -> None:
    batch = voices()
    done, (record, *_) = chain_of("gain:20,gain:-20,speed:0.5")(batch, seeded(0))
    assert [step.kind for step in record.steps] == ["gain", "gain", "speed"]
    alone, _ = chain_of("speed:0.5")(batch, seeded(0))
    assert torch.allclose(done, alone, atol=1e-6)


def test_a_batch_may_get_several_lengths() -> None:
    done, records = chain_of("speed:0.5|2")(voices(rows=8), seeded(1))
    assert {record.length for record in records} == {4800, 19200}
    assert done.shape == (8, 19200)
    for row, record in zip(done, records, strict=True):
        assert not row[record.length :].any()


def test_the_length_can_be_kept() -> None:
    batch = voices(rows=8)
    done, records = chain_of("speed:0.5|2", keep_length=True)(batch, seeded(1))
    free, _ = chain_of("speed:0.5|2")(batch, seeded(1))
    assert done.shape == batch.shape
    assert {record.length for record in records} == {9600}
    assert torch.equal(done, free[:, :9600])


def test_types_and_empty_batches() -> None:
    half, _ = chain_of("gain:6")(voices().half(), seeded(0))
    assert half.dtype == torch.float16
    none, records = chain_of("gain:6")(torch.zeros(0, 100), seeded(0))
    assert (none.shape, records) == ((0, 100), ())
    same, _ = chain_of("")(voices(), seeded(0))
    assert torch.equal(same, voices())
    for wrong in (torch.zeros(100), torch.zeros(2, 0)):
        with pytest.raises(UsageError, match=r"take \(N, T\) waveforms"):
            chain_of("gain")(wrong, seeded(0))
    with pytest.raises(UsageError, match="lengths that do not fit"):
        chain_of("gain")(voices(), seeded(0), torch.tensor([0, 1, 2]))


def test_silence_can_be_refused() -> None:
    batch = voices(rows=2)
    batch[1] = 0
    kept, records = chain_of("noise:10,gain:6")(batch, seeded(0))
    assert not kept[1].any()
    assert records[1].left_out == ("noise: silence has no ratio to noise",)
    assert [step.kind for step in records[1].steps] == ["gain"]
    with pytest.raises(AudioError, match="speech is silent"):
        chain_of("noise:10", on_silence="refuse")(batch, seeded(0))


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "noise" / "rain").mkdir(parents=True)
    soundfile.write(tmp_path / "noise" / "rain" / "1.wav", voices(1.0, 1)[0].numpy(), RATE)
    late = np.concatenate([np.zeros(500), synthesise_response(0.3, 0, seeded(0)).numpy()])
    soundfile.write(tmp_path / "hall.wav", late, RATE)
    return Sources(NoiseBank(list_files(tmp_path / "noise").utterances), ResponseBank([tmp_path / "hall.wav"]))


def test_recordings_are_used_where_there_are_any(sources: Sources) -> None:
    batch = voices()
    noisy, (record, *_) = chain_of("noise:10", sources)(batch, seeded(0))
    assert record.steps[0].parameters["recording"] == "rain/1.wav"
    white, (record, *_) = chain_of("noise:10/white", sources)(batch, seeded(0))
    assert record.steps[0].parameters["source"] == "white"
    assert not torch.equal(noisy, white)
    with pytest.raises(UsageError, match="'noise' needs recordings"):
        chain_of("noise:10/recorded")


def test_a_recorded_room_begins_with_its_direct_sound(sources: Sources) -> None:
    click = torch.zeros(1, 4000)
    click[0, 100] = 1
    wet, (record, *_) = chain_of("reverb", sources)(click, seeded(0))
    assert record.steps[0].parameters["response"].endswith("hall.wav")
    assert int(wet[0].abs().argmax()) == 100
    assert not wet[0, :100].abs().max() > 1e-6


def test_what_is_wrong_with_sources_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no impulse responses"):
        ResponseBank([])
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), RATE)
    bank = ResponseBank([tmp_path / "silent.wav"])
    with pytest.raises(AudioError, match=r"impulse response is silent.*silent\.wav"):
        chain_of("reverb", Sources(responses=bank))(voices(), seeded(0))
    with pytest.raises(UsageError, match="no impulse response 'x'"):
        bank.response("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sped:0.9", r"no augmentation called 'sped'.*Did you mean 'speed'"),
        ("speed:fast", r"factor.*0\.9\.\.1\.1.*step 'speed:fast'"),
        ("speed:9", "factor.*between 0.25 and 4"),
        ("speed:1.1..0.9", r"from 1\.1 down to 0\.9"),
        ("speed:", "a name, a colon and values"),
        ("speed:0.9,,gain", "a name, a colon and values"),
        ("speed:0.9/1.1", "too many values.*expected: factor|too many values.*Expected: factor"),
        ("speed:facter=1", r"unknown key 'facter'.*'factor'"),
        ("gain:probability=2", "probability: .*less than or equal to 1"),
        ("noise:10/recroded", "source: .*'auto'"),
        ("band:4000/300..3400", "low_hz must be below high_hz"),
        ("spec_augment:least_bands=20", "least width"),
        ("opus:nan", "kbps"),
    ],
)
def test_what_is_wrong_with_a_chain_is_told(text: str, message: str) -> None:
    with pytest.raises((SettingsError, UnknownNameError), match=re.compile(message, re.IGNORECASE)):
        parse_chain(text)


class _Recipe(Settings):
    augmentation: AugmentationSettings = AugmentationSettings()


def test_settings_are_text_or_tables_and_survive_a_file(tmp_path: Path) -> None:
    by_text = make_settings(_Recipe, {"augmentation": "speed:0.9|1.1, noise:5..20/white/probability=0.5"})
    by_tables = make_settings(
        _Recipe,
        {
            "augmentation": {
                "steps": [
                    {"kind": "speed", "factor": [0.9, 1.1]},
                    {"kind": "noise", "snr_db": {"low": 5, "high": 20}, "source": "white", "probability": 0.5},
                ]
            }
        },
    )
    mixed = make_settings(_Recipe, {}, ['augmentation.steps=["speed:0.9|1.1", "noise:5..20/white/probability=0.5"]'])
    assert by_text == by_tables == mixed
    path = tmp_path / "settings.toml"
    path.write_text(dump_toml(by_text.model_dump(mode="json")))
    assert make_settings(_Recipe, load_toml(path)) == by_text
    assert make_settings(_Recipe, {}).augmentation.steps == ()


def test_a_wrong_table_is_told_with_its_step() -> None:
    with pytest.raises(SettingsError, match=r"unknown key 'facto'.*step 'speed'.*'factor'"):
        make_settings(_Recipe, {"augmentation": {"steps": [{"kind": "speed", "facto": 1}]}})
    with pytest.raises(UnknownNameError, match="'sped'"):
        make_settings(_Recipe, {"augmentation": {"steps": [{"kind": "sped"}]}})


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    chain, batch = chain_of("speed:0.9|1.1,pitch,reverb,noise,telephone,band,spec_augment"), voices(1.0, rows=4)
    generator, process = seeded(0), psutil.Process()
    for _ in range(3):
        chain(batch, generator)
    before = process.memory_info().rss
    for _ in range(12):
        chain(batch, generator)
    assert process.memory_info().rss - before < 16 * 2**20
