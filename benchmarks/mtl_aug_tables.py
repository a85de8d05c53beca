"""MTL-AUG's tables on real corpora: within, across corpora and languages, noise, attacks (docs/results.md).

    python benchmarks/mtl_aug_tables.py --emodb PATH --ravdess PATH --turevdb PATH --librispeech PATH --noise PATH

PATHs: the corpora's folders; LibriSpeech, or a part of it, as speech without labels (not the speakers of a babble in
the noise); a folder of noise recordings. Every table is an ordinary `serenade table mtl-aug` below `--out`, all with
the short recipe below; started again it goes on where it stopped. `--only` takes some of the tables, `--rows` some of
their rows, and `--table` trains nothing. At the end all of them are in one file, `mtl-aug.md`.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from serenade.reports.tables import Bounds, Figure, Table, to_markdown

SHORT = (
    "padding=batch", "training.precision=bfloat16", "training.batch_size=16", "training.unlabelled_batch_size=16",
    "training.learning_rate=0.0005", "training.restore_after=3",
)  # fmt: skip
"""For a machine without a GPU: half the batch at five times the rate, few epochs, a standstill undone sooner. Rate and
number of epochs were looked for on a validation speaker of EMO-DB, with `stl` alone; the larger corpora have fewer
epochs and still more steps."""
SHORT_WINDOW = ("--set", "window_frames=256")
"""4.1 s instead of 7.7 for RAVDESS and TurEV-DB, whose recordings are seldom longer: speech without labels always fills
the window, and a step with it takes half the time."""
ALIGNED = ("--set", "normaliser.kind=per_corpus")
"""Every corpus by its own statistics (TRANSDUCTIVE): between EMO-DB and RAVDESS a model otherwise says the same of
nearly all. Asked for after the tables without it."""
PATIENT = ("--set", "training.restore_after=5")
"""The schedule waits as long as its default does; asked for after 18 epochs on RAVDESS, where with 3 some trainings of
`mtl-aug` go back to their first epochs again and again."""
SIX = "angry,bored,fearful,happy,neutral,sad"
TITLES = {"emodb": "EMO-DB", "ravdess": "RAVDESS", "turevdb": "TurEV-DB"}
HEADLINE = ("fgsm:0.08", "bim:0.08")


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """The arguments of `serenade table mtl-aug` by the name of the table."""
    emodb, ravdess = ["--corpus", f"emodb={options.emodb}"], ["--corpus", f"ravdess={options.ravdess}"]
    turevdb = ["--corpus", f"turevdb={options.turevdb}"]
    six = [*emodb, "--labels", SIX, "--split", "kfold:4"]
    eight = [*ravdess, "--split", "kfold:3", *SHORT_WINDOW]
    within = {"emodb": [*six, *_epochs(12)], "ravdess": [*eight, *_epochs(6)]}
    noise = ["--table", "noise", "--noise", str(options.noise), "--condition", "noise:0,10,20"]
    attacks = ["--table", "attacks", *(part for name in HEADLINE for part in ("--condition", name))]
    cross = [*emodb, *ravdess, "--table", "cross", "--labels", "angry,happy,neutral,sad", *_epochs(10)]
    turev = [*emodb, *turevdb, "--table", "cross", "--labels", "angry,happy,sad", *SHORT_WINDOW, *_epochs(6)]
    return {
        **within,
        **{f"{name}/noise": [*trained, *noise] for name, trained in within.items()},
        **{f"{name}/attacks": [*trained, *attacks] for name, trained in within.items()},
        "cross": cross,
        "turev": turev,
        "cross-aligned": [*cross, *SHORT_WINDOW, *ALIGNED],
        "turev-aligned": [*turev, *ALIGNED],
        "emodb-long": [*six, *_epochs(36)],
        "ravdess-long": [*eight, *_epochs(18)],
        "ravdess-patient": [*eight, *_epochs(18), *PATIENT],
    }


def _epochs(count: int) -> list[str]:
    return ["--set", f"training.epochs={count}"]


def overview(out: Path) -> str:
    """All tables that are there, as Markdown: within corpora, across them, noise, attacks, orderings."""
    whole = {
        "Within corpora": {
            "emodb/within": "EMO-DB",
            "ravdess/within": "RAVDESS",
            "emodb-long/within": "EMO-DB, 36 epochs",
            "ravdess-long/within": "RAVDESS, 18 epochs",
            "ravdess-patient/within": "RAVDESS, 18 epochs, patience 5",
        },
        "Across corpora": {"cross/cross": "", "turev/cross": ""},
        "Across corpora, each normalised by itself (TRANSDUCTIVE)": {
            "cross-aligned/cross": "",
            "turev-aligned/cross": "",
        },
        "Noise, EMO-DB": {"emodb/noise": ""},
        "Noise, RAVDESS": {"ravdess/noise": ""},
        "Attacks, EMO-DB": {"emodb/attacks": ""},
        "Attacks, RAVDESS": {"ravdess/attacks": ""},
    }
    parts = []
    for title, tables in whole.items():
        there = {path: head for path, head in tables.items() if (out / f"{path}.csv").is_file()}
        if there:
            parts += [f"{title}:", to_markdown(_figures(out, there)), to_markdown(_orderings(out, there))]
    return "\n\n".join(parts) + "\n"


def _figures(out: Path, tables: Mapping[str, str]) -> Table:
    """A row for each model, a column for each table, direction or condition: pooled UA, its interval in brackets."""
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for path, head in tables.items():
        for row in _read(out / f"{path}.csv"):
            if row["UA"]:
                std = row.get("pooled UA std")  # none with one seed
                ua = Figure(float(row["pooled UA"]), float(std) if std else None)
                bounds = Bounds(float(row["interval low"]), float(row["interval high"]))
                column = head or row["condition"] or " → ".join(TITLES[name] for name in row["data"].split(" > "))
                unfinished = "" if row["complete"] == "yes" else " unfinished"
                cells.setdefault((row["model"],), {})[column] = f"{ua.text()} ({bounds.text()}){unfinished}"
    return _pivoted(("model",), cells)


def _orderings(out: Path, tables: Mapping[str, str]) -> Table:
    """A row for each ordering that was tested, columns as for the figures: difference, its interval, the verdict."""
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for path, head in tables.items():
        for row in _read(out / f"{path}-orderings.csv"):
            if row["difference"]:
                bounds = Bounds(float(row["95 % interval low"]), float(row["95 % interval high"]), signed=True)
                text = f"{Figure(float(row['difference']), signed=True).text()} ({bounds.text()})"
                verdict = "" if row["verdict"] == "not shown" else f" {row['verdict']}"
                where = row["where"]
                column = head or (where.split()[-1] if ":" in where else where)  # of a condition its name alone
                cells.setdefault((row["ordering"], row["pair"]), {})[column] = text + verdict
    return _pivoted(("", "ordering"), cells)


def _pivoted(heads: tuple[str, ...], cells: Mapping[tuple[str, ...], Mapping[str, str]]) -> Table:
    columns = list(dict.fromkeys(column for of_row in cells.values() for column in of_row))
    rows = tuple((*row, *(of_row.get(column, "–") for column in columns)) for row, of_row in cells.items())
    return Table((*heads, *columns), rows)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> int:
    """Make the tables that are asked for, or take them up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("emodb", "ravdess", "turevdb", "librispeech", "noise"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("mtl-aug"), help="folder of the tables and their runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="tables to make: emodb, emodb/noise, cross and so on")
    parser.add_argument("--rows", help="rows to make, separated by commas: stl,mtl-aug and so on")
    parser.add_argument("--table", action="store_true", help="train nothing: write what is there")
    parser.add_argument("--workers", type=int, default=1, help="jobs at once")
    options = parser.parse_args()
    made = commands(options)
    shared = ["--unlabelled", f"librispeech={options.librispeech}", "--seeds", str(options.seeds)]
    shared += ["--workers", str(options.workers), *(part for change in SHORT for part in ("--set", change))]
    shared += ["--rows", options.rows] if options.rows else []
    for name, arguments in made.items():
        if not options.table and (options.only is None or name in options.only):
            out = options.out / name.split("/")[0]
            command = [sys.executable, "-m", "serenade.app", "table", "mtl-aug", *shared, *arguments, "--out", str(out)]
            subprocess.run(command, check=True)
    text = overview(options.out)
    (options.out / "mtl-aug.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
