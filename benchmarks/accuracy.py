"""GLAM and the baseline on real corpora, speaker-independent: the figures of docs/results.md.

    python benchmarks/accuracy.py --emodb PATH --ravdess PATH --emobox PATH

PATHs: EMO-DB's folder, RAVDESS's folder, and EmoBox's `data/ravdess` with the six published folds. Every run is
resumable: started again it goes on where it stopped. At the end it writes the table (docs/results.md holds it).
"""

import argparse
import subprocess
import sys
from pathlib import Path

from serenade.experiments.summary import summarise
from serenade.reports.tables import result_table

SIX = "angry,bored,fearful,happy,neutral,sad"
FOUR = "angry,happy,neutral,sad"


def commands(options: argparse.Namespace, preset: str) -> dict[str, list[str]]:
    """Name of each run and the arguments of `serenade run` after the preset.

    The baseline chooses its penalty on a validation speaker and is then fitted on that speaker too. GLAM chooses
    nothing, so it needs no validation speaker: both have learnt from all speakers but the tested ones.
    """
    held_out = "1" if preset == "baseline" else "0"
    emodb = ["--corpus", f"emodb={options.emodb}", "--split", f"loso:{held_out}"]
    lists = f"emobox:{options.emobox},validation_speakers={held_out}"
    return {
        "emodb-6": [*emodb, "--labels", SIX],
        "emodb-4": [*emodb, "--labels", FOUR],
        "ravdess-8": ["--corpus", f"ravdess={options.ravdess}", "--split", lists],
    }


def main() -> int:
    """Do the runs that are asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emodb", type=Path, required=True)
    parser.add_argument("--ravdess", type=Path, required=True)
    parser.add_argument("--emobox", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--presets", nargs="+", default=["baseline", "glam-cpu"])
    parser.add_argument("--only", nargs="+", help="names of runs, such as emodb-6")
    parser.add_argument("--workers", type=int, help="jobs at once")
    options = parser.parse_args()
    runs = []
    for preset in options.presets:
        for name, arguments in commands(options, preset).items():
            if options.only and name not in options.only:
                continue
            run = options.out / f"{preset}-{name}"
            seeds = "1" if preset == "baseline" else str(options.seeds)  # the baseline does not depend on the seed
            command = [sys.executable, "-m", "serenade.app", "run", preset, *arguments, "--seeds", seeds]
            workers = ["--workers", str(options.workers)] if options.workers else []
            subprocess.run([*command, *workers, "--out", str(run)], check=True)
            runs.append(run)
    table = result_table([summarise(run) for run in runs], "markdown")
    (options.out / "accuracy.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
