"""Which engine computes frames on this machine: the quickest that was measured, kept in the user's cache folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from serenade.core.files import cache_folder, write_json
from serenade.models.upstreams.engines import EngineName, engines_for, with_engine
from serenade.models.upstreams.upstream import Upstream

__all__ = ["MOST_DEVIATION", "EngineSpeed", "choose_engine", "chosen_engine", "keep_speeds", "quick_upstream"]

MOST_DEVIATION = 0.05
"""An engine whose frames differ more from those of float32 (relative norm) is not chosen, however quick."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """What was measured of an engine.

    Args:
        engine: its name.
        speed: seconds of sound per second.
        deviation: norm of the difference to the frames of float32 by their norm, last layer.
    """

    engine: EngineName
    speed: float
    deviation: float


def choose_engine(measured: Sequence[EngineSpeed]) -> EngineName:
    """The quickest engine whose frames are near those of float32."""
    near = [one for one in measured if one.deviation <= MOST_DEVIATION]
    return max(near, key=lambda one: one.speed).engine if near else "float32"


def keep_speeds(upstream: Upstream, device: torch.device, measured: Sequence[EngineSpeed]) -> EngineName:
    """Keep what was measured for upstreams of this size, device and number of threads; return what is chosen.

    Raises:
        StorageError: the cache folder cannot be written.
    """
    kept = _read()
    chosen = choose_engine(measured)
    kept[_case(upstream, device)] = {"chosen": chosen, "measured": [asdict(one) for one in measured]}
    write_json(cache_folder() / "engines.json", {"format": _FORMAT, "cases": kept})
    return chosen


def chosen_engine(upstream: Upstream, device: torch.device) -> EngineName | None:
    """The engine that was chosen for upstreams of this size on this device; None if none was measured."""
    case = _read().get(_case(upstream, device), {})
    found = case.get("chosen")
    return next((engine for engine in engines_for(upstream) if engine == found), None)


def quick_upstream(upstream: Upstream, device: torch.device) -> tuple[Upstream, EngineName]:
    """The upstream behind the engine that was chosen for it, and which that is; float32 if none was measured.

    Raises:
        UsageError: the engine cannot compute this upstream any more.
        StorageError: the exported file cannot be kept.
    """
    engine = chosen_engine(upstream, device)
    if engine is None:
        return upstream, "float32"
    return with_engine(upstream, engine), engine


def _case(upstream: Upstream, device: torch.device) -> str:
    where = f"{torch.get_num_threads()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    parameters = sum(parameter.numel() for parameter in upstream.parameters())
    return f"{upstream.kind}, {parameters} parameters, {upstream.num_layers} layers, {where}"


def _read() -> dict[str, Any]:
    """What is kept; nothing where there is no file or it cannot be read, as it can be measured again."""
    try:
        found = json.loads((cache_folder() / "engines.json").read_text(encoding="utf-8"))
        return dict(found["cases"]) if found["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
