"""Experiments 9, 10 and 11 on real recordings: filter banks, an upstream of one's own, and words (docs/ssl.md).

    python benchmarks/ssl_experiments.py --upstream UP --emodb PATH --nemo PATH --emotiontts PATH --out FOLDER

UP: a folder of `serenade pretrain` that has heard none of these corpora. Every corpus has two ordinary tables of
`serenade table ssl` below `--out`: one with filter banks, one with the upstream, frozen, in their place; the text
encoder (`text_encoder.py`: two blocks of 64 over characters, drawn weights) is fine-tuned once per fold and seed and
serves both. Everything is small, so that it takes minutes per corpus on one thread; nEMO is taken with every ninth of
its 90 sentences. A corpus that is not named is left out. Started again it goes on where it stopped; at the end
`ssl-experiments.md` is written.

Last results (2026-11-21, all three, one seed): in docs/ssl.md; some ten minutes of processor time a table.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.text_encoder import write_encoder

from serenade.corpora import read_corpus
from serenade.experiments.comparison import compare
from serenade.experiments.results import read_results
from serenade.experiments.summary import summary_of
from serenade.reports.tables import Bounds, Figure, Table, p_text, to_markdown

SETTINGS = (
    "--set", "ecapa.channels=32", "--set", "ecapa.attention_channels=32", "--set", "ecapa.squeeze_channels=32",
    "--set", "ecapa.embedding_dim=64",
    "--set-first", "training.epochs=10", "--set-first", "training.learning_rate=1e-3",
    "--set-first", "fine_tuning.learning_rate=1e-3",
    "--set-second", "training.epochs=8",
    "--set-second", "training.batch_size=16", "--set-second", "training.learning_rate=1e-3",
    "--set-second", "training.half_cycle_epochs=2",
)  # fmt: skip
FOLDS = "kfold:5"
EVERY = 9
BANK, OWN = "filter-bank", "upstream"


@dataclass(frozen=True)
class Data:
    """A corpus as it is tested.

    Args:
        title: for people.
        corpus: its name.
        root: its folder.
        options: further ones of `serenade table ssl`.
    """

    title: str
    corpus: str
    root: Path
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A system: its number in the paper, its input, the table and the run in it, and the row it is set against."""

    number: int
    title: str
    table: str
    run: str
    against: int | None = None


ROWS = (
    Row(9, "filter banks", BANK, "experiment-09"),
    Row(9, "own upstream", OWN, "experiment-09", against=0),
    Row(10, "text", BANK, "experiment-10", against=0),
    Row(11, "filter banks & text", BANK, "experiment-11", against=0),
    Row(11, "own upstream & text", OWN, "experiment-11", against=1),
)


def data_sets(options: argparse.Namespace) -> dict[str, Data]:
    """What was given, by name."""
    found: dict[str, Data] = {}
    if options.emodb is not None:
        labels = ("--labels", "angry,bored,fearful,happy,neutral,sad")  # of disgust few whole recordings are there
        found["emodb"] = Data("EMO-DB", "emodb", options.emodb, labels)
    if options.nemo is not None:
        found["nemo"] = Data("nEMO, 10 sentences", "nemo", part_of_nemo(options.nemo, options.out / "nemo-part"))
    if options.emotiontts is not None:
        found["emotiontts-ko"] = Data("EmotionTTS-ko", "emotiontts-ko", options.emotiontts)
    return found


