"""The CNN family beside each other: attention pooling, MHCNN, AACNN and GLAM on real corpora (docs/results.md).

    python benchmarks/cnn_family.py --emodb PATH --ravdess PATH --emobox PATH

PATHs: EMO-DB's folder, RAVDESS's folder, and EmoBox's `data/ravdess` with the six published folds. Every model is
trained under an honest protocol, and on EMO-DB also under the one that GLAM's authors published (random 80/20 by turn,
epoch picked on the test part): the difference is what leaking is worth. Everything is an ordinary table below `--out`
(`serenade table glam --recipe cpu`, `serenade table attention-pooling`); started again it goes on where it stopped, and
`--table` writes what is there without training. At the end `cnn-family.md` is written.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.model_cost import NETWORKS, SPEECH_S, multiply_adds, speech_cost

from serenade.experiments.comparison import compare
from serenade.experiments.results import read_results
from serenade.experiments.summary import summary_of
from serenade.reports.tables import Bounds, Figure, Table, p_text, to_markdown

SIX, FOUR = "angry,bored,fearful,happy,neutral,sad", "angry,happy,neutral,sad"
SHORT_POOLING = (
    "segments_per_epoch=1", "training.epochs=10", "training.batch_size=16", "training.learning_rate=0.0125",
    "training.learning_rate_drops=[6,9]", "training.precision=bfloat16",
)  # fmt: skip
"""The recipe of the attention-pooling paper, shortened for a machine without a GPU: one segment drawn per utterance and
epoch, a fifth of the epochs, a quarter of the batch with a quarter of the rate."""
SHORTER = ("training.epochs=4", "training.learning_rate_drops=[3,4]")
"""For RAVDESS, which has three times the utterances of EMO-DB: still more steps than there."""
L2_FIRST = ("network.normalise_first=true",)
"""For bilinear pooling, whose description of a segment has unit length if L2 comes last: its training loss then hardly
falls in so short a training. The paper's text has the other order."""
REFERENCE, AVERAGING = "GLAM", "CNN_TF_GAP"
ROUNDS = 9


@dataclass(frozen=True)
class Model:
    """A row of the table.

    Args:
        title: as papers call it.
        table: of `serenade table` that trains it.
        run: the folder of its run below that table's.
        network: its name in `model_cost`.
        preset: whose overlap it is scored with.
        changes: of settings, for this row alone.
    """

    title: str
    table: str
    run: str
    network: str
    preset: str
    changes: tuple[str, ...] = ()


MODELS = (
    Model("APCNN on MFCC", "glam", "all/apcnn", "APCNN on MFCC", "apcnn"),
    Model("MHCNN", "glam", "all/mhcnn", "MHCNN", "mhcnn"),
    Model("AACNN", "glam", "all/aacnn", "AACNN", "aacnn"),
    Model(REFERENCE, "glam", "all/glam-cpu", "GLAM", "glam"),
    Model(AVERAGING, "attention-pooling", "all/attention-pooling-gap", "CNN_TF_GAP", "attention-pooling-gap"),
    Model(
        "CNN_TF_Bilinear",
        "attention-pooling",
        "all/attention-pooling-bilinear",
        "CNN_TF_Bilinear",
        "attention-pooling-bilinear",
        L2_FIRST,
    ),
    Model("CNN_TF_Att.pooling", "attention-pooling", "all/attention-pooling", "APCNN", "attention-pooling"),
)


@dataclass(frozen=True)
class Data:
    """What the models are trained and tested on.

    Args:
        title: for the table.
        arguments: of `serenade table`.
        leaky: those of the published protocol; None where it is not run.
        pooling: changes of settings for the attention-pooling table, after `SHORT_POOLING`.
        on_request: trained only where `--only` names it.
    """

    title: str
    arguments: tuple[str, ...]
    leaky: tuple[str, ...] | None = None
    pooling: tuple[str, ...] = ()
    on_request: bool = False


def data_sets(options: argparse.Namespace) -> dict[str, Data]:
    """All data by name of their folder."""
    made = {}
    for name, labels in (("emodb-6", SIX), ("emodb-4", FOUR)):
        corpus = ("--corpus", f"emodb={options.emodb}", "--labels", labels)
        title = f"EMO-DB, {len(labels.split(','))} classes"
        made[name] = Data(title, (*corpus, "--split", "loso:0"), corpus)
    lists = ("--corpus", f"ravdess={options.ravdess}", "--split", f"emobox:{options.emobox}")
    made["ravdess"] = Data("RAVDESS, 8 classes", lists, pooling=SHORTER)
    made["ravdess-long"] = Data("RAVDESS, ten epochs", lists, on_request=True)
    return made


def train(name: str, data: Data, table: str, options: argparse.Namespace) -> None:
    """One table under one protocol; what is finished of it is kept."""
    leaky = name.endswith("-leaky")
    arguments = list(data.leaky if leaky and data.leaky is not None else data.arguments)
    arguments += ["--seeds", str(options.leaky_seeds if leaky else options.seeds)]
    arguments += ["--workers", str(options.workers)] if options.workers else []
    command = [sys.executable, "-m", "serenade.app", "table", table, *arguments, "--out", str(options.out / name)]
    if table == "glam":
        subprocess.run([*command, "--recipe", "cpu", *(("--protocol", "published") if leaky else ())], check=True)
        return
    command += ["--split", "random82_best_test"] if leaky else []
    rows = [model for model in MODELS if model.table == table and model.preset in (options.rows or [model.preset])]
    for changes in dict.fromkeys(row.changes for row in rows):
        presets = ",".join(row.preset for row in rows if row.changes == changes)
        settings = [part for change in (*SHORT_POOLING, *data.pooling, *changes) for part in ("--set", change)]
        subprocess.run([*command, "--rows", presets, *settings], check=True)


