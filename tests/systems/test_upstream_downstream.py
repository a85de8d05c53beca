"""Upstream + downstream systems: what moves, fusion, batches, layers, and the way from one stage to the next."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from tests.models.checkpoints import write_checkpoint, write_text_checkpoint
from torch import Tensor, nn

from serenade.core.errors import CheckpointError, SerenadeError, SettingsError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.models.upstreams.fine_tuning import FineTuned, FineTuningSettings, FrameMaskSettings, mask_frames
from serenade.models.upstreams.masked_mel import MaskedMelSettings, MelEncoder, save_masked_mel
from serenade.nn.ecapa import EcapaTdnn
from serenade.systems import PRESETS, load_system, make_system, save_checkpoint, system_settings
from serenade.systems.upstream_downstream import UpstreamDownstreamSystem
from serenade.systems.upstreams import named_upstream
from serenade.training.steps import Steps
from serenade.training.system import Example, GatheringSystem, RatedSystem

pytest.importorskip("transformers")

LABELS = LabelSet(("angry", "happy", "neutral", "sad"))
SMALL = {"ecapa": {"channels": 16, "squeeze_channels": 8, "attention_channels": 8, "embedding_dim": 6}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny checkpoints by name."""
    root = tmp_path_factory.mktemp("upstreams")
    names = {"hubert": "hubert-base", "wav2vec2": "wav2vec2-large", "wavlm": "wavlm-base"}
    for name, kind in names.items():
        write_checkpoint(root / name, kind)
    write_text_checkpoint(root / "text", "bert")
    return {name: str(root / name) for name in (*names, "text")}


def new(preset: str, changes: Mapping[str, Any] | None = None, seed: int = 0) -> UpstreamDownstreamSystem:
    torch.manual_seed(seed)
    system = make_system(PRESETS[preset], system_settings(preset, changes or {}).model_dump(), LABELS)
    assert isinstance(system, UpstreamDownstreamSystem)
    return system


def branches(**upstreams: str) -> dict[str, Any]:
    return {"branches": {name: {"upstream": folder} for name, folder in upstreams.items()}}


def sound(number: int, samples: int) -> Tensor:
    return 0.3 * torch.randn(samples, generator=torch.Generator().manual_seed(number))


def examples(system: UpstreamDownstreamSystem, *samples: int) -> list[Example]:
    return [
        Example(
            Utterance(f"u{number}", Path("u.wav"), "toy", "s", LABELS.names[number % 4]),
            system.extract(sound(number, count), training=True),
            number % 4,
        )
        for number, count in enumerate(samples)
    ]


def step(system: UpstreamDownstreamSystem, items: list[Example]) -> dict[str, Tensor]:
    """What moved in one step of training."""
    before = {name: tensor.clone() for name, tensor in system.network.state_dict().items()}
    system.network.train()
    generator = torch.Generator().manual_seed(0)
    Steps(system, system.settings.training, torch.device("cpu")).step(
        [(system.collate(system.training_items(items, generator)), 1.0)], generator
    )
    after = system.network.state_dict()
    return {name: after[name] - tensor for name, tensor in before.items() if not torch.equal(after[name], tensor)}


# ------------------------------------------------------------------------------------------------ fine-tuning


@pytest.mark.parametrize("name", ["hubert", "wav2vec2", "wavlm"])
def test_a_step_of_fine_tuning_moves_all_but_the_convolutions(folders: dict[str, str], name: str) -> None:
    system = new("ssl-finetune", branches(speech=folders[name]))
    moved = step(system, examples(system, 9000, 8000, 12000))
    parameters = dict(system.network.named_parameters())
    still = {name for name in parameters if "feature_extractor" in name or "masked_spec_embed" in name}
    assert any("feature_extractor" in name for name in still)
    assert set(moved) == set(parameters) - still
    assert all(parameters[name].grad is None for name in still)


def test_both_parts_move_by_rates_of_their_own(folders: dict[str, str]) -> None:
    """Adam's first step is the rate times the sign of the gradient."""
    system = new("ssl-finetune", branches(speech=folders["hubert"]))
    assert isinstance(system, RatedSystem)
    moved = step(system, examples(system, 9000, 8000, 12000))
    assert float(moved["classifier.weight"].abs().max()) == pytest.approx(1e-4, rel=0.02)
    of_upstream = [float(change.abs().max()) for name, change in moved.items() if ".upstream." in name]
    assert max(of_upstream) == pytest.approx(1e-5, rel=0.05)