def part_of_nemo(root: Path, part: Path) -> Path:
    """A folder of links to every ninth sentence of nEMO."""
    (part / "samples").mkdir(parents=True, exist_ok=True)
    for path in sorted((root / "samples").iterdir()):
        link = part / "samples" / path.name
        if int(path.stem.rpartition("_")[2]) % EVERY == 0 and not link.is_symlink():
            link.symlink_to(path.absolute())
    head, *lines = (root / "data.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if int(Path(line.split("\t")[0]).stem.rpartition("_")[2]) % EVERY == 0]
    (part / "data.tsv").write_text(head + "".join(kept), encoding="utf-8")
    return part


def train(of: Data, out: Path, options: argparse.Namespace) -> None:
    """Both tables of a corpus; the second takes the text encoders that the first has fine-tuned."""
    text = out / "characters"
    if not (text / "model.safetensors").is_file():
        listing = read_corpus(of.corpus, of.root, examine=None)
        write_encoder(text, [utterance.text for utterance in listing.utterances if utterance.text is not None])
    _table(of, out / BANK, ["--text", str(text), "--experiments", "9,10,11"], options)
    copied = out / OWN / "fine-tuned"
    if not copied.exists():
        shutil.copytree(out / BANK / "fine-tuned", copied)
    others = ["--text", str(text), "--fbank", str(options.upstream), "--experiments", "9,11"]
    _table(of, out / OWN, others, options)


def _table(of: Data, out: Path, what: list[str], options: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "serenade.app", "table", "ssl", "--corpus", f"{of.corpus}={of.root}"]
    command += ["--split", FOLDS, "--seeds", str(options.seeds), "--workers", str(options.workers), "--threads", "1"]
    subprocess.run([*command, *of.options, *what, *SETTINGS, "--out", str(out)], check=True)


def result_table(data: dict[str, Data], out: Path) -> Table:
    """Every system on every corpus, and its difference to the row it is set against."""
    rows = [row for name, of in data.items() for row in _rows(of, out / name)]
    notes = (
        f"In per cent. {FOLDS}: five folds of speakers. WACC and UACC: of each fold, then the mean; ± is the standard "
        "deviation over folds. Pooled UA: all test utterances, mean over seeds ± their standard deviation, and a "
        "bootstrap interval over speakers.",
        "Difference of pooled UA: to filter banks; of the last row to the own upstream alone. Its interval is a paired "
        "bootstrap over speakers, p a permutation test by speaker, not corrected for the number of rows.",
    )
    columns = ("data", "#", "input", "WACC", "UACC", "pooled UA", "95 % interval", "difference", "95 % interval", "p")
    return Table(columns, tuple(rows), notes)


def _rows(of: Data, out: Path) -> Iterator[tuple[str | Figure | Bounds, ...]]:
    for row in ROWS:
        run = out / row.table / row.run
        if not any(run.glob("jobs/*/record.json")):
            continue
        metrics = summary_of(read_results(run), maps=False)["metrics"]
        means = [metrics[name]["fold_mean"] for name in ("wa", "ua")]
        pooled = metrics["ua"]["pooled"]
        yield (
            of.title,
            str(row.number),
            row.title,
            *(Figure(100 * mean["mean"], 100 * mean["std_folds"]) for mean in means),
            Figure(100 * pooled["mean"], None if pooled["std"] is None else 100 * pooled["std"]),
            Bounds(100 * pooled["low"], 100 * pooled["high"]),
            *_difference(row, run, out),
        )


def _difference(row: Row, run: Path, out: Path) -> tuple[Figure | Bounds | str, ...]:
    if row.against is None:
        return (Figure(None), Bounds(None, None), "–")
    reference = ROWS[row.against]
    ua = compare(out / reference.table / reference.run, run)["metrics"]["ua"]
    bounds = Bounds(100 * ua["low"], 100 * ua["high"], signed=True)
    return (Figure(100 * ua["difference"], signed=True), bounds, p_text(ua["p"]))


def main() -> int:
    """Train what is not there yet, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, required=True, help="folder of `serenade pretrain`")
    parser.add_argument("--emodb", type=Path)
    parser.add_argument("--nemo", type=Path)
    parser.add_argument("--emotiontts", type=Path)
    parser.add_argument("--out", type=Path, default=Path("ssl-experiments"), help="folder of the tables")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="jobs at once")
    parser.add_argument("--table", action="store_true", help="train nothing: write what is there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = data_sets(options)
    if not options.table:
        for name, of in data.items():
            train(of, options.out / name, options)
    text = to_markdown(result_table(data, options.out)) + "\n"
    (options.out / "ssl-experiments.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
