"""The network on upstreams: branches, fusion, aggregators and a linear classifier.

E. Morais, R. Hoory, W. Zhu, I. Gat, M. Damasceno, H. Aronowitz, "Speech Emotion Recognition using Self-Supervised
Features", ICASSP 2022, pp. 6922-6926, arXiv 2202.03896. What it is fed with and how it learns is in
`systems.upstream_downstream`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, cast

import torch
from pydantic import Field, field_validator
from torch import Generator, Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.models.upstreams import full_name
from serenade.models.upstreams.fine_tuning import FineTuned, FineTuningSettings
from serenade.models.upstreams.upstream import Frames, Upstream
from serenade.nn.aggregators import AGGREGATORS, Aggregator, BlstmPoolingSettings
from serenade.nn.ecapa import EcapaSettings
from serenade.nn.frame_fusion import RateRule, concatenate_frames, require_one_rate
from serenade.nn.layer_mix import LayerChoice, WeightedLayers, layer_mix

__all__ = ["AggregatorName", "BranchSettings", "DownstreamSettings", "UpstreamDownstreamNetwork", "lengths_name"]

AggregatorName = Literal["mean", "statistics", "attention", "blstm", "ecapa"]


def lengths_name(branch: str) -> str:
    """The input that holds the (B,) lengths of a branch's inputs."""
    return f"{branch}_lengths"


class BranchSettings(Settings):
    """One upstream and what is taken of it."""

    upstream: str = Field(
        "",
        description="folder of a checkpoint or a model, RUN/jobs/{job} for that of each fold, or such as filter-bank",
    )
    fine_tune: bool = Field(False, description="train the upstream along; else its frames are computed once and kept")
    fine_tuned: str | None = Field(
        None,
        description="model of another training whose weights this upstream takes, such as RUN/jobs/{job}/model: {job} "
        "stands for fold and seed, so that every fold takes its own",
    )
    layers: LayerChoice = Field("last", description="last, weighted (a learned sum of all), or the number of one")

    @field_validator("upstream")
    @classmethod
    def _absolute(cls, name: str) -> str:
        return full_name(name) if name else name  # a model is used from other folders later

    @field_validator("fine_tuned")
    @classmethod
    def _absolute_model(cls, folder: str | None) -> str | None:
        return None if folder is None else str(Path(folder).absolute())


class DownstreamSettings(Settings):
    """What the network is made of; the defaults are the second stage of Morais et al."""

    branches: dict[str, BranchSettings] = Field(
        {"speech": BranchSettings()}, min_length=1, description="by name; their order is that of the concatenation"
    )
    fusion: Literal["early", "late"] = Field(
        "late", description="of several branches: early: frames side by side into one aggregator; late: their vectors"
    )
    frame_rates: RateRule = Field(
        "refuse",
        description="early fusion of different rates: refuse, or resample: frames of all branches at the times of the "
        "first one's, linear between two",
    )
    projection: int | None = Field(None, ge=1, description="width of a linear layer on the frames; unset: none")
    aggregator: AggregatorName = "ecapa"
    ecapa: EcapaSettings = EcapaSettings()
    blstm: BlstmPoolingSettings = BlstmPoolingSettings()
    fine_tuning: FineTuningSettings = FineTuningSettings()

    @field_validator("branches")
    @classmethod
    def _plain_names(cls, branches: dict[str, BranchSettings]) -> dict[str, BranchSettings]:
        for name in branches:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"a branch is named by letters, digits, - and _: found {name!r}")
        return branches


