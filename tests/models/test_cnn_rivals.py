"""MHCNN, AACNN and the attention-pooling family against the authors' tensors and the published parameter counts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.models.references import TRUNK, check_evaluation, check_training, fill, read, renamed
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.models.aacnn import Aacnn, AacnnNetworkSettings, AreaSettings
from serenade.models.apcnn import Apcnn, ApcnnNetworkSettings, OneLayerCnn
from serenade.models.mhcnn import Mhcnn, MhcnnNetworkSettings

HEADS = {"query": "attention_query", "key": "attention_key", "value": "attention_value"}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def mhcnn_fetch(state: dict[str, Tensor], prefix: str) -> Callable[[str], Tensor]:
    """Ours keeps the heads of a projection in one convolution, the reference in a list."""

    def fetch(name: str) -> Tensor:
        part, _, kind = name.removeprefix("fusion.").partition(".")
        if name.startswith("fusion."):
            return torch.cat([state[f"{prefix}{HEADS[part]}.{head}.{kind}"] for head in range(4)])
        return state[prefix + renamed(name, {**TRUNK, "classifier": "fc"})]

    return fetch


def test_mhcnn_is_the_authors(shared: Path) -> None:
    reference = read(shared, "mhcnn")
    network = Mhcnn(4, 26, 63)
    fill(network, mhcnn_fetch(reference, "state."))
    check_evaluation(network, reference, 1e-4)

    def gradient(name: str) -> Tensor:
        for ours, theirs in HEADS.items():
            if name.startswith(theirs):
                head, kind = name.removeprefix(f"{theirs}.").split(".")
                whole = getattr(getattr(network.fusion, ours), kind).grad
                return whole.chunk(4)[int(head)]
        return next(p.grad for n, p in network.named_parameters() if not n.startswith("fusion") and
                    renamed(n, {**TRUNK, "classifier": "fc"}) == name)  # fmt: skip

    check_training(network, reference, gradient, 1e-4)
    after = {k.removeprefix("buffers_after."): v for k, v in reference.items() if k.startswith("buffers_after.")}
    assert after
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, after[renamed(name, TRUNK)], rtol=1e-4, atol=1e-5)


def aacnn(**changes: object) -> AacnnNetworkSettings:
    return AacnnNetworkSettings(area=AreaSettings.model_validate(changes))


@pytest.mark.parametrize("method", ["direct", "integral"])
def test_aacnn_is_the_authors(shared: Path, method: str) -> None:
    reference = read(shared, "aacnn")
    names = {**TRUNK, "classifier": "fc"}
    network = Aacnn(4, 26, 63, aacnn(dropout=0.0, method=method))
    fill(network, lambda name: reference[f"state.{renamed(name, names)}"])
    check_evaluation(network, reference, 1e-3)
    grads = {renamed(n, names): p for n, p in network.named_parameters()}
    check_training(network, reference, lambda name: grads[name].grad, 1e-3)


APCNN_NAMES = {
    "apcnn_reference": ("class_softmax", {"head.top_down": "top_down", "head.bottom_up": "bottom_up"}),
    "attention_pooling_product": ("product", {"head.top_down": "conv6a", "head.bottom_up": "conv6b"}),
}


@pytest.mark.parametrize("name", APCNN_NAMES)
def test_attention_pooling_is_the_authors(shared: Path, name: str) -> None:
    reference = read(shared, name)
    head, head_names = APCNN_NAMES[name]
    names = {**TRUNK, **head_names}
    network = Apcnn(4, ApcnnNetworkSettings.model_validate({"head": head, "pool_stem": False}))
    fill(network, lambda ours: reference[f"state.{renamed(ours, names)}"])
    check_evaluation(network, reference, 1e-4)
    grads = {renamed(n, names): p for n, p in network.named_parameters()}
    used = {
        key: value for key, value in reference.items() if key != "grad_norm.fc.weight" and key != "grad_norm.fc.bias"
    }
    check_training(network, used, lambda ours: grads[ours].grad, 1e-4)


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (lambda: Mhcnn(4, 26, 63), 155_636),
        (lambda: Mhcnn(4, 26, 57), 155_636),
        (lambda: Mhcnn(4, 26, 63, MhcnnNetworkSettings(stem_join="height", pooling="flatten")), 340_036),
        (lambda: Mhcnn(4, 26, 63, MhcnnNetworkSettings(stem_join="height")), 155_972),
        (lambda: Mhcnn(4, 26, 63, MhcnnNetworkSettings(stem_join="height", hidden=32, pooling="rows")), 124_660),
        (lambda: Aacnn(4, 26, 63), 151_108),
        (lambda: Aacnn(4, 26, 57), 147_268),
        (lambda: Aacnn(4, 26, 63, AacnnNetworkSettings(stem_join="channels")), 121_972),
        (lambda: Aacnn(4, 26, 63, AacnnNetworkSettings(attention=False)), 151_108),
        (lambda: Apcnn(4), 93_573),
        (lambda: Apcnn(4, ApcnnNetworkSettings(head_bias=False)), 93_568),
        (lambda: Apcnn(4, ApcnnNetworkSettings(head="gap")), 93_492),
        (lambda: Apcnn(4, ApcnnNetworkSettings(head="bilinear")), 118_772),
        (lambda: OneLayerCnn(4, 10, 2), 436),
        (lambda: OneLayerCnn(4, 2, 8), 372),
    ],
)
def test_parameter_counts_are_the_published_ones(network: Callable[[], nn.Module], count: int) -> None:
    assert parameters(network()) == count


def test_trunk_maps_have_the_sizes_of_the_dimension_walk() -> None:
    sizes = {(400, 200): (49, 24), (26, 63): (3, 7)}
    for (height, width), wanted in sizes.items():
        trunk = Apcnn(4).trunk
        assert trunk(torch.randn(1, 1, height, width)).shape == (1, 80, *wanted)
        assert trunk.output_size(height, width) == wanted
    assert Aacnn(4, 26, 63).trunk(torch.randn(1, 1, 26, 63)).shape == (1, 80, 12, 15)
    assert Mhcnn(4, 26, 57).trunk(torch.randn(1, 1, 26, 57)).shape == (1, 80, 6, 14)


@pytest.fixture
def cells() -> Tensor:
    return torch.randn(3, 80, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_attention_score_is_the_bilinear_form(cells: Tensor) -> None:
    """``a_k^T X^T X b`` where the softmax is the identity and the sum is taken."""
    network = Apcnn(4, ApcnnNetworkSettings(head="product", head_bias=False)).double()
    x = cells.flatten(2).transpose(1, 2)  # (B, N, C)
    a, b = network.head.top_down.weight[:, :, 0, 0], network.head.bottom_up.weight[0, :, 0, 0]
    form = torch.einsum("kc,bnc,bnd,d->bk", a, x, x, b)
    torch.testing.assert_close(network.head(cells) * 35, form)


def test_bottom_up_map_sums_to_one_and_paper_is_the_sum(cells: Tensor) -> None:
    network = Apcnn(4).double()
    top_down, bottom_up = network.head.maps(cells)
    torch.testing.assert_close(bottom_up.sum(dim=(1, 2, 3)), torch.ones(3, dtype=torch.float64))
    mean = Apcnn(4, ApcnnNetworkSettings(head="paper_mean")).double()
    mean.load_state_dict(network.state_dict())
    torch.testing.assert_close(mean.head(cells) * 35, network.head(cells))
    torch.testing.assert_close(network.head(cells), (top_down * bottom_up).sum(dim=(2, 3)))


def test_class_softmax_scores_add_up_to_the_mean_of_the_bottom_up_map(cells: Tensor) -> None:
    head = Apcnn(4, ApcnnNetworkSettings(head="class_softmax")).double().head
    torch.testing.assert_close(head(cells).sum(dim=1), head.bottom_up(cells).mean(dim=(1, 2, 3)))


def test_bilinear_pooling_is_the_normalised_root_of_second_moments(cells: Tensor) -> None:
    from serenade.models.apcnn import BilinearPooling

    x = cells.flatten(2).transpose(1, 2)
    second = (x.transpose(1, 2) @ x).flatten(1)
    root = second.sign() * second.abs().sqrt()
    wanted = root / root.norm(dim=1, keepdim=True)
    torch.testing.assert_close(BilinearPooling()(cells), wanted, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(BilinearPooling(normalise_first=True)(cells), wanted)


@pytest.mark.parametrize("head", ["paper", "paper_mean", "product", "class_softmax", "gap", "bilinear"])
def test_silence_gives_finite_scores_and_gradients(head: str) -> None:
    network = Apcnn(4, ApcnnNetworkSettings.model_validate({"head": head}))
    for constant in (0.0, 1.0):
        network.zero_grad()
        network(torch.full((2, 1, 40, 48), constant)).sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_networks_say_which_size_they_take() -> None:
    with pytest.raises(UsageError, match=r"AACNN network.*Found: \(2, 1, 26, 57\).*Expected: \(B, 1, 26, 63\)"):
        Aacnn(4, 26, 63)(torch.zeros(2, 1, 26, 57))
    tied = Mhcnn(4, 26, 63, MhcnnNetworkSettings(pooling="flatten"))
    with pytest.raises(UsageError, match="MHCNN network"):
        tied(torch.zeros(2, 1, 26, 57))
    with pytest.raises(UsageError, match=r"too small.*at least 9 x 9"):
        Apcnn(4)(torch.zeros(2, 1, 8, 40))
    assert Apcnn(4)(torch.zeros(2, 1, 9, 9)).shape == (2, 4)


def test_matrix_attention_is_that_of_pytorch() -> None:
    from serenade.nn.head_fusion import HeadFusion

    fusion = HeadFusion(6, heads=2, hidden=4, attention="matrix").double()
    x = torch.randn(3, 6, 4, 5, dtype=torch.float64)
    q, k, v = (p(x).reshape(3, 2, 4, 20) for p in (fusion.query, fusion.key, fusion.value))
    attention = (torch.einsum("bhcn,bhcm->bhnm", q, k) / 2).softmax(dim=-1)
    heads = torch.einsum("bhnm,bhcm->bhcn", attention, v).reshape(3, 2, 4, 4, 5)
    wanted = torch.cat([heads[:, 0], heads[:, 1]], dim=2)
    torch.testing.assert_close(fusion(x), wanted)
