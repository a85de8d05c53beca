"""What a self-pretrained upstream adds over log-mel where labels are few (docs/pretraining.md).

    python benchmarks/pretraining.py UPSTREAM --choose ravdess=PATH --test emodb=PATH emotiontts-ko=PATH --out FOLDER

Every utterance becomes one vector, the mean or the mean and deviation over its frames; a logistic regression (classes
weighted alike, vectors standardised on the training part) is trained on few labels and tested on a speaker that is in
no training part. Three kinds of frames are compared: log-mel as the upstream takes it in, the upstream, and the same
network with drawn weights. Few labels are either all utterances of N drawn speakers, or K drawn utterances per class of
all speakers but the tested one; the draws are the same for all kinds, so that differences are paired.

Layer, pooling and penalty of each kind are chosen on a third of the speakers of `--choose`, who are not tested. The
first table needs no choice: mean over frames, last layer, penalty 1. Intervals are over tested speakers. It is refused
to test a speaker or recording that the upstream has heard.

Last results (2026-11-21): in docs/pretraining.md. Vectors of 79 minutes took 71 s of processor time.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from serenade.core.records import Fold, Split, Utterance
from serenade.core.seeding import derive_seed
from serenade.evaluation.intervals import Interval, Statistic, cluster_bootstrap, cluster_metric
from serenade.evaluation.metrics import confusion, ua
from serenade.evaluation.unlabelled_leaks import check_heard
from serenade.experiments.data import read_corpora
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.models.upstreams.checkpoint import open_upstream
from serenade.models.upstreams.masked_mel import MaskedMelUpstream, read_heard
from serenade.nn.masking import masked_statistics
from serenade.signal.audio import SAMPLE_RATE, read_audio

SPEAKERS = (1, 2, 4, 8)
SHOTS = (1, 2, 4, 8, 16)
PENALTIES = (0.001, 0.01, 0.1)  # scikit-learn's C: the larger, the less is penalised
POOLINGS = ("mean", "statistics")
CHOOSING_DRAWS = 1
CHOOSING_EVERY = 3  # every third speaker is enough to choose on
TESTED_AT_ONCE = 2  # speakers, where choices are made
LABELS = {
    "emodb": ("angry", "bored", "fearful", "happy", "neutral", "sad")
}  # of disgust few whole recordings are there

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Way:
    """How an utterance becomes a vector, and the penalty of the classifier."""

    kind: str
    layer: int
    pooling: str
    penalty: float = 1.0

    def __str__(self) -> str:
        layer = "" if self.kind == "log-mel" else f", layer {self.layer}"
        return f"{self.kind}{layer}, {self.pooling}, C = {self.penalty:g}"


@dataclass(frozen=True)
class Data:
    """A corpus as vectors: name "KIND LAYER" to (N, 2 D), means and deviations."""

    utterances: Sequence[Utterance]
    vectors: dict[str, Vectors]

    def of(self, way: Way) -> Vectors:
        found = self.vectors[f"{way.kind} {way.layer}"]
        return found[:, : found.shape[1] // 2] if way.pooling == "mean" else found


# ------------------------------------------------------------------------------------------------ vectors


def read(given: str) -> Sequence[Utterance]:
    name, _, root = given.partition("=")
    corpora = (CorpusSettings(name=name, root=Path(root)),)
    return read_corpora(ExperimentSettings(corpora=corpora, labels=LABELS.get(name))).utterances


def untrained(upstream: MaskedMelUpstream) -> MaskedMelUpstream:
    """The same network with drawn weights; only mean and deviation of the bands are those of the upstream."""
    torch.manual_seed(0)
    network = MaskedMelUpstream(upstream.settings).eval()
    network.encoder.mean.copy_(upstream.encoder.mean)
    network.encoder.deviation.copy_(upstream.encoder.deviation)
    return network


def vectors_of(utterance: Utterance, networks: dict[str, MaskedMelUpstream]) -> dict[str, Vectors]:
    waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
    lengths = torch.tensor([len(waveform)])
    found = {}
    with torch.inference_mode():
        for name, network in networks.items():
            frames = network(network.prepare(waveform, SAMPLE_RATE)[None], lengths)
            for place, layer in enumerate(frames.layers):
                found[f"{name} {place}"] = masked_statistics(layer, frames.lengths)[0].numpy()
        pairs = networks["upstream"].mels(waveform[None])  # (1, L, 2 F)
        mels = pairs.reshape(1, 2 * pairs.shape[1], -1)
        found["log-mel 0"] = masked_statistics(mels, torch.tensor([mels.shape[1]]))[0].numpy()
    return found


def load(given: str, networks: dict[str, MaskedMelUpstream], out: Path, *, every: int = 1) -> Data:
    """Vectors of a corpus, or of every so manieth of its speakers, kept in a file."""
    utterances = read(given)
    speakers = set(sorted({u.speaker for u in utterances})[::every])
    utterances = [u for u in utterances if u.speaker in speakers]
    path = out / f"{given.partition('=')[0]}-{networks['upstream'].identity()}.npz"
    if not path.exists():
        began = time.process_time()
        rows = [vectors_of(utterance, networks) for utterance in utterances]
        minutes = sum(u.duration_s or 0.0 for u in utterances) / 60
        print(f"{given}: {minutes:.1f} min in {time.process_time() - began:.0f} s of processor time", file=sys.stderr)
        np.savez(path, **{name: np.stack([row[name] for row in rows]) for name in rows[0]})
    with np.load(path) as stored:
        return Data(utterances, dict(stored))


# ------------------------------------------------------------------------------------------------ training and tests


@dataclass(frozen=True)
class Trial:
    """What is trained on and what is tested: places in the corpus."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def trials(utterances: Sequence[Utterance], tested: Sequence[str], amount: tuple[str, int], draw: int) -> Trial | None:
    """One draw of few labels; None where there are not so many speakers."""
    unit, count = amount
    generator = np.random.default_rng(derive_seed(draw, unit, count, *tested))
    others = sorted({u.speaker for u in utterances} - set(tested))
    test = np.array([place for place, u in enumerate(utterances) if u.speaker in tested])
    if unit == "speakers":
        if len(others) < count:
            return None
        drawn = set(generator.permutation(others)[:count])
        train = [place for place, u in enumerate(utterances) if u.speaker in drawn]
    else:
        train = []
        for label in sorted({str(u.emotion) for u in utterances}):
            there = [place for place, u in enumerate(utterances) if u.speaker in others and u.emotion == label]
            train += list(generator.permutation(there)[:count])
    return Trial(np.array(sorted(train)), test)


