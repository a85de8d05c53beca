"""The one-layer system: the network of the filter-shape study on the paper's spectrogram."""

import pytest

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.systems import make_system, system_settings

FOUR = LabelSet(("angry", "happy", "neutral", "sad"))


@pytest.mark.parametrize(("height", "width", "parameters"), [(10, 2, 436), (2, 8, 372)])
def test_parameters_are_those_of_the_paper(height: int, width: int, parameters: int) -> None:
    changes = {"network": {"filter_height": height, "filter_width": width}}
    system = make_system("one_layer", system_settings("one-layer", changes).model_dump(), FOUR)
    assert sum(parameter.numel() for parameter in system.network.parameters()) == parameters


def test_it_shares_everything_but_the_network_with_attention_pooling() -> None:
    one, other = (system_settings(preset, {}).model_dump() for preset in ("one-layer", "attention-pooling"))
    assert one | {"network": None} == other | {"network": None}


@pytest.mark.parametrize("shape", [{"filter_height": 401}, {"filter_width": 201}])
def test_a_filter_larger_than_the_spectrogram_is_refused(shape: dict[str, int]) -> None:
    settings = system_settings("one-layer", {"network": shape})
    with pytest.raises(UsageError, match="at most 400 x 200"):
        make_system("one_layer", settings.model_dump(), FOUR)