class _Branch(nn.Module):
    """From the inputs of a branch to one sequence of frames."""

    def __init__(self, upstream: Upstream, settings: BranchSettings, fine_tuning: FineTuningSettings) -> None:
        super().__init__()
        self.upstream = FineTuned(upstream, fine_tuning) if settings.fine_tune else None
        self.mix = layer_mix(settings.layers, upstream.num_layers)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Stored frames (B, L, N, D), or waveforms or tokens (B, T), to (B, L, D) and (B,) valid frames."""
        if self.upstream is not None:
            frames: Frames = self.upstream(inputs, lengths)
            return self.mix(frames.layers), frames.lengths
        layers = inputs.float().unbind(dim=2)
        mixed: Tensor = self.mix(layers) if isinstance(self.mix, WeightedLayers) else layers[0]
        return mixed, lengths


class UpstreamDownstreamNetwork(nn.Module):
    """Branches, fusion, aggregators and the linear classifier.

    Args:
        num_classes: K.
        upstreams: of the branches, by name; those that are used as they are do not become part of the network.
        settings: of the system.

    Raises:
        UsageError: frames that cannot stand side by side are to be fused early, or a layer does not exist.
    """

    def __init__(self, num_classes: int, upstreams: Mapping[str, Upstream], settings: DownstreamSettings) -> None:
        super().__init__()
        self.settings = settings
        self.branches = nn.ModuleDict(
            {name: _Branch(upstreams[name], branch, settings.fine_tuning) for name, branch in settings.branches.items()}
        )
        widths = {name: upstream.dim for name, upstream in upstreams.items()}
        self.projections = nn.ModuleDict()
        if settings.projection is not None:
            self.projections = nn.ModuleDict({n: nn.Linear(d, settings.projection) for n, d in widths.items()})
            widths = dict.fromkeys(widths, settings.projection)
        self.rates = [upstream.frame_rate for upstream in upstreams.values()]
        self.early = settings.fusion == "early" and len(widths) > 1
        if self.early:
            _require_rates(upstreams, settings.frame_rates)
            widths = {"fused": sum(widths.values())}
        self.aggregators = nn.ModuleDict({name: _aggregator(width, settings) for name, width in widths.items()})
        self.embedding_dim = sum(cast(Aggregator, module).output_dim for module in self.aggregators.values())
        self.classifier = nn.Linear(self.embedding_dim, num_classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs of all branches and their lengths to (B, K) logits and (B, E) vectors."""
        found = {name: branch(inputs[name], inputs[lengths_name(name)]) for name, branch in self.branches.items()}
        frames = {
            name: (self.projections[name](each) if name in self.projections else each, lengths)
            for name, (each, lengths) in found.items()
        }
        if self.early:
            parts, lengths = zip(*frames.values(), strict=True)
            rates = [rate for rate in self.rates if rate is not None]
            frames = {"fused": concatenate_frames(parts, lengths, rates, self.settings.frame_rates)}
        vectors = [self.aggregators[name](*each) for name, each in frames.items()]
        embedding = torch.cat(vectors, dim=1)
        logits: Tensor = self.classifier(embedding)
        return logits, embedding

    def trained_upstreams(self) -> list[nn.Parameter]:
        """What moves in the upstreams."""
        return [
            parameter
            for branch in self.branches.values()
            if isinstance(branch.upstream, FineTuned)
            for parameter in branch.upstream.parameters()
            if parameter.requires_grad
        ]

    def draw_from(self, generator: Generator) -> None:
        """Masks of upstreams that are trained along come from this generator."""
        for branch in self.branches.values():
            if isinstance(branch.upstream, FineTuned):
                branch.upstream.generator = generator


def _aggregator(width: int, settings: DownstreamSettings) -> nn.Module:
    cls: Callable[..., nn.Module] = AGGREGATORS.resolve(settings.aggregator)
    sizes = {"ecapa": settings.ecapa, "blstm": settings.blstm}
    return cls(width, sizes[settings.aggregator]) if settings.aggregator in sizes else cls(width)


def _require_rates(upstreams: Mapping[str, Upstream], rule: RateRule) -> None:
    rates = []
    for name, upstream in upstreams.items():
        if upstream.frame_rate is None:
            raise UsageError(
                f"the frames of the branch {name} are not evenly spaced in time and cannot stand beside others",
                found=f"a {upstream.kind} upstream",
                hint="Use late fusion",
            )
        rates.append(upstream.frame_rate)
    if rule == "refuse":
        require_one_rate(rates)
