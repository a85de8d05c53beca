"""Cross-modal attention and top-p selection, against the authors' tensors and a plain reading of the text."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from serenade.core.errors import UsageError
from serenade.nn.cross_modal import CrossModalAttention, MaskGradient, nucleus, select_cells
from serenade.nn.sparse_conv import Sites

REFERENCE_NAMES = {"cells": "channel_affine", "text": "y_affine", "score": "attn_weight_affine"}


def load_attention(weights: dict[str, Tensor]) -> CrossModalAttention:
    width, channels = weights["channel_affine.weight"].shape
    attention = CrossModalAttention(channels, width, weights["y_affine.weight"].shape[1])
    state = {}
    for name in attention.state_dict():
        part, _, kind = name.partition(".")
        state[name] = weights[f"{REFERENCE_NAMES[part]}.{kind}"]
    attention.load_state_dict(state)
    return attention


def frames_of(lengths: list[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


@pytest.fixture
def first_block(shared: Path) -> dict[str, Any]:
    return dict(torch.load(shared / "parity" / "mesm_attention.pt", weights_only=True))


def test_first_block_attends_as_the_authors(first_block: dict[str, Any]) -> None:
    attention = load_attention(first_block["weights"])
    sites = Sites(torch.ones(7, 24, 24, dtype=torch.bool))
    rows = sites.gather(first_block["x"])
    with torch.inference_mode():
        logs = attention(rows, sites, first_block["y"], frames_of(first_block["lens"]))
    torch.testing.assert_close(logs.exp().view(7, 24, 24), first_block["attn"], rtol=1e-5, atol=1e-8)
    for key, mask in first_block.items():
        if key.startswith("mask_p"):
            _, selection = select_cells(rows, sites, logs, float(key.removeprefix("mask_p")))
            assert torch.equal(selection.kept.mask, mask.bool()), key


def test_masks_of_the_authors_maps_are_exact(first_block: dict[str, Any]) -> None:
    weights = first_block["attn"].flatten(1)
    compared = 0
    for key, mask in first_block.items():
        name, _, p = key.partition("_p")
        if p and name in ("mask", "flatmask", "hand"):
            ours = nucleus(first_block["hand"] if name == "hand" else weights, float(p))
            assert torch.equal(ours, mask.flatten(1).bool()), key
            compared += 1
    assert compared == 17


def test_later_blocks_attend_over_active_cells_as_the_authors(shared: Path) -> None:
    reference = torch.load(shared / "parity" / "mesm_attention_sparse.pt", weights_only=True)
    places = reference["locations"][:, [2, 0, 1]].unbind(1)  # stored by row, column and frame
    mask = torch.zeros(5, 12, 12, dtype=torch.bool)
    mask[places] = True
    sites = Sites(mask)
    maps = torch.zeros(5, 128, 12, 12)
    maps.permute(0, 2, 3, 1)[places] = reference["features"]
    rows = sites.gather(maps)
    attention = load_attention(reference["weights"])
    with torch.inference_mode():
        logs = attention(rows, sites, reference["y"], frames_of(reference["lens"]))
        kept_rows, selection = select_cells(rows, sites, logs, reference["p"])
    wanted = torch.zeros(5, 12, 12, 128)
    wanted[reference["out_locations"][:, [2, 0, 1]].unbind(1)] = reference["out_features"]
    assert int(selection.kept.mask.sum()) == len(reference["out_locations"])
    assert torch.equal(selection.kept.scatter(kept_rows).permute(0, 2, 3, 1), wanted)


@pytest.mark.parametrize(
    ("weights", "p", "kept"),
    [
        *(((0.25,) * 4, p, k) for p, k in ((0.2, 1), (0.25, 1), (0.5, 2), (0.7, 3), (0.75, 3), (0.9, 4))),
        ((0.9, 0.05, 0.03, 0.02), 0.9, 1),
        *(((0.4, 0.3, 0.2, 0.1), p, k) for p, k in ((0.5, 2), (0.7, 2), (0.75, 3))),
        ((0.1, 0.2), 1.0, 2),  # the whole lies below p: clamped
        ((1.0,), 1.0, 1),
    ],
)
def test_hand_made_vectors(weights: tuple[float, ...], p: float, kept: int) -> None:
    assert int(nucleus(torch.tensor([weights]), p).sum()) == kept


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.7, 0.99, 1.0])
def test_what_is_kept_is_enough_and_not_too_much(p: float) -> None:
    weights = (4 * torch.randn(20, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).softmax(1)
    for row, mask in zip(weights, nucleus(weights, p), strict=True):
        kept = row[mask]
        assert len(kept) >= 1
        assert float(kept.sum()) >= p - 1e-12
        assert float(kept.sum() - kept.min()) < p
        assert len(kept) == 50 or float(kept.min()) >= float(row[~mask].max())


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1])
def test_shares_out_of_bounds_are_refused(p: float) -> None:
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        nucleus(torch.ones(1, 2) / 2, p)


def some_cells(dtype: torch.dtype = torch.float64) -> tuple[CrossModalAttention, Tensor, Sites, Tensor, Tensor]:
    torch.manual_seed(0)
    mask = torch.rand(4, 3, 5) < 0.6
    mask[2] = False  # a frame in which nothing is active
    sites = Sites(mask)
    attention = CrossModalAttention(6, 4, 3).to(dtype)
    rows = torch.randn(len(sites.places), 6, dtype=dtype)
    return attention, rows, sites, torch.randn(2, 3, dtype=dtype), torch.tensor([0, 0, 1, 1])


def test_attention_is_the_equation_cell_by_cell() -> None:
    attention, rows, sites, text, utterances = some_cells()
    shares = attention(rows, sites, text, utterances).detach().exp().view_as(sites.mask)
    for frame in (0, 1, 3):
        mine = rows[sites.frames == frame]
        hidden = torch.tanh(attention.cells(mine) + attention.text(text[utterances[frame]]))
        expected = attention.score(hidden).squeeze(1).softmax(0)
        torch.testing.assert_close(shares[frame][sites.mask[frame]], expected)
    assert float(shares[2].sum()) == 0
    assert torch.equal(shares > 0, sites.mask)


def test_multiplications_are_counted_by_the_rule() -> None:
    attention, _, sites, _, _ = some_cells()
    assert attention.multiply_adds(sites, 2) == len(sites.places) * (6 * 4 + 4) + 2 * 3 * 4


def test_published_mask_teaches_the_attention_nothing() -> None:
    attention, rows, sites, text, utterances = some_cells()
    kept, _ = select_cells(rows, sites, attention(rows, sites, text, utterances), 0.5, "none")
    assert not kept.requires_grad


def test_straight_through_changes_no_bit_and_teaches() -> None:
    attention, rows, sites, text, utterances = some_cells(torch.float32)
    rows.requires_grad_()
    logs = attention(rows.detach(), sites, text, utterances)
    plain, selection = select_cells(rows, sites, logs, 0.5, "none")
    through, _ = select_cells(rows, sites, logs, 0.5, "straight_through")
    assert torch.equal(plain, through)
    pull = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
    (found,) = torch.autograd.grad((through * pull).sum(), logs)
    shares = selection.attention.flatten()[selection.kept.places]
    # d(x a / stop(a)) / d(log a) = x
    wanted = torch.zeros(logs.numel()).index_copy(0, selection.kept.places, (rows[keep(selection)] * pull).sum(1))
    torch.testing.assert_close(found.flatten(), wanted)
    assert (shares > 0).all()


def keep(selection: Any) -> Tensor:
    mask: Tensor = selection.kept.mask.flatten()[selection.before.places]
    return mask


def accuracy_where_words_name_what_counts(gradient: MaskGradient, steps: int = 100) -> float:
    """Two marked cells in noise, each with a sign; the words name the one whose sign is the answer.

    The scores are a sum over the cells kept, so that nothing but the mask can tell the two apart: without it three of
    four answers are right at most, where both signs agree and half of the others.
    """
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    attention, score = CrossModalAttention(3, 8, 2), torch.nn.Linear(3, 1)
    optimiser = torch.optim.Adam([*attention.parameters(), *score.parameters()], 0.03)

    def answered(count: int) -> tuple[Tensor, Tensor]:
        cells = 0.3 * torch.randn(count, 36, 3, generator=generator)
        places = torch.rand(count, 36, generator=generator).argsort(1)[:, :2]
        signs = 2.0 * torch.randint(2, (count, 2), generator=generator) - 1
        named, every = torch.randint(2, (count,), generator=generator), torch.arange(count)
        for mark in range(2):
            cells[every, places[:, mark]] = torch.eye(3)[mark] * 2
            cells[every, places[:, mark], 2] = 2 * signs[:, mark]
        sites = Sites(torch.ones(count, 6, 6, dtype=torch.bool))
        rows = cells.flatten(0, 1)
        shares = attention(rows, sites, torch.eye(2)[named], every)
        kept, selection = select_cells(rows, sites, shares, 0.5, gradient)
        sums = kept.new_zeros(count, 1).index_add(0, selection.kept.frames, score(kept))
        return sums.squeeze(1), signs[every, named]

    for _ in range(steps):
        optimiser.zero_grad()
        sums, wanted = answered(32)
        torch.nn.functional.softplus(-wanted * sums).mean().backward()
        optimiser.step()
    with torch.inference_mode():
        sums, wanted = answered(500)
    return float((sums * wanted > 0).float().mean())


def test_a_learnt_mask_finds_what_the_words_name_and_a_fixed_one_does_not() -> None:
    assert accuracy_where_words_name_what_counts("none") < 0.82
    assert accuracy_where_words_name_what_counts("straight_through") > 0.95


def test_scaled_multiplies_by_the_share_and_the_number_kept() -> None:
    attention, rows, sites, text, utterances = some_cells()
    logs = attention(rows, sites, text, utterances)
    scaled, selection = select_cells(rows, sites, logs, 0.7, "scaled")
    counts = selection.kept.mask.flatten(1).sum(1)[selection.kept.frames]
    shares = selection.attention.flatten()[selection.kept.places]
    torch.testing.assert_close(scaled, rows[keep(selection)] * (shares * counts)[:, None])
    scaled.square().sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_inactive_cells_never_come_back_and_no_cell_is_no_error() -> None:
    attention, rows, sites, text, utterances = some_cells()
    for p in (0.1, 0.5, 1.0):
        _, selection = select_cells(rows, sites, attention(rows, sites, text, utterances), p)
        assert not (selection.kept.mask & ~sites.mask).any()
        assert selection.kept.mask.flatten(1).any(1).tolist() == [True, True, False, True]
    nothing = Sites(torch.zeros(2, 3, 5, dtype=torch.bool))
    empty = torch.zeros(0, 6, dtype=torch.float64)
    out, selection = select_cells(empty, nothing, attention(empty, nothing, text, torch.tensor([0, 1])), 0.5, "scaled")
    assert out.shape == (0, 6)
    assert float(selection.attention.sum()) == 0
