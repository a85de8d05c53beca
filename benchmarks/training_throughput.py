"""How many examples a second training goes through, and whether the network waits for data.

    python benchmarks/training_throughput.py --threads 2

Each row is a real training of some epochs on synthesised voices, in a process of its own, through the loop that
`serenade run` uses: cached features, unlabelled speech read ahead, waveforms changed an epoch ahead. The first epoch is
not counted. Shown are examples a second (labelled and unlabelled, with their augmentation), the share of wall time
that is spent in the network (forward, backward, optimiser step, scoring), milliseconds a step outside of it, and the
largest memory of the process. `--profile ROW` shows where the main thread spends the rest.
"""

import argparse
import cProfile
import pstats
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from serenade.core.labels import LabelSet
from serenade.core.seeding import derive_seed
from serenade.corpora.synthetic import generate
from serenade.experiments.augmented import augmenter
from serenade.experiments.data import make_examples, read_corpora
from serenade.experiments.settings import CorpusSettings, ExperimentSettings, UnlabelledSettings
from serenade.experiments.unlabelled import Pieces, read_unlabelled
from serenade.systems import PRESETS, make_system, system_settings
from serenade.training.cache import FeatureCache
from serenade.training.loop import Trained, train
from serenade.training.settings import TrainingSettings
from serenade.training.system import System

CHAIN = "speed:0.9..1.1,noise:10..20"


@dataclass(frozen=True)
class Row:
    """One training."""

    preset: str
    unlabelled: bool = False
    chain: str = ""

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.preset}{' + unlabelled' if self.unlabelled else ''}{f' + {self.chain}' if self.chain else ''}"


ROWS = (
    Row("stl"),
    Row("stl", chain=CHAIN),
    Row("mtl-aug"),
    Row("mtl-aug-semi", unlabelled=True),
    Row("ss-aae", unlabelled=True),
    Row("glam-cpu", chain=CHAIN),
)


def data_of(folder: Path, utterances: int) -> ExperimentSettings:
    """Labelled and unlabelled voices, made once."""
    for name, seed in (("labelled", 0), ("unlabelled", 1)):
        if not (folder / name).is_dir():
            per_class = max(1, utterances // 16)
            generate(folder / name, speakers=4, utterances_per_class=per_class, seed=seed)
    return ExperimentSettings(
        corpora=(CorpusSettings(name="synthetic", root=folder / "labelled"),),
        unlabelled=UnlabelledSettings(
            corpora=(CorpusSettings(name="unlabelled", root=folder / "unlabelled"),), shortest_s=0.1
        ),
    )


def run_row(row: Row, folder: Path, options: argparse.Namespace) -> tuple[Trained, TrainingSettings]:
    """Train; of validation there is one utterance, so that next to nothing of the time is scoring."""
    torch.set_num_threads(options.threads)
    experiment = data_of(folder, options.utterances)
    changes: dict[str, Any] = {"training": {"epochs": options.epochs, "augmentation": row.chain}}
    settings = system_settings(row.preset, changes)
    utterances = read_corpora(experiment).utterances
    labels = LabelSet.of(str(u.emotion) for u in utterances)
    torch.manual_seed(derive_seed(0, "weights"))
    system: System = make_system(PRESETS[row.preset], settings.model_dump(), labels)
    cache = FeatureCache(folder / "cache")
    training = settings.training  # type: ignore[attr-defined] # every system has them
    assert isinstance(training, TrainingSettings)
    pieces = Pieces(read_unlabelled(experiment).utterances, system, cache, experiment.unlabelled.piece_s)
    for place in range(len(pieces) if row.unlabelled else 0):
        pieces[place]  # as `serenade run` does before it trains
    trained = train(
        system,
        make_examples(utterances, system, cache, training=True),
        make_examples(utterances[:1], system, cache, training=False),
        training,
        seed=0,
        device=torch.device("cpu"),
        unlabelled=pieces if row.unlabelled else None,
        augment=augmenter(training.augmentation, system),
    )
    return trained, training


def report(row: Row, trained: Trained, training: TrainingSettings, utterances: int) -> str:
    """A line of the table."""
    counted = trained.epochs[1:]
    steps = sum(entry["steps"] for entry in counted)
    seconds = sum(entry["seconds"] for entry in counted)
    network = sum(entry["network_seconds"] for entry in counted)
    beside = training.unlabelled_batch_size * steps if row.unlabelled else 0
    rate = (utterances * len(counted) + beside) / seconds
    outside_ms = 1e3 * (seconds - network) / steps
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"| {row.name} | {rate:.1f} | {network / seconds:.1%} | {outside_ms:.1f} | {memory:.0f} |"


def main() -> None:
    """Print the table, or one row of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of the network; data is read in threads beside them")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--utterances", type=int, default=128, help="labelled ones, and as many unlabelled")
    parser.add_argument("--data", type=Path, help="folder of the voices and the cache; a temporary one if not given")
    parser.add_argument("--row", type=int, help="only this row, in this process")
    parser.add_argument("--profile", type=int, metavar="ROW", help="where the main thread's time goes in this row")
    options = parser.parse_args()
    if options.profile is not None:
        with tempfile.TemporaryDirectory() as temporary, cProfile.Profile() as profile:
            run_row(ROWS[options.profile], options.data or Path(temporary), options)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    if options.row is not None:
        row = ROWS[options.row]
        trained, training = run_row(row, options.data, options)
        print(report(row, trained, training, len(list((options.data / "labelled").rglob("*.flac")))))
        return
    print(f"torch {torch.__version__}, {options.threads} threads, {options.utterances} utterances\n")
    print("| training | examples/s | in the network | ms a step outside | memory, MB |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.data or Path(temporary)
        data_of(folder, options.utterances)
        for place in range(len(ROWS)):
            command = [sys.executable, __file__, "--row", str(place), "--data", str(folder)]
            for name in ("threads", "epochs", "utterances"):
                command += [f"--{name}", str(getattr(options, name))]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
