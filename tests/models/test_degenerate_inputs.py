"""Every network of the CNN family, trained on and asked for sound that has nothing in it: no NaN, no infinity."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.models.aacnn import Aacnn, AacnnNetworkSettings
from serenade.models.apcnn import Apcnn, ApcnnNetworkSettings, OneLayerCnn
from serenade.models.glam import Glam, GlamNetworkSettings
from serenade.models.mhcnn import Mhcnn, MhcnnNetworkSettings

CLASSES, HEIGHT, WIDTH = 4, 26, 57


def every(name: str, settings: type[Any], **choices: tuple[Any, ...]) -> list[Any]:
    """All combinations of choices as test parameters."""
    made = []
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        title = "-".join([name, *(str(v) for v in values)])
        made.append(pytest.param(lambda c=chosen: settings.model_validate(c), id=title))
    return made


GLAM = [
    *every("glam", GlamNetworkSettings, fusion=("global_aware", "attentive", "heads", "area", "none")),
    *every("glam", GlamNetworkSettings, stem=("mixed", "gated"), gate=("tanh", "identity")),
    *every("glam", GlamNetworkSettings, block=("no_shortcut", "single_3", "single_5")),
]
MHCNN = every(
    "mhcnn", MhcnnNetworkSettings, attention=("channel", "matrix"), pooling=("mean", "flatten", "rows"),
    stem_join=("channels", "height"),
)  # fmt: skip
AREAS = [
    {"layout": layout, "key": key, "value": value, "method": method}
    for layout in ("flat", "grid", "rows")
    for key, value, method in (("mean", "sum", "direct"), ("max", "max", "direct"), ("sample", "mean", "direct"),
                               ("mean", "sum", "integral"))
]  # fmt: skip
AACNN = every("aacnn", AacnnNetworkSettings, area=tuple(AREAS), attention=(True,))
APCNN = every(
    "apcnn", ApcnnNetworkSettings, head=("paper", "paper_mean", "product", "class_softmax", "gap", "bilinear"),
    pool_stem=(True, False), normalise_first=(False, True),
)  # fmt: skip
NETWORKS = [
    *(pytest.param(lambda m=p.values[0]: Glam(CLASSES, HEIGHT, WIDTH, m()), id=p.id) for p in GLAM),
    *(pytest.param(lambda m=p.values[0]: Mhcnn(CLASSES, HEIGHT, WIDTH, m()), id=p.id) for p in MHCNN),
    *(pytest.param(lambda m=p.values[0]: Aacnn(CLASSES, HEIGHT, WIDTH, m()), id=p.id) for p in AACNN),
    *(pytest.param(lambda m=p.values[0]: Apcnn(CLASSES, m()), id=p.id) for p in APCNN),
    pytest.param(lambda: OneLayerCnn(CLASSES, 10, 2), id="one-layer"),
]


def nothing_in_it(generator: torch.Generator) -> dict[str, Tensor]:
    """Batches (2, 1, F, L) of sound without content, by what they are."""
    shape = (2, 1, HEIGHT, WIDTH)
    noise = torch.randn(shape, generator=generator)
    click = torch.zeros(shape)
    click[..., 3, 7] = 1.0
    half = noise.clone()
    half[0] = 0.0
    return {
        "silence": torch.zeros(shape),
        "constant": torch.full(shape, -80.0),
        "one column": noise[..., :1].expand(shape).clone(),
        "one row": noise[..., :1, :].expand(shape).clone(),
        "click": click,
        "faint": 1e-30 * noise,
        "below normal numbers": 1e-40 * noise,
        "loud": 1e4 * noise,
        "one of two silent": half,
    }


@pytest.mark.parametrize("make", NETWORKS)
def test_training_and_scores_stay_finite(make: Any) -> None:
    torch.manual_seed(0)
    network: nn.Module = make()
    batches = nothing_in_it(torch.Generator().manual_seed(1))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for name, x in batches.items():
        optimiser.zero_grad()
        loss = functional.cross_entropy(network.train()(x), torch.tensor([0, 3]))
        loss.backward()
        bad = [key for key, p in network.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        assert torch.isfinite(loss), name
        assert not bad, name
        optimiser.step()
    with torch.no_grad():
        for name, x in batches.items():
            assert torch.isfinite(network.eval()(x)).all(), name
