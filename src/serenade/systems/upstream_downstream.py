"""Self-supervised upstreams and downstream networks: any upstream, any aggregator, any number of branches.

E. Morais, R. Hoory, W. Zhu, I. Gat, M. Damasceno, H. Aronowitz, "Speech Emotion Recognition using Self-Supervised
Features", ICASSP 2022, pp. 6922-6926, arXiv 2202.03896; the frozen system is that of S. Yang et al., "SUPERB: Speech
processing Universal PERformance Benchmark", Interspeech 2021, arXiv 2105.01051.

A branch is an upstream, used as it is or trained along, and a choice of its layers. Aggregators make one vector of the
frames; one linear layer makes scores of that. Branches meet as frames (early fusion, one aggregator) or as vectors
(late fusion, one aggregator each). Training is in two stages, each by itself for every fold: first the upstream with
mean pooling and a linear layer (``ssl-finetune``), then another downstream on the frames of that upstream, which is
named by the model that the fold's first stage wrote (``fine_tuned``).

Section to code:
    3.2 frames, 3.3 waveform normalisation, 3.4 padding   `models.upstreams`
    3.5 layers                                            `nn.layer_mix`
    4.1 mean and linear                                   aggregator "mean"
    4.2 what moves                                        `models.upstreams.fine_tuning`
    4.3 two rates, new-bob                                `rate_groups`, `training.schedule`
    5 averaging                                           `training.averaging`
    6.1, 6.2 aggregators                                  `nn.aggregators`, `nn.ecapa`
    7 fusion                                              `nn.frame_fusion`, `models.upstreams.downstream`
    11 SUPERB                                             preset ``ssl-superb``

Target numbers: docs/ssl.md and `serenade table ssl`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Generator, Tensor, device
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from serenade.core.errors import TrainingError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.settings import Settings
from serenade.evaluation.unlabelled_leaks import Heard
from serenade.models.upstreams.downstream import (
    BranchSettings,
    DownstreamSettings,
    UpstreamDownstreamNetwork,
    lengths_name,
)
from serenade.models.upstreams.engine_choice import quick_upstream
from serenade.models.upstreams.masked_mel import read_heard, read_pretraining
from serenade.models.upstreams.upstream import Upstream
from serenade.nn.layer_mix import layers_needed
from serenade.nn.soft_targets import class_shares, soft_cross_entropy
from serenade.signal.audio import SAMPLE_RATE, read_audio
from serenade.systems.upstreams import model_folder
from serenade.systems.upstreams.opening import OpenedUpstream, open_frozen, open_trainable
from serenade.training.batches import target_shares
from serenade.training.extraction import ExtractionProgress, extract_frames, frame_key, store_kind
from serenade.training.frame_store import FrameNumbers, FrameStore
from serenade.training.kept_frames import mark_used
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch, Example, Outputs, RateGroup

__all__ = ["UpstreamDownstreamSettings", "UpstreamDownstreamSystem"]

_FRAMES_AT_ONCE = 24_000  # of a batch when scoring, padding included: bounds the memory of long recordings
_SAMPLES_AT_ONCE = 60 * SAMPLE_RATE  # the same where an upstream is computed along
_JOB = "{job}"


class UpstreamDownstreamSettings(DownstreamSettings):
    """Settings of an upstream + downstream system; the defaults are the second stage of Morais et al."""

    short: Literal["pad", "refuse"] = Field("pad", description="sound below one frame: silence behind it, or an error")
    stored: FrameNumbers = Field("float16", description="in what frames of upstreams are kept: float16 or bfloat16")
    training: TrainingSettings = TrainingSettings(
        epochs=30,
        batch_size=32,
        micro_batch_size=16,
        learning_rate=1e-4,
        min_learning_rate=1e-6,
        weight_decay=2e-5,
        schedule="cyclic",
        criterion="wa",
        average_best=5,
    )


class UpstreamDownstreamSystem:
    """Upstreams and a downstream network as the training loop and the recogniser see them.

    Args:
        settings: of the system.
        labels: classes.

    Raises:
        UsageError: a branch has no upstream, or branches do not go together.
        CheckpointError: an upstream's folder cannot be read, see `named_upstream`.
    """

    settings_class: type[Settings] = UpstreamDownstreamSettings
    settings: UpstreamDownstreamSettings
    network: UpstreamDownstreamNetwork

    def __init__(self, settings: UpstreamDownstreamSettings, labels: LabelSet) -> None:
        self.settings, self.labels = settings, labels
        drawn = torch.get_rng_state()  # what the library draws before the weights are read is nobody's concern
        opened = {name: _upstream_of(branch, name) for name, branch in settings.branches.items()}
        torch.set_rng_state(drawn)
        self.upstreams = {name: one.upstream for name, one in opened.items()}
        self._identities = {name: one.identity for name, one in opened.items()}
        self.network = UpstreamDownstreamNetwork(len(labels), self.upstreams, settings)

    @property
    def heard(self) -> tuple[Heard, ...]:
        """What the upstreams of `serenade pretrain` have heard; no others tell.

        Raises:
            CheckpointError: the file that tells it is missing or damaged.
        """
        found = (read_heard(branch.upstream) for branch in self.settings.branches.values())
        return tuple(heard for heard in found if heard is not None)

    @property
    def protocol(self) -> None:
        """Nothing is seen besides the training part."""
        return

    @property
    def notes(self) -> tuple[str, ...]:
        """What upstreams of `serenade pretrain` learnt from that is not for commercial use."""
        told = (read_pretraining(branch.upstream) for branch in self.settings.branches.values())
        bound = {
            corpus["title"]: corpus["licence"]
            for about in told
            if about is not None
            for corpus in about["corpora"]
            if corpus["commercial_use"] is False
        }
        return tuple(
            f"Its upstream was pretrained on {title} ({licence}), so it is NOT for commercial use."
            for title, licence in bound.items()
        )

    def prepare(self, examples: Sequence[Example]) -> list[Example]:
        """The examples as they are."""
        return list(examples)

    @property
    def origins(self) -> list[Path]:
        """Models that were trained here and are upstreams, or whose weights upstreams have taken."""
        branches = self.settings.branches.values()
        taken = [Path(branch.fine_tuned) for branch in branches if branch.fine_tuned is not None]
        models = (model_folder(branch.upstream) for branch in branches)
        return [*taken, *(folder for folder in models if folder is not None)]

    # -------------------------------------------------------------------- inputs

    def to(self, where: device) -> Self:
        """The system with its upstreams and its network on a device."""
        self.network.to(where)
        for upstream in self.upstreams.values():
            upstream.to(where)
        return self

    def cache_key(self, *, training: bool) -> str:
        """What the frames depend on; training and scoring see the same."""
        parts = {
            name: "waveform" if branch.fine_tune else [self._identities[name], str(branch.layers), self.settings.stored]
            for name, branch in self.settings.branches.items()
            if self.upstreams[name].modality == "speech"
        }
        return f"upstreams|{json.dumps(parts)}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """Of each branch of speech (1, L, N, D) frames of N layers, or the (1, T) waveform where it is trained along.

        Raises:
            AudioError: a sample is not a finite number.
            TrainingError: a frame is not finite, or too large for the numbers that are kept.
            UsageError: the recording is shorter than a frame and is not to be filled up, or too long.
        """
        return {
            name: self._inputs(name, self._prepared(waveform, upstream))
            for name, upstream in self.upstreams.items()
            if upstream.modality == "speech"
        }

    @property
    def reads_words(self) -> bool:
        """Whether a branch is of text."""
        return any(upstream.modality == "text" for upstream in self.upstreams.values())

    def extract_text(self, text: str) -> dict[str, Tensor]:
        """Of each branch of text (1, L, N, D) frames of N layers, or (1, T) tokens where it is trained along.

        Raises:
            UsageError: there is no word in it.
        """
        return {
            name: self._inputs(name, upstream.prepare_text(text))
            for name, upstream in self.upstreams.items()
            if upstream.modality == "text"
        }

    @property
    def most_samples(self) -> int | None:
        """The longest sound at 16 kHz that all branches take; None where there is no limit."""
        heard = [upstream for upstream in self.upstreams.values() if upstream.modality == "speech"]
        limits = [u.most_samples * SAMPLE_RATE // u.sample_rate for u in heard if u.most_samples is not None]
        return min(limits, default=None)

    @property
    def keeps_inputs(self) -> bool:
        """Whether frames of an upstream are kept."""
        return not all(branch.fine_tune for branch in self.settings.branches.values())

    def gather(
        self, utterances: Sequence[Utterance], progress: Callable[[int], None] | None = None
    ) -> list[dict[str, Tensor]]:
        """Inputs of every branch for every utterance: kept frames are mapped from disk, and computed where missing.

        Raises:
            AudioError: a recording cannot be read.
            StorageError: frames cannot be kept.
            UsageError: a branch reads transcripts, and utterances have none; or a recording is too short or too long.
        """
        found: list[dict[str, Tensor]] = [{} for _ in utterances]
        for place, name in enumerate(self.settings.branches):
            told = None if progress is None else partial(_tell, progress, place, len(self.upstreams), len(utterances))
            for inputs, one in zip(found, self._gathered(name, utterances, told), strict=True):
                inputs[name] = one
        if progress is not None:
            progress(len(utterances))
        return found

    def _gathered(
        self, name: str, utterances: Sequence[Utterance], progress: ExtractionProgress | None
    ) -> Iterator[Tensor]:
        """The inputs of one branch."""
        upstream = self.upstreams[name]
        if upstream.modality == "text":
            _require_text(name, utterances)
        if self.settings.branches[name].fine_tune:
            yield from (self._inputs(name, self._read(upstream, utterance)) for utterance in utterances)
            return
        where = _device_of(upstream)
        quick, engine = quick_upstream(upstream, where)  # float32, unless the user had engines measured
        kind = store_kind(quick, self._layers(name), engine=engine, numbers=self.settings.stored)
        store = FrameStore.at_home(kind)
        extract_frames(quick, utterances, store, device=where, progress=progress)
        mark_used(store.folder)
        for utterance in utterances:
            key = frame_key(utterance, upstream.modality)
            if key in store:
                yield store[str(key)].transpose(0, 1)[None]
            else:  # too short for a frame
                yield self._inputs(name, self._read(upstream, utterance))

    def _read(self, upstream: Upstream, utterance: Utterance) -> Tensor:
        """What goes into the upstream of an utterance."""
        try:
            if upstream.modality == "text":
                return upstream.prepare_text(utterance.text or "")
            waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
            return self._prepared(waveform, upstream)
        except UsageError as error:
            raise UsageError(str(error), where=f"utterance {utterance.id}") from error

    def _prepared(self, waveform: Tensor, upstream: Upstream) -> Tensor:
        missing = upstream.least_samples - len(waveform)
        if missing > 0 and self.settings.short == "pad":
            waveform = functional.pad(waveform, (0, missing))
        return upstream.prepare(waveform, SAMPLE_RATE)

    def _layers(self, name: str) -> list[int]:
        """The numbers of the layers that are kept."""
        return layers_needed(self.settings.branches[name].layers, self.upstreams[name].num_layers)

    def _inputs(self, name: str, prepared: Tensor) -> Tensor:
        """Prepared samples or tokens as the network wants them: themselves, or their frames (1, L, N, D)."""
        upstream = self.upstreams[name]
        if self.settings.branches[name].fine_tune:
            return prepared[None]
        where = _device_of(upstream)
        with torch.inference_mode(not prepared.requires_grad):
            layers = upstream(prepared[None].to(where), torch.tensor([len(prepared)], device=where)).layers
            frames = torch.stack([layers[place] for place in self._layers(name)], dim=2)
            kept = frames.to(getattr(torch, self.settings.stored))
        if not bool(kept.isfinite().all()):
            raise TrainingError(
                f"frames of the {upstream.kind} upstream are not finite, or too large for {self.settings.stored}",
                hint="Set stored = bfloat16; if that does not help, check the upstream",
            )
        return kept

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Nothing is fitted: upstreams bring their own normalisation."""

    # -------------------------------------------------------------------- batches

    def training_items(self, examples: Sequence[Example], generator: Generator) -> Sequence[Example]:
        """Every example once; long waveforms are cut at random where their upstream is trained along."""
        longest = round(self.settings.fine_tuning.longest_s * SAMPLE_RATE)
        cropped = [
            name
            for name, branch in self.settings.branches.items()
            if branch.fine_tune and self.upstreams[name].modality == "speech"
        ]
        return [_cropped(example, cropped, longest, generator) for example in examples] if cropped else examples

    def collate(self, items: Sequence[Example]) -> Batch:
        """Inputs of every branch filled up to the longest, with their lengths.

        Raises:
            UsageError: a branch that reads transcripts has none.
        """
        inputs: dict[str, Tensor] = {}
        for name in self.settings.branches:
            _require_inputs(items, name)
            each = [item.inputs[name][0] for item in items]
            inputs[name] = pad_sequence(each, batch_first=True)
            inputs[lengths_name(name)] = torch.tensor([len(one) for one in each])
        voted = self.settings.training.targets == "votes"
        return Batch(
            inputs=inputs,
            lengths=torch.ones(len(items), dtype=torch.int64),
            targets=torch.tensor([-1 if item.target is None else item.target for item in items]),
            ids=tuple(item.utterance.id for item in items),
            shares=torch.stack([target_shares(item, self.labels) for item in items]) if voted else None,
        )

    # -------------------------------------------------------------------- learning and predicting

    def rate_groups(self) -> list[RateGroup]:
        """Upstreams at their own rate, all else at the loop's."""
        upstreams = self.network.trained_upstreams()
        known = {id(parameter) for parameter in upstreams}
        others = [p for p in self.network.parameters() if p.requires_grad and id(p) not in known]
        factor = self.settings.fine_tuning.learning_rate / self.settings.training.learning_rate
        return [RateGroup(upstreams, factor), RateGroup(others, 1.0)]

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Cross-entropy, all classes alike."""
        self.network.draw_from(generator)
        logits, _ = self.network(batch.inputs)
        own = class_shares(batch.targets, len(self.labels)) if batch.shares is None else batch.shares
        return {"emotion": soft_cross_entropy(logits, own, torch.ones_like(own[0]))}

    def predict(self, batch: Batch) -> Outputs:
        """Softmax of the scores; utterances of like length go through the network together."""
        self.network.eval()
        found = [(rows, *self.network(_rows(batch.inputs, rows))) for rows in self._groups(batch.inputs)]
        order = torch.cat([rows for rows, _, _ in found]).argsort()
        logits = torch.cat([logits for _, logits, _ in found])[order].float()
        embeddings = torch.cat([embeddings for _, _, embeddings in found])[order].float()
        return Outputs(logits.softmax(dim=1), embeddings, logits.log_softmax(dim=1))

    def _groups(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Rows of a batch in groups that memory holds, by length."""
        shares = [inputs[lengths_name(name)] / self._bound(name) for name in self.settings.branches]
        costs = torch.stack(shares).amax(dim=0)
        groups: list[list[int]] = [[]]
        for cost, row in sorted((cost, row) for row, cost in enumerate(costs.tolist())):
            if groups[-1] and cost * (len(groups[-1]) + 1) > 1:  # the longest of a group is its last
                groups.append([])
            groups[-1].append(row)
        return [torch.tensor(group, device=costs.device) for group in groups]

    def _bound(self, name: str) -> int:
        along = self.settings.branches[name].fine_tune and self.upstreams[name].modality == "speech"
        return _SAMPLES_AT_ONCE if along else _FRAMES_AT_ONCE