def finished(run: Path) -> bool:
    """Whether every job of a run is done."""
    return any(run.glob("jobs/*/record.json")) and not read_results(run).missing


def accuracy_table(data: Mapping[str, Data], out: Path) -> Table:
    """Every model beside its size; UA with its interval on all data."""
    rows = []
    for model in MODELS:
        entry = NETWORKS[model.network]
        network = entry.make()
        size = f"{sum(p.numel() for p in network.parameters()):,}"
        cost = f"{multiply_adds(network, *entry.size) / 1e6:.0f}"
        speech = Figure(speech_cost(model.preset, ROUNDS)[1] / SPEECH_S)
        cells = [_ua(out / name / model.run) for name in data]
        rows.append((model.title, size, cost, speech, *cells))
    titles = (f"{d.title}" for d in data.values())
    notes = [
        "UA in per cent, all folds together: ± is the standard deviation over seeds, in brackets the 95 % interval by "
        "bootstrap over speakers. Parameters with four classes; multiply-adds of one segment, in millions; "
        "CPU ms: from sound to scores, per second of speech on one core, with the overlap of the preset.",
        *_shares(data, out),
    ]
    return Table(("model", "parameters", "million MACs", "CPU ms", *titles), tuple(rows), tuple(notes))


def _ua(run: Path) -> str:
    if not finished(run):
        return "–"
    pooled = summary_of(read_results(run), maps=False)["metrics"]["ua"]["pooled"]
    return f"{_figure(pooled).text()} ({Bounds(100 * pooled['low'], 100 * pooled['high']).text()})"


def _figure(metric: Mapping[str, Any]) -> Figure:
    return Figure(100 * metric["mean"], None if metric["std"] is None else 100 * metric["std"])


def _shares(data: Mapping[str, Data], out: Path) -> list[str]:
    """How many seeds every column has."""
    seeds = {
        name: sorted(
            {
                len(summary_of(read_results(out / name / m.run), maps=False)["seeds"])
                for m in MODELS
                if finished(out / name / m.run)
            }
        )
        for name in data
    }
    return [f"Seeds: {'; '.join(f'{data[name].title} {_listed(found)}' for name, found in seeds.items() if found)}."]


def _listed(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))


def pair_table(data: Mapping[str, Data], out: Path) -> Table:
    """Every model against GLAM, and poolings against averaging: points of UA, interval and p."""
    pairs = [(model, REFERENCE) for model in MODELS if model.title != REFERENCE]
    pooling = [model for model in MODELS if model.table == "attention-pooling" and model.title != AVERAGING]
    pairs += [(model, AVERAGING) for model in pooling]
    rows = []
    for name, of in data.items():
        for model, against in pairs:
            run = out / name / model.run
            reference = next(out / name / other.run for other in MODELS if other.title == against)
            if not (finished(run) and finished(reference)):
                continue
            ua = compare(reference, run)["metrics"]["ua"]
            bounds = Bounds(100 * ua["low"], 100 * ua["high"], signed=True)
            difference = Figure(100 * ua["difference"], signed=True)
            rows.append((of.title, model.title, against, difference, bounds, p_text(ua["p"])))
    note = "p: permutation test, the two models swapped speaker by speaker; not corrected for the number of rows."
    return Table(("data", "model", "against", "UA", "95 % interval", "p"), tuple(rows), (note,))


def leak_table(data: Mapping[str, Data], out: Path) -> Table:
    """What the published protocol is worth to every model."""
    rows = []
    for name, of in data.items():
        for model in MODELS:
            honest, leaky = out / name / model.run, out / f"{name}-leaky" / model.run
            if not (finished(honest) and finished(leaky)):
                continue
            two = [summary_of(read_results(run), maps=False)["metrics"]["ua"]["pooled"] for run in (honest, leaky)]
            gap = Figure(100 * (two[1]["mean"] - two[0]["mean"]), signed=True)
            rows.append((of.title, model.title, _figure(two[0]), _figure(two[1]), gap))
    note = "UA in per cent. LEAKY: random 80/20 by turn, the same speakers on both sides, the epoch picked on test."
    return Table(("data", "model", "leave one speaker out", "published protocol (LEAKY)", "gap"), tuple(rows), (note,))


def main() -> int:
    """Train what is asked for and not there yet, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emodb", type=Path, required=True)
    parser.add_argument("--ravdess", type=Path, required=True)
    parser.add_argument("--emobox", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("tables"), help="folder of the tables and their runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--leaky-seeds", type=int, default=5, help="of the published protocol, which has one fold")
    parser.add_argument("--only", nargs="*", help="data to train on, such as emodb-6 or emodb-6-leaky")
    parser.add_argument("--tables", nargs="+", default=["glam", "attention-pooling"], help="to train")
    parser.add_argument("--rows", nargs="+", help="presets of the table attention-pooling to train")
    parser.add_argument("--table", action="store_true", help="train nothing: write what is there")
    parser.add_argument("--workers", type=int, help="jobs at once")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = data_sets(options)
    leaky = {f"{name}-leaky": of for name, of in data.items() if of.leaky is not None}
    for name, of in () if options.table else {**data, **leaky}.items():
        wanted = name in options.only if options.only else not of.on_request
        if wanted:
            for table in options.tables:
                train(name, of, table, options)
    made = [table(data, options.out) for table in (accuracy_table, pair_table, leak_table)]
    text = "\n\n".join(to_markdown(table) for table in made) + "\n"
    (options.out / "cnn-family.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
