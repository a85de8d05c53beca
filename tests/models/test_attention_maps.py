"""The maps that networks give of their attention: what they sum to, and slow plain versions of each."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.models.aacnn import Aacnn, AacnnNetworkSettings, AreaSettings
from serenade.models.apcnn import Apcnn, ApcnnNetworkSettings, OneLayerCnn, PoolingHead
from serenade.models.glam import Glam, GlamNetworkSettings
from serenade.models.mhcnn import Mhcnn, MhcnnNetworkSettings
from serenade.nn.area_attention import AreaAttention
from serenade.nn.attention_maps import AttentiveNetwork, CellNetwork, entropy_focus, over_input

HEADS: tuple[PoolingHead, ...] = ("paper", "paper_mean", "product", "class_softmax")


def scored(network: nn.Module, x: Tensor) -> nn.Module:
    """The network with running statistics of its own, in float64 and evaluation mode."""
    network.double()
    with torch.no_grad():
        network(x)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("head", HEADS)
def test_product_of_attention_pooling_sums_to_the_score(head: PoolingHead) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 1, 40, 50, dtype=torch.float64)
    network = scored(Apcnn(5, ApcnnNetworkSettings(head=head)), x)
    maps = network.attention_maps(x)
    torch.testing.assert_close(maps["product"].values.sum(dim=(2, 3)), network(x))
    bottom_up, top_down = maps["bottom_up"].values, maps["top_down"].values
    assert bottom_up.shape == (3, 1, 4, 6)
    assert top_down.shape == (3, 5, 4, 6)
    if head in ("paper", "paper_mean"):
        torch.testing.assert_close(bottom_up.sum(dim=(1, 2, 3)), torch.ones(3, dtype=torch.float64))
        assert (bottom_up > 0).all()
    if head == "class_softmax":
        torch.testing.assert_close(top_down.sum(dim=1), torch.ones(3, 4, 6, dtype=torch.float64))


@pytest.mark.parametrize("network", [Apcnn(3, ApcnnNetworkSettings(head="gap")),
                                     Apcnn(3, ApcnnNetworkSettings(head="bilinear")),
                                     Aacnn(3, 26, 40, AacnnNetworkSettings(attention=False)),
                                     Glam(3, 26, 40, GlamNetworkSettings(fusion="none"))])  # fmt: skip
def test_networks_without_attention_have_no_maps(network: AttentiveNetwork) -> None:
    assert network.attention_maps(torch.randn(2, 1, 26, 40)) == {}


def areas_one_by_one(attention: AreaAttention, cells: Tensor) -> Tensor:
    """Weight of every cell in the mean output, area by area, in plain Python. cells: (H, W, D)."""
    height, width, _ = cells.shape
    if attention.layout == "rows":
        rows = [areas_one_by_one(plain_copy(attention, "flat"), row[None]) for row in cells]
        return torch.cat(rows) / height
    if attention.layout == "flat":
        return areas_in_grid(attention, cells.reshape(1, height * width, -1)).reshape(height, width)
    return areas_in_grid(attention, cells)


def plain_copy(attention: AreaAttention, layout: str) -> AreaAttention:
    return AreaAttention(max_width=attention.max_width, value=attention.value, key=attention.key, layout=layout)  # type: ignore[arg-type]


def areas_in_grid(attention: AreaAttention, grid: Tensor) -> Tensor:
    height, width, depth = grid.shape
    spans = [
        [(i, j) for i in range(top, top + r) for j in range(left, left + c)]
        for r, c in itertools.product(range(1, attention.max_height + 1), range(1, attention.max_width + 1))
        for top in range(height - r + 1)
        for left in range(width - c + 1)
    ]
    keys = torch.stack([torch.stack([grid[i, j] for i, j in span]).mean(0) for span in spans])
    shares = (grid.reshape(-1, depth) @ keys.T).softmax(1).mean(0)
    found = torch.zeros(height, width, dtype=grid.dtype)
    for span, share in zip(spans, shares, strict=True):
        for i, j in span:
            found[i, j] += share if attention.value == "sum" else share / len(span)
    return found


@pytest.mark.parametrize("layout", ["flat", "grid", "rows"])
@pytest.mark.parametrize("value", ["sum", "mean", "max"])
def test_area_weights_are_spread_as_by_a_slow_loop(layout: str, value: str) -> None:
    torch.manual_seed(0)
    cells = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    attention = AreaAttention(max_height=2, max_width=3, layout=layout, value=value)  # type: ignore[arg-type]
    if layout != "grid":
        attention.max_height = 1
    found = attention.cell_weights(cells, cells)
    for one, expected in zip(cells, found, strict=True):
        torch.testing.assert_close(areas_one_by_one(attention, one), expected)
    if value != "sum":
        torch.testing.assert_close(found.sum(dim=(1, 2)), torch.ones(2, dtype=torch.float64))
    if value != "max":  # what the docstring promises
        mean = attention(cells, cells, cells).mean(dim=(1, 2))
        torch.testing.assert_close(torch.einsum("bhw,bhwd->bd", found, cells), mean)


def test_area_map_covers_both_branches_and_keeps_to_top_k() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 26, 40, dtype=torch.float64)
    network = scored(Aacnn(3, 26, 40, AacnnNetworkSettings(area=AreaSettings(top_k=2, value="mean"))), x)
    shown = network.attention_maps(x)["areas"]
    assert shown.stacked == 2
    assert shown.values.shape == (2, 1, 12, 9)
    torch.testing.assert_close(shown.values.sum(dim=(1, 2, 3)), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("join", ["channels", "height"])
def test_gates_of_heads_show_how_selective_they_are(join: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 26, 40, dtype=torch.float64)
    network = scored(Mhcnn(3, 26, 40, MhcnnNetworkSettings(heads=3, hidden=8, stem_join=join)), x)  # type: ignore[arg-type]
    shown = network.attention_maps(x)
    rows = 12 if join == "height" else 6
    assert shown["gates"].values.shape == (2, 3, rows, 9)
    cells = network.trunk(x)
    query, key, value = (
        getattr(network.fusion, name)(cells)[1, 8:16, 2, 5].tolist() for name in ("query", "key", "value")
    )
    weights = [math.exp(q * k) for q, k in zip(query, key, strict=True)]
    shares = [weight / sum(weights) for weight in weights]
    focus = 1 + sum(share * math.log(share) for share in shares) / math.log(8)
    assert float(shown["gates"].values[1, 1, 2, 5]) == pytest.approx(focus)
    passed = sum(abs(share * v) for share, v in zip(shares, value, strict=True)) / 8
    assert float(shown["passed"].values[1, 1, 2, 5]) == pytest.approx(passed)


def test_attention_between_positions_sums_to_one_in_every_head() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 26, 40)
    shown = Mhcnn(3, 26, 40, MhcnnNetworkSettings(attention="matrix")).eval().attention_maps(x)["attention"]
    torch.testing.assert_close(shown.values.sum(dim=(2, 3)), torch.ones(2, 4))


def test_focus_runs_from_even_to_single() -> None:
    shares = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0, 1.0, 0, 0], [0.5, 0.5, 0, 0]])
    torch.testing.assert_close(entropy_focus(shares, 1), torch.tensor([0.0, 1.0, 0.5]))
    assert entropy_focus(torch.ones(2, 1), 1).tolist() == [0, 0]


def test_gates_of_fresh_glam_are_all_alike() -> None:
    torch.manual_seed(0)
    shown = Glam(4, 26, 40).eval().attention_maps(torch.randn(2, 1, 26, 40))
    assert set(shown) == {"gate", "update"}
    torch.testing.assert_close(
        shown["gate"].values, torch.full((2, 1, 13, 10), math.tanh(1.0)), rtol=0, atol=1e-2
    )  # S is nearly 0 and s is 1
    assert shown["gate"].stacked == 2


def test_gates_of_glam_are_weighted_by_what_flows_through_them() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, 8, 12, dtype=torch.float64)
    network = scored(Glam(3, 8, 12), x)
    block = network.fusion
    nn.init.normal_(block.gate_weight, std=0.3)
    rows = network.cells(x).flatten(2)
    shown = network.attention_maps(x)
    hidden = functional.gelu(block.project_in(block.norm(rows)))
    value, other = hidden.chunk(2, dim=-1)
    gates = torch.tanh(
        torch.einsum("rs,bsj->brj", block.gate_weight, block.gate_norm(other)) + block.gate_bias[:, None]
    )
    cell, writes = 7, block.project_out.weight
    pairs = [
        (float(value[0, r, j].abs() * writes[cell, j].abs()), float(gates[0, r, j]))
        for r in range(rows.shape[1])
        for j in range(writes.shape[1])
    ]
    expected = sum(weight * gate for weight, gate in pairs) / sum(weight for weight, _ in pairs)
    assert float(shown["gate"].values.flatten()[cell]) == pytest.approx(expected)
    change = (block(rows) - rows).abs().mean(1)
    torch.testing.assert_close(shown["update"].values.flatten(1), change)


@pytest.mark.parametrize(
    ("settings", "names", "stacked"),
    [
        ({"fusion": "attentive"}, {"gate", "update", "attention"}, 2),
        ({"fusion": "heads"}, {"gates", "passed"}, 2),
        ({"fusion": "area"}, {"areas"}, 2),
        ({"stem": "gated"}, {"gate", "update", "stem"}, 1),
    ],
)
def test_ablations_of_glam_show_the_attention_they_have(settings: dict, names: set, stacked: int) -> None:
    torch.manual_seed(0)
    network = Glam(3, 26, 40, GlamNetworkSettings(**settings)).eval()
    shown = network.attention_maps(torch.randn(2, 1, 26, 40))
    assert set(shown) == names
    assert all(torch.isfinite(each.values).all() for each in shown.values())
    assert {each.stacked for name, each in shown.items() if name != "stem"} == {stacked}
    if "stem" in shown:
        assert shown["stem"].values.shape == (2, 1, 26, 40)
        assert shown["stem"].stacked == 1


@pytest.mark.parametrize(
    "network",
    [Glam(3, 26, 40), Mhcnn(3, 26, 40), Aacnn(3, 26, 40), Apcnn(3), Apcnn(3, ApcnnNetworkSettings(head="gap")),
     OneLayerCnn(3, 4, 2)],
    ids=lambda network: type(network).__name__,
)  # fmt: skip
def test_cells_and_the_rest_of_the_network_are_the_network(network: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 26, 40, dtype=torch.float64)
    assert isinstance(network, CellNetwork)
    scored(network, x)
    torch.testing.assert_close(network.scores_of_cells(network.cells(x)), network(x))


def test_map_lies_over_the_input_where_its_cells_do() -> None:
    values = torch.zeros(1, 1, 8, 5)
    values[0, 0, 1, 3] = 1.0  # of the upper half
    values[0, 0, 6, 0] = 2.0  # of the lower half
    spread = over_input(values, 20, 50, stacked=2)
    assert spread.shape == (1, 1, 2, 20, 50)
    upper, lower = spread[0, 0]
    assert divmod(int(upper.argmax()), 50) in {(7, 34), (7, 35), (6, 34), (8, 34), (7, 33)}
    assert int(lower.argmax()) // 50 in {11, 12, 13}
    assert int(lower.argmax()) % 50 < 6