def test_frozen_convolutions_keep_nothing_for_a_backward_pass(folders: dict[str, str]) -> None:
    upstream = named_upstream(folders["hubert"])
    seen: list[bool] = []
    fine_tuned = FineTuned(upstream, FineTuningSettings()).train()
    extractor: Any = upstream.network.feature_extractor  # type: ignore[union-attr] # the library's
    extractor.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    fine_tuned(sound(0, 4000)[None], torch.tensor([4000])).last.sum().backward()
    assert seen == [False]
    assert not extractor.training
    assert fine_tuned.train().training
    moving = FineTuned(named_upstream(folders["hubert"]), FineTuningSettings(freeze_convolutions=False)).train()
    moving(sound(0, 4000)[None], torch.tensor([4000])).last.sum().backward()
    assert all(p.grad is not None for n, p in moving.named_parameters() if "masked_spec_embed" not in n)


def test_checkpointing_changes_no_gradient(folders: dict[str, str]) -> None:
    gradients = []
    for checkpointing in (True, False):
        changes = branches(speech=folders["wav2vec2"]) | {"fine_tuning": {"gradient_checkpointing": checkpointing}}
        system = new("ssl-finetune", changes)
        items = examples(system, 9000, 5000)
        system.network.train()
        torch.manual_seed(7)  # dropout
        sum(system.losses(system.collate(items), torch.Generator()).values()).backward()  # type: ignore[union-attr]
        gradients.append({n: p.grad for n, p in system.network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6, msg=name)


def test_masks_lie_inside_each_utterance_and_only_where_asked_for() -> None:
    hidden = torch.ones(2, 40, 30)
    settings = FrameMaskSettings(time_masks=1, time_frames=5, feature_masks=1, feature_width=4)
    token = torch.full((30,), 7.0)
    masked = mask_frames(hidden, [40, 10], settings, token, torch.Generator().manual_seed(0))
    for row, (length, width) in enumerate([(40, 5), (10, 2)]):  # at most a fifth
        frames = (masked[row] == 7).any(dim=1)
        assert int(frames.sum()) == width
        assert not frames[length:].any()
        assert int((masked[row] == 0).any(dim=0).sum()) == 4
    assert torch.equal(mask_frames(hidden, [3, 1], FrameMaskSettings(time_masks=2), None, None), hidden), "too short"


def test_masks_act_in_training_alone_and_come_from_the_loops_generator(folders: dict[str, str]) -> None:
    masks = {"fine_tuning": {"masks": {"time_masks": 2, "time_frames": 4, "feature_masks": 1, "feature_width": 3}}}
    plain, masked = (new("ssl-finetune", branches(speech=folders["hubert"]) | more) for more in ({}, masks))
    items = examples(plain, 9000, 8000)
    batch = plain.collate(items)
    torch.testing.assert_close(plain.predict(batch).embeddings, masked.predict(batch).embeddings)

    def loss(system: UpstreamDownstreamSystem, seed: int) -> float:
        system.network.train()
        torch.manual_seed(1)
        return float(system.losses(batch, torch.Generator().manual_seed(seed))["emotion"].detach())

    assert loss(plain, 1) == loss(plain, 2)
    assert loss(masked, 1) == loss(masked, 1)
    assert loss(masked, 1) != loss(masked, 2)
    assert any("masked_spec_embed" in name for name in step(masked, items)), "the mark of masked frames is trained too"


def test_long_recordings_are_cut_in_training_alone(folders: dict[str, str]) -> None:
    system = new("ssl-finetune", branches(speech=folders["hubert"]) | {"fine_tuning": {"longest_s": 0.5}})
    (example,) = examples(system, 20000)
    whole = example.inputs["speech"][0]
    drawn = [system.training_items([example], torch.Generator().manual_seed(seed))[0] for seed in range(8)]
    for item in drawn:
        piece = item.inputs["speech"][0]
        assert len(piece) == 8000
        assert any(torch.equal(piece, whole[start : start + 8000]) for start in range(12001))
    assert len({float(item.inputs["speech"][0, 0]) for item in drawn}) > 1
    assert system.collate([example]).inputs["speech"].shape == (1, 20000)


def test_what_has_no_weights_cannot_be_trained() -> None:
    with pytest.raises(UsageError, match="filter-bank has no weights that could be trained"):
        new("ssl-finetune", branches(speech="filter-bank"))


def test_a_text_encoder_has_no_place_for_masks(folders: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="bert has no place for masks"):
        FineTuned(named_upstream(folders["text"]), FineTuningSettings(masks=FrameMaskSettings(time_masks=1)))


def test_an_upstream_of_our_own_is_trained_whole(tmp_path: Path) -> None:
    sizes = MaskedMelSettings(num_bands=8, width=16, num_blocks=2, num_heads=2, feed_forward=16, position_kernel=3)
    torch.manual_seed(0)
    folder = tmp_path / "upstream"
    save_masked_mel(folder, MelEncoder(sizes), sizes)
    system = new("ssl-finetune", branches(speech=str(folder)))
    moved = step(system, examples(system, 9000, 8000, 12000))
    assert set(moved) == set(dict(system.network.named_parameters()))
    save_checkpoint(system, PRESETS["ssl-finetune"], tmp_path / "model")
    second = {"branches": {"speech": {"upstream": str(folder), "fine_tuned": str(tmp_path / "model")}}}
    assert new("ssl-mean", second).extract(sound(0, 9000), training=False)["speech"].shape == (1, 27, 1, 16)


def test_the_encoder_of_mtl_aug_is_trained_along_and_handed_on(tmp_path: Path) -> None:
    network = {"channels": (4, 4, 4, 4), "lstm_units": 4, "embedding_dim": 5}
    torch.manual_seed(0)
    trained = make_system("mtl_aug", {"network": network}, LABELS)
    heard = Utterance("u", Path("u.wav"), "toy", "s", "sad")
    trained.fit_inputs([Example(heard, trained.extract(sound(0, 40_000), training=True), 0)])
    save_checkpoint(trained, "mtl_aug", tmp_path / "job" / "model")
    folder = str(tmp_path / "job")
    system = new("ssl-finetune", branches(speech=folder))
    assert system.origins == [tmp_path / "job" / "model"]
    parameters = dict(system.network.named_parameters())
    moved = step(system, examples(system, 9000, 8000, 12000))
    assert set(moved) == set(parameters)  # convolutions over log-mel too, but no statistic of a batch normalisation
    assert not any("blstm" in name or "decoder" in name for name in parameters)
    save_checkpoint(system, "upstream_downstream", tmp_path / "first")
    second = {"branches": {"speech": {"upstream": folder, "fine_tuned": str(tmp_path / "first")}}} | SMALL
    taken = new("ssl-ecapa", second).upstreams["speech"].state_dict()
    tuned = system.upstreams["speech"].state_dict()
    untouched = named_upstream(folder).state_dict()
    assert all(torch.equal(tuned[name], tensor) for name, tensor in taken.items())
    assert any(not torch.equal(untouched[name], tensor) for name, tensor in taken.items())


def test_a_system_as_a_whole_is_not_trained_along(tmp_path: Path) -> None:
    glam = make_system("glam", {"normaliser": {"kind": "none"}}, LABELS)
    save_checkpoint(glam, "glam", tmp_path / "glam")
    with pytest.raises(UsageError, match=r"cannot be trained along.*Leave out fine_tune"):
        new("ssl-finetune", branches(speech=str(tmp_path / "glam")))


def test_before_the_jobs_begin_a_job_stands_for_all(tmp_path: Path) -> None:
    for fold in ("fold1-seed0", "fold2-seed0"):
        glam = make_system("glam", {"normaliser": {"kind": "none"}}, LABELS)
        save_checkpoint(glam, "glam", tmp_path / "jobs" / fold / "model")
    system = new("ssl-mean", branches(speech=str(tmp_path / "jobs" / "{job}")))
    assert system.upstreams["speech"].kind == "glam"
    with pytest.raises(SerenadeError, match="no such folder"):
        new("ssl-mean", branches(speech=str(tmp_path / "nothing" / "{job}")))


def test_a_text_encoder_is_trained_whole(folders: dict[str, str]) -> None:
    system = new("ssl-text-finetune", branches(text=folders["text"]))
    upstream = system.upstreams["text"]
    items = [
        Example(Utterance(f"u{n}", Path("u.wav"), "toy", "s", None), {"text": upstream.prepare_text(words)[None]}, n)
        for n, words in enumerate(("turn yes", "no", "says yes no turn"))
    ]
    moved = step(system, items)
    assert set(moved) == set(dict(system.network.named_parameters()))


# ------------------------------------------------------------------------------------------------ fusion


def test_early_fusion_doubles_the_width_and_late_fusion_the_vector(folders: dict[str, str]) -> None:
    early, late, single = (
        new(preset, changes | SMALL)
        for preset, changes in (
            ("ssl-early", branches(hubert=folders["hubert"], wav2vec2=folders["wav2vec2"])),
            ("ssl-late", branches(hubert=folders["hubert"], wav2vec2=folders["wav2vec2"])),
            ("ssl-ecapa", branches(speech=folders["hubert"])),
        )
    )
    widths = [
        [module.first.conv.in_channels for module in system.network.modules() if isinstance(module, EcapaTdnn)]
        for system in (single, early, late)
    ]
    assert widths == [[16], [32], [16, 16]]
    assert [s.network.embedding_dim for s in (single, early, late)] == [6, 6, 12]
    assert list(early.settings.branches) == ["hubert", "wav2vec2"], "the order of the concatenation"


def test_the_fused_frames_are_those_of_the_upstreams_side_by_side(folders: dict[str, str]) -> None:
    system = new("ssl-early", branches(hubert=folders["hubert"], wav2vec2=folders["wav2vec2"]) | {"aggregator": "mean"})
    items = examples(system, 9000, 16000)
    parts = []
    for name in ("hubert", "wav2vec2"):
        upstream = named_upstream(folders[name])
        rows = [upstream.prepare(sound(n, count), 16000)[None] for n, count in enumerate((9000, 16000))]
        with torch.no_grad():
            parts.append(
                torch.stack([upstream(r, torch.tensor([r.shape[1]])).last[0].half().float().mean(0) for r in rows])
            )
    torch.testing.assert_close(system.predict(system.collate(items)).embeddings, torch.cat(parts, dim=1))


def test_rates_decide_what_can_be_fused_early(folders: dict[str, str]) -> None:
    mixed = {"branches": {"hubert": {"upstream": folders["hubert"]}, "wav2vec2": {"upstream": "filter-bank"}}}
    with pytest.raises(UsageError, match=r"different rates.*50 per second, 100 per second.*late fusion"):
        new("ssl-early", mixed)
    assert new("ssl-late", mixed | SMALL).network.embedding_dim == 12
    system = new("ssl-early", mixed | SMALL | {"frame_rates": "resample"})
    outputs = system.predict(system.collate(examples(system, 9000, 16000)))
    assert outputs.probabilities.shape == (2, 4)
    words = {"branches": {"hubert": {"upstream": folders["hubert"]}, "wav2vec2": {"upstream": folders["text"]}}}
    with pytest.raises(UsageError, match="not evenly spaced in time"):
        new("ssl-early", words)


def test_any_number_of_branches_and_modalities_are_fused(folders: dict[str, str]) -> None:
    system = new(
        "ssl-ecapa",
        branches(speech=folders["hubert"], bands="filter-bank", words=folders["text"]) | SMALL,
    )
    items = [
        Example(item.utterance, {**item.inputs, **system.extract_text(words)}, item.target)
        for item, words in zip(examples(system, 9000, 400, 16000), ("so happy", "no", "i am sad !"), strict=True)
    ]
    outputs = system.predict(system.collate(items))
    assert outputs.embeddings.shape == (3, 18)
    alone = system.predict(system.collate(items[1:2]))
    torch.testing.assert_close(alone.probabilities[0], outputs.probabilities[1], rtol=0, atol=1e-5)
    moved = step(system, items)
    assert {name for name in moved if "running" not in name and "num_batches" not in name} == {
        name for name, parameter in system.network.named_parameters() if parameter.requires_grad
    }
    early = new(
        "ssl-ecapa",
        branches(speech=folders["hubert"], other=folders["wav2vec2"], third=folders["wavlm"])
        | SMALL
        | {"fusion": "early"},
    )
    assert [m.first.conv.in_channels for m in early.network.modules() if isinstance(m, EcapaTdnn)] == [48]


# ------------------------------------------------------------------------------------------------ batches and layers


@pytest.mark.parametrize(
    ("preset", "aggregator"),
    [("ssl-ecapa", name) for name in ("mean", "statistics", "attention", "blstm", "ecapa")]
    + [("ssl-finetune", "mean")],
)
def test_scores_do_not_depend_on_the_batch(folders: dict[str, str], preset: str, aggregator: str) -> None:
    for upstream in (folders["hubert"], folders["wav2vec2"], "filter-bank"):
        if preset == "ssl-finetune" and upstream == "filter-bank":
            continue
        system = new(preset, branches(speech=upstream) | SMALL | {"aggregator": aggregator})
        items = examples(system, 400, 16000, 700, 5000, 1)  # one sample is filled up to one frame
        together = system.predict(system.collate(items)).probabilities
        for place, item in enumerate(items):
            alone = system.predict(system.collate([item])).probabilities
            torch.testing.assert_close(alone[0], together[place], rtol=0, atol=1e-5)


def test_many_long_utterances_are_scored_in_groups(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    system = new("ssl-ecapa", branches(speech=folders["hubert"]) | SMALL)
    batch = system.collate(examples(system, 9000, 1000, 16000, 2000, 3000))
    whole = system.predict(batch)
    monkeypatch.setattr("serenade.systems.upstream_downstream._FRAMES_AT_ONCE", 30)
    sizes: list[tuple[int, ...]] = []
    system.network.register_forward_pre_hook(lambda module, inputs: sizes.append(tuple(inputs[0]["speech"].shape[:2])))
    parts = system.predict(batch)
    assert sum(rows for rows, _ in sizes) == 5
    assert all(rows == 1 or rows * frames <= 30 for rows, frames in sizes)
    assert len(sizes) > 1
    torch.testing.assert_close(parts.probabilities, whole.probabilities)


def test_layers_can_be_chosen_or_weighted(folders: dict[str, str]) -> None:
    upstream = named_upstream(folders["hubert"])
    prepared = upstream.prepare(sound(0, 9000), 16000)[None]
    with torch.no_grad():
        layers = [layer[0].half().float() for layer in upstream(prepared, torch.tensor([9000])).layers]

    def vector(choice: object) -> Tensor:
        changes = {"branches": {"speech": {"upstream": folders["hubert"], "layers": choice}}, "aggregator": "mean"}
        system = new("ssl-ecapa", changes)
        return system.predict(system.collate(examples(system, 9000))).embeddings[0]

    torch.testing.assert_close(vector("last"), layers[-1].mean(0))
    torch.testing.assert_close(vector(1), layers[1].mean(0))
    torch.testing.assert_close(vector("weighted"), torch.stack(layers).mean(0).mean(0))
    with pytest.raises(UsageError, match="no such layer"):
        vector(9)


def test_superbs_system_is_linear_between_frames_and_scores(folders: dict[str, str]) -> None:
    """Equation by equation: softmax-weighted layers, linear to 256, mean, linear to K, nothing between."""
    system = new("ssl-superb", branches(speech=folders["hubert"]))
    with torch.no_grad():
        system.network.branches["speech"].mix.scores.copy_(torch.tensor([0.3, -1.0, 0.2, 0.9]))
    item = examples(system, 9000)[0]
    stack = item.inputs["speech"][0].float()  # (L, 4, D)
    weights = torch.tensor([0.3, -1.0, 0.2, 0.9]).softmax(0)
    mixed = torch.einsum("lnd,n->ld", stack, weights)
    state = system.network.state_dict()
    projected = mixed @ state["projections.speech.weight"].T + state["projections.speech.bias"]
    assert projected.shape[1] == 256
    logits = projected.mean(0) @ state["classifier.weight"].T + state["classifier.bias"]
    torch.testing.assert_close(system.predict(system.collate([item])).probabilities[0], logits.softmax(0))
    assert not [m for m in system.network.modules() if isinstance(m, nn.ReLU | nn.Tanh | nn.GELU)]


# ------------------------------------------------------------------------------------------------ gathering


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    found = []
    for number, samples in enumerate((16000, 9000, 100, 5000)):
        path = tmp_path / f"u{number}.wav"
        soundfile.write(path, sound(number, samples).numpy(), 16000)
        found.append(
            Utterance(
                f"u{number}", path, "toy", "s", LABELS.names[number], text=f"turn {number}", duration_s=samples / 16000,
                content=f"content{number}",
            )
        )  # fmt: skip
    return found


def test_gathered_inputs_are_the_extracted_ones_and_are_kept(
    folders: dict[str, str], utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    from serenade.signal.audio import read_audio

    system = new("ssl-late", branches(hubert=folders["hubert"], wav2vec2=folders["text"]) | SMALL)
    assert isinstance(system, GatheringSystem)
    told: list[int] = []
    gathered = system.gather(utterances, told.append)
    assert told == sorted(told)
    assert told[-1] == 4
    for utterance, inputs in zip(utterances, gathered, strict=True):
        alone = system.extract(read_audio(utterance.audio), training=False)["hubert"]
        assert inputs["hubert"].dtype == torch.float16
        torch.testing.assert_close(inputs["hubert"], alone, rtol=0, atol=2e-3)
        assert inputs["wav2vec2"].shape[2:] == (1, 16)
    monkeypatch.setattr(torch.nn.Module, "__call__", None)  # nothing is computed again but what is too short
    again = system.gather([utterances[0], utterances[3]])
    assert torch.equal(again[0]["hubert"], gathered[0]["hubert"])


def test_missing_transcripts_are_counted(folders: dict[str, str], utterances: list[Utterance]) -> None:
    system = new("ssl-text", branches(text=folders["text"]))
    silent = [utterances[0], utterances[1].with_(text=None), utterances[2].with_(text=" ")]
    with pytest.raises(UsageError, match=r"reads transcripts.*u1.*2 of 3 without words"):
        system.gather(silent)
    with pytest.raises(UsageError, match="no words beside the sound"):
        system.collate(examples(system, 9000))


def test_a_second_stage_takes_the_weights_of_the_first(
    folders: dict[str, str], utterances: list[Utterance], tmp_path: Path
) -> None:
    first = new("ssl-finetune", branches(speech=folders["hubert"]))
    step(first, examples(first, 9000, 8000, 12000))
    save_checkpoint(first, PRESETS["ssl-finetune"], tmp_path / "jobs" / "fold-seed0" / "model")
    named = str(tmp_path / "jobs" / "fold-seed0" / "model")
    changes = {"branches": {"speech": {"upstream": folders["hubert"], "fine_tuned": named}}}
    second = new("ssl-mean", changes)
    before = new("ssl-mean", branches(speech=folders["hubert"]))
    waveform = sound(5, 9000)
    of_first = first.predict(first.collate([Example(utterances[0], first.extract(waveform, training=False), 0)]))
    frames = second.extract(waveform, training=False)["speech"]
    torch.testing.assert_close(frames[0, :, 0].float().mean(0), of_first.embeddings[0], rtol=0, atol=2e-3)
    assert not torch.allclose(frames, before.extract(waveform, training=False)["speech"], atol=1e-5)
    assert second.cache_key(training=True) != before.cache_key(training=True)
    save_checkpoint(second, PRESETS["ssl-mean"], tmp_path / "second")
    loaded = load_system(tmp_path / "second")
    assert torch.equal(loaded.extract(waveform, training=False)["speech"], frames)
    assert not any("upstream" in name for name in second.network.state_dict()), "a frozen upstream is not stored again"

    wrong = {"branches": {"speech": {"upstream": folders["wav2vec2"], "fine_tuned": named}}}
    with pytest.raises(CheckpointError, match="fine-tuned from another upstream"):
        new("ssl-mean", wrong)
    with pytest.raises(CheckpointError, match="not exactly one upstream that was trained along"):
        new(
            "ssl-mean",
            {"branches": {"speech": {"upstream": folders["hubert"], "fine_tuned": str(tmp_path / "second")}}},
        )
    with pytest.raises(CheckpointError, match="Train the first stage before"):
        new("ssl-mean", {"branches": {"speech": {"upstream": folders["hubert"], "fine_tuned": str(tmp_path / "no")}}})


@pytest.mark.parametrize(
    ("preset", "changes", "error", "told"),
    [
        ("ssl-ecapa", {}, UsageError, r"no upstream is given for the branch speech.*branches.speech.upstream=FOLDER"),
        ("ssl-ecapa", branches(speech="filter-bnk"), SerenadeError, "Did you mean 'filter-bank'"),
        ("ssl-ecapa", branches(**{"a.b": "filter-bank"}), SettingsError, "letters, digits"),
        ("ssl-ecapa", {"branches": {"speech": {"upstrem": "x"}}}, SettingsError, "upstrem"),
    ],
)
def test_bad_settings_are_told(preset: str, changes: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        new(preset, changes)


@pytest.mark.slow
def test_a_step_of_base_size_stays_below_four_gigabytes() -> None:
    """Whole process, batch 4 x 5 s: weights, gradients, Adam and activations of 94 million parameters."""
    script = Path(__file__).parents[2] / "benchmarks" / "fine_tuning.py"
    command = [sys.executable, str(script), "--cases", "as the preset"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row = next(line for line in done.stdout.splitlines() if line.startswith("as the preset"))
    peak_gib = float(row.removeprefix("as the preset").split()[0])
    assert peak_gib * 2**30 < 4e9
