"""The page about augmentation says of every step what its settings say."""

import re
from pathlib import Path

import pytest

from serenade.signal.augmentation import AUGMENTATIONS
from serenade.signal.augmentation.chain import parse_chain
from serenade.signal.augmentation.drawn import Drawn
from serenade.signal.augmentation.step import StepSettings

PAGE = (Path(__file__).parents[3] / "docs" / "augmentation.md").read_text(encoding="utf-8")


def written(drawn: Drawn) -> str:
    if drawn.choices:
        return "/".join(f"{value:g}" for value in drawn.choices)
    return f"{drawn.low:g}..{drawn.high:g}".replace("-", "−")


def test_every_step_has_its_row() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| (?!\d)", PAGE, re.M)) >= set(AUGMENTATIONS)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "spec_augment"])
def test_defaults_are_those_of_the_settings(name: str) -> None:
    (settings,) = parse_chain(name)
    (row,) = re.findall(rf"^\| `{name}` \| ([^\d\n].*?) \| ", PAGE.replace(r"\|", "/"), re.M)
    told = dict(re.findall(r"`(\w+)` ([^,|]+)", row))
    fields = {
        key: getattr(settings, key) for key in type(settings).model_fields if key not in StepSettings.model_fields
    }
    assert told == {
        key: written(value) if isinstance(value, Drawn) else str(value).lower() for key, value in fields.items()
    }


def test_chains_on_the_page_are_chains() -> None:
    table = PAGE.partition("| written | means |")[2].partition("\n\n")[0]
    chains = re.findall(r"^\| `(.+?)` \|", table.replace(r"\|", "|"), re.M)
    assert len(chains) == 7
    for chain in chains:
        assert len(parse_chain(chain)) == 1
