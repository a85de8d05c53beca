"""Maps of what in the features a network's answer rests on, segment by segment.

* ``attention``: what the network itself attends to (`nn.attention_maps`); exact, but only where there is attention.
* ``integrated-gradients``: M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017. What
  each value of the features adds to the score, against the average frame; all together they are the difference of the
  two scores.
* ``gradcam``: R. R. Selvaraju et al., "Grad-CAM", ICCV 2017. Which of the last cells raise the score.
* ``occlusion``: M. D. Zeiler, R. Fergus, ECCV 2014. How far the score falls when a patch becomes the average frame.

The last three are Captum's (extra `explain`). Scores are logits of one class.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from serenade.core.errors import MissingExtraError, UsageError
from serenade.core.explanations import MapScale
from serenade.nn.attention_maps import AttentionMap, AttentiveNetwork, CellNetwork, over_input
from serenade.training.segment_system import SegmentNetwork

__all__ = ["SegmentMaps", "Segments", "attention", "gradcam", "integrated_gradients", "occlusion"]

_AT_ONCE = 8  # segments
_STEPS = 32  # of the path; the sums of the shipped GLAM are then within 0.03 of differences of scores up to 4
_PATCHES = (8, 12)  # rows and columns of patches that cover a segment
_BRANCHES = ("filters along features", "filters along time")


@dataclass(frozen=True, slots=True)
class Segments:
    """What is explained.

    Args:
        network: normaliser and body, in evaluation mode.
        features: (N, F, L) of consecutive segments.
        target: index of the class.
        baseline: (F, 1) the frame that stands for nothing in particular.
        done: told how many segments are finished, as they are.
    """

    network: SegmentNetwork
    features: Tensor
    target: int
    baseline: Tensor
    done: Callable[[int], None]

    def parts(self) -> Iterator[Tensor]:
        """Some segments at a time."""
        for part in torch.split(self.features, _AT_ONCE):
            yield part
            self.done(len(part))

    def baselines(self, part: Tensor) -> Tensor:
        """The baseline as features of the same shape."""
        return self.baseline.expand_as(part).contiguous()


@dataclass(frozen=True, slots=True)
class SegmentMaps:
    """One kind of map for all segments.

    Args:
        name: short, fit for a file's name.
        title: what it shows.
        meaning: what a number of it says.
        values: (N, F, L).
        scale: how the numbers are read.
        of_class: whether it is of the target, and not the same for every class.
    """

    name: str
    title: str
    meaning: str
    values: Tensor
    scale: MapScale
    of_class: bool = True


def attention(segments: Segments) -> list[SegmentMaps]:
    """What the network attends to, spread over the features; of maps per class that of the target."""
    body = segments.network.body
    if not isinstance(body, AttentiveNetwork):
        return []
    found: dict[str, list[Tensor]] = {}
    kinds: dict[str, AttentionMap] = {}
    height, width = segments.features.shape[1:]
    for part in segments.parts():
        with torch.inference_mode():
            maps = body.attention_maps(segments.network.normaliser(part).unsqueeze(1))
        for name, shown in maps.items():
            of = shown.values[:, segments.target, None] if shown.groups == "class" else shown.values
            found.setdefault(name, []).append(over_input(of, height, width, shown.stacked).cpu())
            kinds[name] = shown
    return [each for name, parts in found.items() for each in _panels(name, kinds[name], torch.cat(parts))]


def _panels(name: str, kind: AttentionMap, values: Tensor) -> Iterator[SegmentMaps]:
    """A map of (N, G, S, F, L) values for each group and each pass through the feature axis."""
    groups, stacked = values.shape[1:3]
    for group in range(groups):
        for branch in range(stacked):
            title, short = kind.title, name
            if kind.groups == "head":
                title, short = f"{title}, head {group + 1} of {groups}", f"{short}-head{group + 1}"
            if stacked == len(_BRANCHES):
                title, short = f"{title}, {_BRANCHES[branch]}", f"{short}-{('features', 'time')[branch]}"
            of_class = kind.groups == "class"
            yield SegmentMaps(short, title, kind.meaning, values[:, group, branch], kind.scale, of_class)


def integrated_gradients(segments: Segments) -> list[SegmentMaps]:
    """What each value adds to the score of the target.

    Raises:
        MissingExtraError: Captum is not installed.
    """
    method = _captum("IntegratedGradients")(segments.network)
    values = [
        method.attribute(
            part, baselines=segments.baselines(part), target=segments.target, n_steps=_STEPS, internal_batch_size=16
        )
        for part in segments.parts()
    ]
    meaning = "What a value adds to the score of the class, against the average frame; the sum is the difference."
    return [_one("integrated-gradients", "integrated gradients", meaning, values, "signed")]


def occlusion(segments: Segments) -> list[SegmentMaps]:
    """How far the score of the target falls without a patch.

    Raises:
        MissingExtraError: Captum is not installed.
    """
    method = _captum("Occlusion")(segments.network)
    height, width = segments.features.shape[1:]
    patch = (-(-height // _PATCHES[0]), -(-width // _PATCHES[1]))
    values = []
    for part in segments.parts():
        with torch.no_grad():
            values.append(
                method.attribute(
                    part,
                    baselines=segments.baselines(part),
                    target=segments.target,
                    sliding_window_shapes=patch,
                    strides=patch,
                )
            )
    meaning = "How far the score of the class falls when the patch becomes the average frame."
    return [_one("occlusion", "occlusion", meaning, values, "signed")]


def gradcam(segments: Segments) -> list[SegmentMaps]:
    """Which cells of the last map raise the score of the target.

    Raises:
        MissingExtraError: Captum is not installed.
        UsageError: the network has no last map.
    """
    body = segments.network.body
    if not isinstance(body, CellNetwork):
        raise UsageError(
            "the network has no map of cells that Grad-CAM could be taken from", hint="Use integrated-gradients"
        )
    halves = _Halves(body)
    method = _captum("LayerGradCam")(halves, halves.cells)
    height, width = segments.features.shape[1:]
    values = []
    for part in segments.parts():
        inputs = segments.network.normaliser(part).unsqueeze(1).requires_grad_()
        cells = method.attribute(inputs, target=segments.target, relu_attributions=True).detach()
        values.append(over_input(cells, height, width, body.stacked)[:, 0].mean(dim=1))
    meaning = "How much a cell of the last convolution raises the score of the class."
    return [_one("gradcam", "Grad-CAM", meaning, values, "share")]


class _Cells(nn.Module):
    def __init__(self, body: CellNetwork) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body.cells(x)


class _Halves(nn.Module):
    """A network as two modules, of which Captum can watch the first."""

    def __init__(self, body: CellNetwork) -> None:
        super().__init__()
        self.cells = _Cells(body)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells.body.scores_of_cells(self.cells(x))


def _one(name: str, title: str, meaning: str, values: list[Tensor], scale: MapScale) -> SegmentMaps:
    return SegmentMaps(name, title, meaning, torch.cat(values).detach().float().cpu(), scale)


def _captum(name: str) -> Callable[..., Any]:
    try:
        from captum import attr
    except ImportError as error:
        raise MissingExtraError("captum", extra="explain", purpose="Attribution by gradients and occlusion") from error
    return cast(Callable[..., Any], getattr(attr, name))