def counts_of(data: Data, way: Way, trial: Trial) -> NDArray[np.float64]:
    """(K, K) confusion counts of a trial."""
    names = sorted({str(u.emotion) for u in data.utterances})
    truth = np.array([names.index(str(u.emotion)) for u in data.utterances])
    vectors = data.of(way)
    model = LogisticRegression(C=way.penalty, max_iter=1000, class_weight="balanced")
    classifier = make_pipeline(StandardScaler(), model)
    classifier.fit(vectors[trial.train], truth[trial.train])
    return confusion(truth[trial.test], classifier.predict(vectors[trial.test]), len(names))


def ways(kind: str, layers: int) -> Iterator[Way]:
    for layer, pooling, penalty in product(range(layers), POOLINGS, PENALTIES):
        yield Way(kind, layer, pooling, penalty)


def choose(data: Data, layers: dict[str, int]) -> dict[str, Way]:
    """Of each kind the way with the highest mean UA on the corpus for choosing."""
    speakers = sorted({u.speaker for u in data.utterances})
    groups = [speakers[place : place + TESTED_AT_ONCE] for place in range(0, len(speakers), TESTED_AT_ONCE)]
    amounts = [("speakers", 1), ("speakers", 4), ("shots", 2), ("shots", 8)]
    chosen = {}
    for kind, count in layers.items():
        scores = {}
        for way in ways(kind, count):
            found = [
                float(ua(counts_of(data, way, trial)))
                for group, amount, draw in product(groups, amounts, range(CHOOSING_DRAWS))
                if (trial := trials(data.utterances, group, amount, draw)) is not None
            ]
            scores[way] = float(np.mean(found))
        chosen[kind] = max(scores, key=lambda way: scores[way])
        for way in sorted(scores, key=lambda way: -scores[way])[:4]:
            print(f"  {scores[way]:.3f}  {way}", file=sys.stderr)
    return chosen