def _device_of(upstream: Upstream) -> device:
    return next((tensor.device for tensor in upstream.state_dict().values()), torch.device("cpu"))


def _tell(progress: Callable[[int], None], place: int, branches: int, count: int, done: float, whole: float) -> None:
    """Say how many utterances are done when so much of one of several branches is."""
    progress(int(count * (place + done / whole) / branches) if whole else 0)


def _require_text(name: str, utterances: Sequence[Utterance]) -> None:
    silent = [u.id for u in utterances if not (u.text or "").strip()]
    if silent:
        raise UsageError(
            f"the branch {name} reads transcripts, and utterances have none",
            where=f"utterance {silent[0]}",
            found=f"{len(silent)} of {len(utterances)} without words",
            hint="Leave them out with --where transcript=yes, or take a system without text",
        )


def _cropped(example: Example, names: Sequence[str], longest: int, generator: Generator) -> Example:
    inputs = dict(example.inputs)
    for name in names:
        spare = inputs[name].shape[1] - longest
        if spare > 0:
            start = int(torch.randint(spare + 1, (), generator=generator))
            inputs[name] = inputs[name][:, start : start + longest]
    return Example(example.utterance, inputs, example.target)


def _require_inputs(items: Sequence[Example], name: str) -> None:
    lacking = [item for item in items if name not in item.inputs]
    if lacking:
        raise UsageError(
            f"the branch {name} reads transcripts, and there are no words beside the sound",
            where=lacking[0].utterance.id or None,
            hint="serenade predict takes words: NAME.txt beside NAME.wav, --transcripts TABLE or --asr module:function",
        )


def _rows(inputs: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Some utterances of a batch, filled up to the longest of them."""
    taken = {name: tensor[rows] for name, tensor in inputs.items()}
    for name in [name for name in taken if lengths_name(name) in taken]:
        taken[name] = taken[name][:, : int(taken[lengths_name(name)].max())]
    return taken


def _upstream_of(branch: BranchSettings, name: str) -> OpenedUpstream:
    if not branch.upstream:
        raise UsageError(
            f"no upstream is given for the branch {name}",
            hint=f"Add --set branches.{name}.upstream=FOLDER; see docs/upstreams.md",
        )
    resolved = branch.fine_tuned if branch.fine_tuned is not None and _JOB not in branch.fine_tuned else None
    upstream = _of_any_job(branch.upstream)
    if branch.fine_tune:
        return OpenedUpstream(open_trainable(upstream, resolved), "")
    return open_frozen(upstream, resolved)


def _of_any_job(upstream: str) -> str:
    """The upstream; before the jobs begin any job's stands for that of each, as they are alike but for weights."""
    if _JOB not in upstream:
        return upstream
    jobs, _, model = upstream.partition(_JOB)
    return next(map(str, sorted(Path(jobs).glob(f"*{model}"))), upstream)
