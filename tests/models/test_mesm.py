"""FE2E and MESM: the specification's counts, a plain second writing, gradients, empty and wrong input."""

from typing import Any

import pytest
import torch
from tests.models import plain_mesm
from torch import Tensor, nn

from serenade.core.errors import SettingsError, UsageError
from serenade.core.settings import make_settings
from serenade.models.mesm import Fe2e, Frames, Mesm
from serenade.models.mesm_settings import Fe2eSettings, MesmSettings
from serenade.nn.cross_modal import kept_area

CLASSES = 6
SMALL = {
    "text_dim": 10,
    "face_shape": (3, 20, 16),
    "audio_shape": (1, 32, 16),
    "channels": (4, 6, 8, 10),
    "projection_dim": 12,
    "branch_dim": 8,
    "num_layers": 1,
    "num_heads": 2,
    "feed_forward": 16,
    "dropout": 0,
}


def small(**changes: Any) -> Fe2eSettings:
    return Fe2eSettings.model_validate(SMALL | changes)


def sparse(**changes: Any) -> MesmSettings:
    return MesmSettings.model_validate({"shared": small(), **changes})


def batch(
    face: tuple[int, ...] = (2, 1, 3), audio: tuple[int, ...] = (1, 4, 2), dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(7)
    return {
        "text": torch.randn(len(face), 10, generator=generator, dtype=dtype),
        "face": Frames(torch.randn(sum(face), 3, 20, 16, generator=generator, dtype=dtype), torch.tensor(face)),
        "audio": Frames(torch.randn(sum(audio), 1, 32, 16, generator=generator, dtype=dtype), torch.tensor(audio)),
    }


def build(kind: type[Any], settings: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return kind(CLASSES, settings)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_as_many_as_published() -> None:
    with torch.device("meta"):
        dense = nn.ModuleDict(Fe2e(CLASSES).named_children())
        thin = Mesm(CLASSES)
    branches: Any = dense["branches"]
    for name, low, cnn, projection in (
        ("face", 153_216, 4_803_456, 4_785_216),
        ("audio", 150_016, 4_800_256, 8_455_232),
    ):
        branch = branches[name]
        assert count(branch.low_level) + count(branch.upper) == cnn
        assert count(branch.projection) == projection
        assert count(branch.encoder) == 1_124_672
        assert count(branch.head) == 390
        mine: Any = thin.branches[name]
        blocks = mine.upper.blocks
        assert count(mine.low_level) == low
        assert [count(block.attention) for block in blocks] == [53_377, 114_945, 262_657]
        assert count(mine.upper) - sum(count(block.attention) for block in blocks) == 4_648_448
    assert count(dense["text"]) == 4_614
    assert count(dense["fusion"]) == 3


def test_map_sizes_are_those_of_the_table() -> None:
    with torch.device("meta"):
        branches: Any = Fe2e(CLASSES).branches
        for name, shape, low, last in (
            ("face", (3, 48, 48), (24, 24), (3, 3)),
            ("audio", (1, 128, 32), (64, 16), (8, 2)),
        ):
            maps = branches[name].low_level(torch.zeros(2, *shape))
            assert maps.shape == (2, 64, *low)
            assert branches[name].upper(maps).shape == (2, 512, *last)


def test_dense_multiplications_are_those_of_the_table() -> None:
    with torch.device("meta"):
        network = Fe2e(CLASSES, Fe2eSettings(modalities=("face", "audio")))
    face = Frames(torch.zeros(2, 3, 48, 48), torch.tensor([2]))
    costs = network.feature_costs(face=face, audio=Frames(torch.zeros(3, 1, 128, 32), torch.tensor([3])))
    for name, low, total in (("face", 95.99, 478.20), ("audio", 157.55, 837.03)):
        cost = costs[name]
        assert round(cost.low_level / cost.frames / 1e6, 2) == low
        assert round(cost.multiply_adds / cost.frames / 1e6, 2) == total
        assert cost.flops == 2 * cost.multiply_adds


def test_sparse_multiplications_are_counted_pair_by_pair() -> None:
    network, inputs = build(Mesm, sparse(top_p=0.5)).eval(), batch()
    costs, selections = network.feature_costs(**inputs), network.selections(**inputs)
    for name, (height, width) in {"face": (10, 8), "audio": (16, 8)}.items():
        upper = attention = 0
        for selection, (before, after) in zip(selections[name], ((4, 6), (6, 8), (8, 10)), strict=True):
            cells = selection.kept.mask.nonzero().tolist()
            pairs = sum(a[0] == b[0] and abs(a[1] - b[1]) <= 1 and abs(a[2] - b[2]) <= 1 for a in cells for b in cells)
            upper += pairs * (before * after + after * after)
            attention += int(selection.before.mask.sum()) * (before * before + before) + 3 * 10 * before
        assert (costs[name].upper, costs[name].attention) == (upper, attention)
        assert selections[name][0].before.mask.shape[1:] == (height, width)


def queries(inputs: dict[str, Any], name: str) -> Tensor:
    return inputs["text"][inputs[name].utterances()]  # type: ignore[no-any-return]


@pytest.mark.parametrize("gradient", ["none", "straight_through", "scaled"])
@pytest.mark.parametrize("p", [0.2, 0.7, 1.0])
def test_sparse_trunk_is_the_plain_one_in_value_and_gradient(gradient: str, p: float) -> None:
    network = build(Mesm, sparse(mask_gradient=gradient, top_p=p)).double()
    inputs = batch(dtype=torch.float64)
    for name in ("face", "audio"):
        branch, frames = network.branches[name], inputs[name]
        state = dict(branch.named_parameters())
        ours, selections = branch.upper(branch.low_level(frames.values), inputs["text"], frames.utterances())
        low = plain_mesm.low_level(frames.values, state, "low_level")
        expected, masks = plain_mesm.sparse_upper(low, queries(inputs, name), state, "upper", p, gradient)
        for selection, mask in zip(selections, masks, strict=True):
            assert torch.equal(selection.kept.mask, mask)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)
        pull = torch.randn(ours.shape, generator=torch.Generator().manual_seed(3), dtype=ours.dtype)
        wanted = {k: v for k, v in state.items() if k.startswith(("low", "upper")) and "attention" not in k}
        if gradient != "none":
            wanted |= {k: v for k, v in state.items() if "attention" in k}
        found = torch.autograd.grad((ours * pull).sum(), list(wanted.values()))
        plain = torch.autograd.grad((expected * pull).sum(), list(wanted.values()))
        for key, one, other in zip(wanted, found, plain, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


def test_dense_trunk_is_the_plain_one() -> None:
    network, inputs = build(Fe2e, small()).double(), batch(dtype=torch.float64)
    for name in ("face", "audio"):
        branch, values = network.branches[name], inputs[name].values
        state = dict(branch.named_parameters())
        expected = plain_mesm.dense_upper(plain_mesm.low_level(values, state, "low_level"), state, "upper.layers")
        torch.testing.assert_close(branch.upper(branch.low_level(values)), expected, rtol=0, atol=1e-10)


def test_released_order_is_that_of_the_release() -> None:
    aligned, released = (build(Mesm, sparse(cell_order=order)).double() for order in ("aligned", "released"))
    inputs = batch(dtype=torch.float64)
    branch, frames = released.branches["face"], inputs["face"]
    low = branch.low_level(frames.values)
    ours, _ = branch.upper(low, inputs["text"], frames.utterances())
    state = dict(branch.named_parameters())
    expected, _ = plain_mesm.sparse_upper(low, queries(inputs, "face"), state, "upper", 0.7, released=True)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)
    straight, _ = aligned.branches["face"].upper(low, inputs["text"], frames.utterances())
    assert (ours - straight).detach().abs().max() > 0.01
    aligned.load_state_dict(released.state_dict())
    one = batch((1,), (1,), torch.float64)  # of a single frame both orders are the same
    torch.testing.assert_close(aligned.eval()(**one), released.eval()(**one))


def test_published_attention_gets_no_gradient_and_a_taught_one_changes_no_bit() -> None:
    inputs = batch()
    published, taught = (build(Mesm, sparse(mask_gradient=kind)) for kind in ("none", "straight_through"))
    outputs = []
    for network in (published, taught):
        out = network(**inputs)
        outputs.append(out)
        out.square().sum().backward()
    assert torch.equal(*outputs)
    attention = [key for key, _ in published.named_parameters() if "attention" in key and "encoder" not in key]
    assert len(attention) == 30
    for key, parameter in published.named_parameters():
        assert (parameter.grad is None) == (key in attention), key
    for key, parameter in taught.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize(
    "modalities", [("text",), ("audio",), ("face",), ("text", "audio"), ("text", "face"), ("face", "audio")]
)
def test_any_modalities_make_a_dense_network(modalities: tuple[str, ...]) -> None:
    network = build(Fe2e, small(modalities=modalities)).eval()
    inputs = {name: value for name, value in batch().items() if name in modalities}
    scores = network.branch_scores(**inputs)
    assert tuple(scores) == modalities
    fused = network(**inputs)
    if len(modalities) == 1:
        assert count(network.fusion) == 0
        assert torch.equal(fused, scores[modalities[0]])
    else:
        weights = network.fusion.weights
        assert all(abs(weights[name].item()) <= 2**-0.5 for name in modalities)
        torch.testing.assert_close(fused, sum(weights[name] * scores[name] for name in modalities))


def test_order_of_modalities_does_not_matter() -> None:
    assert small(modalities=("audio", "text")) == small(modalities=("text", "audio"))


@pytest.mark.parametrize(("kind", "settings"), [(Fe2e, small()), (Mesm, sparse())])
@torch.no_grad()
def test_utterance_does_not_depend_on_its_batch(kind: type[Any], settings: Any) -> None:
    network, inputs = build(kind, settings), batch((2, 0, 3), (1, 4, 0))
    network(**inputs)
    network.eval()
    together = network(**inputs)
    assert torch.isfinite(together).all()
    faces, sounds = (torch.split(inputs[name].values, inputs[name].lengths.tolist()) for name in ("face", "audio"))
    for place in range(3):
        alone = network(
            text=inputs["text"][place : place + 1],
            face=Frames(faces[place], torch.tensor([len(faces[place])])),
            audio=Frames(sounds[place], torch.tensor([len(sounds[place])])),
        )
        torch.testing.assert_close(alone[0], together[place], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["nothing", "zeros", "one frame", "constant", "loud", "faint"])
@pytest.mark.parametrize("kind", ["dense", "none", "straight_through", "scaled"])
def test_input_with_nothing_in_it_gives_finite_scores_and_gradients(kind: str, case: str) -> None:
    network = build(Fe2e, small()) if kind == "dense" else build(Mesm, sparse(mask_gradient=kind, top_p=0.1))
    inputs = batch(
        *(((0, 0), (0, 0)) if case == "nothing" else ((1, 0), (0, 1)) if case == "one frame" else ((2, 1), (1, 2)))
    )
    change = {
        "zeros": torch.zeros_like,
        "constant": lambda x: torch.full_like(x, -80.0),
        "loud": lambda x: 1e4 * x,
        "faint": lambda x: 1e-38 * x,
    }.get(case)
    if change is not None:
        inputs = {
            name: change(value) if name == "text" else Frames(change(value.values), value.lengths)
            for name, value in inputs.items()
        }
    network.train()(**inputs).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key
    assert torch.isfinite(network.eval()(**inputs)).all()
    assert all(torch.isfinite(buffer).all() for buffer in network.buffers())


def test_half_precision_trains() -> None:
    network, inputs = build(Mesm, sparse(mask_gradient="straight_through")), batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(**inputs).float().square().sum()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_kept_areas_lie_inside_each_other() -> None:
    network, inputs = build(Mesm, sparse(top_p=0.4)).eval(), batch()
    selections = network.selections(**inputs)["face"]
    areas = kept_area(selections, 20, 16)
    assert [area.shape for area in areas] == [(6, 20, 16)] * 3
    first = selections[0].kept.mask
    assert torch.equal(areas[0], first.repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert not (areas[1] & ~areas[0]).any()
    assert not (areas[2] & ~areas[1]).any()
    for selection in selections:
        sums = selection.attention.flatten(1).sum(1)
        torch.testing.assert_close(sums, torch.ones(6))


def test_wrong_input_is_named() -> None:
    network, inputs = build(Mesm, sparse()), batch()
    with pytest.raises(UsageError, match=r"modalities given.*Found: text, face.*Expected: text, face, audio"):
        network(text=inputs["text"], face=inputs["face"])
    with pytest.raises(UsageError, match=r"text vectors.*\(3, 11\).*\(B, 10\)"):
        network(**inputs | {"text": torch.zeros(3, 11)})
    with pytest.raises(UsageError, match=r"face frames.*\(6, 3, 48, 48\).*3, 20, 16"):
        network(**inputs | {"face": Frames(torch.zeros(6, 3, 48, 48), torch.tensor([2, 1, 3]))})
    with pytest.raises(UsageError, match=r"audio do not sum.*sum to 6, 7 frames"):
        network(**inputs | {"audio": Frames(inputs["audio"].values, torch.tensor([1, 3, 2]))})
    with pytest.raises(UsageError, match=r"audio do not count frames.*\[-1, 8\]"):
        network(**inputs | {"audio": Frames(inputs["audio"].values, torch.tensor([-1, 8]))})
    with pytest.raises(UsageError, match=r"same utterances.*'face': 3, 'audio': 2, 'text': 3"):
        network(**inputs | {"audio": Frames(inputs["audio"].values, torch.tensor([3, 4]))})


@pytest.mark.parametrize(
    ("cls", "override", "message"),
    [
        (Fe2eSettings, "modalities=[]", "at least one modality"),
        (Fe2eSettings, 'modalities=["face", "face"]', "each once"),
        (Fe2eSettings, "face_shape=[3, 15, 48]", "at least 16 rows"),
        (Fe2eSettings, "num_heads=5", "5 heads do not divide a branch_dim of 64"),
        (Fe2eSettings, "channels=[64, 0, 1, 1]", "at least 1"),
        (MesmSettings, "top_p=0", "top_p"),
        (MesmSettings, 'shared.modalities=["face", "audio"]', "needs text and face or audio"),
        (MesmSettings, "cell_order=old", "aligned"),
    ],
)
def test_wrong_settings_are_named(cls: type[Any], override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(cls, {}, [override])


@pytest.mark.parametrize("kind", [Fe2e, Mesm])
def test_a_long_clip_goes_through_in_parts_with_the_same_scores(kind: type[Any], monkeypatch: Any) -> None:
    network = build(kind, small() if kind is Fe2e else sparse()).eval()
    inputs = batch()
    with torch.inference_mode():
        whole = network(**inputs)
        monkeypatch.setattr("serenade.models.mesm._FRAMES_AT_ONCE", 2)
        parts = network(**inputs)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