def measure(data: Data, way: Way, amount: tuple[str, int], draws: int) -> NDArray[np.float64] | None:
    """(draws, speakers, K, K) confusion counts, every speaker tested once per draw."""
    rows = []
    for draw in range(draws):
        row = []
        for speaker in sorted({u.speaker for u in data.utterances}):
            trial = trials(data.utterances, [speaker], amount, draw)
            if trial is None:
                return None
            row.append(counts_of(data, way, trial))
        rows.append(row)
    return np.array(rows)


# ------------------------------------------------------------------------------------------------ tables


def difference(one: Statistic, other: Statistic) -> Statistic:
    return lambda weights: one(weights) - other(weights)


def told(statistic: Statistic, clusters: int) -> str:
    """Value and 95 % interval, per cent."""
    value = float(statistic(np.ones((1, clusters)))[0])
    interval: Interval | None = cluster_bootstrap(statistic, clusters)
    assert interval is not None
    return f"{100 * value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def table(name: str, data: Data, chosen: Sequence[Way], draws: int) -> Iterator[str]:
    """Markdown rows: each way's UA, and the difference of each further one to the first."""
    yield (
        f"| {name}: labels | "
        + " | ".join(way.kind for way in chosen)
        + " | upstream - log-mel | upstream - untrained |"
    )
    yield "| --- |" + " --- |" * (len(chosen) + 2)
    for amount in [*(("speakers", n) for n in SPEAKERS), *(("shots", n) for n in SHOTS)]:
        counts = [measure(data, way, amount, draws) for way in chosen]
        if any(count is None for count in counts):
            continue
        statistics = {way.kind: cluster_metric(ua, count) for way, count in zip(chosen, counts, strict=True)}
        clusters = counts[0].shape[1]
        cells = [told(statistic, clusters) for statistic in statistics.values()]
        for other in ("log-mel", "untrained"):
            cells.append(told(difference(statistics["upstream"], statistics[other]), clusters))
        label = f"{amount[1]} speaker{'s' * (amount[1] > 1)}" if amount[0] == "speakers" else f"{amount[1]} per class"
        yield f"| {label} | " + " | ".join(cells) + " |"


def require_unheard(folder: Path, data: Data) -> None:
    """Stop if a speaker or a recording that is tested was heard in pretraining."""
    heard = read_heard(folder)
    if heard is None:
        return
    ids = tuple(u.id for u in data.utterances)
    findings = check_heard(Split("all", (Fold("all", (), (), ids),)), data.utterances, heard)
    errors = [finding.message for finding in findings if finding.severity == "error"]
    if errors:
        sys.exit(f"the upstream has heard what is tested: {'; '.join(errors)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upstream", type=Path)
    parser.add_argument("--choose", required=True, metavar="NAME=PATH")
    parser.add_argument("--test", nargs="+", required=True, metavar="NAME=PATH")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    upstream = open_upstream(options.upstream)
    assert isinstance(upstream, MaskedMelUpstream)
    networks = {"upstream": upstream, "untrained": untrained(upstream)}
    layers = {"log-mel": 1, "untrained": upstream.num_layers, "upstream": upstream.num_layers}
    last = upstream.num_layers - 1
    plain = [Way("log-mel", 0, "mean"), Way("untrained", last, "mean"), Way("upstream", last, "mean")]
    tested = {given.partition("=")[0]: load(given, networks, options.out) for given in options.test}
    for data in tested.values():
        require_unheard(options.upstream, data)
    lines = ["## Without any choice", ""]
    for name, data in tested.items():
        lines += [*table(name, data, plain, options.draws), ""]
    tell(lines, options.out)
    choosing = load(options.choose, networks, options.out, every=CHOOSING_EVERY)
    chosen = list(choose(choosing, layers).values())
    chooser = options.choose.partition("=")[0]
    further = ["## With choices", "", f"Chosen on {chooser}: " + "; ".join(map(str, chosen)) + ".", ""]
    for name, data in tested.items():
        further += [*table(name, data, chosen, options.draws), ""]
    tell([*lines, *further], options.out)


def tell(lines: Sequence[str], out: Path) -> None:
    text = "\n".join(lines)
    (out / "pretraining.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


if __name__ == "__main__":
    main()
