"""The quick networks against plain graphs of their equations, in double precision: logits, gradients, statistics."""

import copy
from collections.abc import Callable

import pytest
import torch
from tests.models.plain_rivals import plain_logits
from torch import nn
from torch.nn import functional

from serenade.models.aacnn import Aacnn, AacnnNetworkSettings, AreaSettings
from serenade.models.apcnn import Apcnn, ApcnnNetworkSettings, OneLayerCnn
from serenade.models.mhcnn import Mhcnn

SIZE = (29, 45)
NO_DROPOUT = AreaSettings(dropout=0)


def apcnn(**changes: object) -> Callable[[], nn.Module]:
    return lambda: Apcnn(3, ApcnnNetworkSettings.model_validate(changes))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mhcnn": lambda: Mhcnn(3, *SIZE),
    "aacnn": lambda: Aacnn(3, *SIZE, AacnnNetworkSettings(area=NO_DROPOUT)),
    "aacnn 8+8": lambda: Aacnn(3, *SIZE, AacnnNetworkSettings(area=NO_DROPOUT, stem_join="channels")),
    "apcnn": apcnn(),
    "apcnn of the re-implementation": apcnn(head="class_softmax", pool_stem=False),
    "apcnn product": apcnn(head="product"),
    "apcnn mean": apcnn(head="paper_mean"),
    "gap": apcnn(head="gap"),
    "one layer": lambda: OneLayerCnn(3, 10, 2),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("way", ["evaluation", "training", "training, channels last"])
def test_network_is_its_plain_graph(name: str, way: str) -> None:
    torch.manual_seed(0)
    training = way != "evaluation"
    network = NETWORKS[name]().double()
    if way.endswith("channels last"):
        network.to(memory_format=torch.channels_last)
    x, targets = torch.randn(9, 1, *SIZE, dtype=torch.float64), torch.randint(3, (9,))
    network(x)  # moves the running statistics away from where they start
    plain = copy.deepcopy(network)
    ours, theirs = network.train(training)(x), plain_logits(plain.train(training), x)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    for logits in (ours, theirs):
        functional.cross_entropy(logits, targets).backward()
    for (key, one), other in zip(network.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            one.grad, other.grad, rtol=1e-7, atol=1e-10, msg=lambda text, key=key: f"{key}: {text}"
        )
    for (key, one), other in zip(network.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12, msg=lambda text, key=key: f"{key}: {text}")
