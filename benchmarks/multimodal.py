"""What face, voice and words are worth alone and together, on real recordings, by networks over hand-crafted features.

    python benchmarks/multimodal.py OUT --ravdess ROOT --units au_mean.csv --splits emobox/data/ravdess
    python benchmarks/multimodal.py OUT --emotiontts ROOT

RAVDESS: sound (mean and deviation of MFCC per 0.40 s) and OpenFace's action units (means over the clip) under EmoBox's
folds. The Korean corpus, part emotional-to-emotional: sound and transcripts, folds by speaker; its sentences tell the
class and are the same for all speakers, so what the words reach there is memory of sentences.

Every row is a run below OUT; finished ones are kept, and with --finished nothing is trained. Shown: WA and UA of the
most probable class with 95 % intervals over speakers, then accuracy, WAcc and F1 of the answer yes or no to each
emotion, and those of "no" to everything. One thread, one process.
"""

import argparse
from pathlib import Path
from typing import Any

from serenade.evaluation.splits import parse_split
from serenade.experiments.answers import figures_of_run
from serenade.experiments.series import Member, Planner, run_series, summaries_of
from serenade.experiments.settings import CorpusSettings, ExperimentSettings

FACE_AND_VOICE = (("face",), ("audio",), ("audio", "face"))
KOREAN_PART = "emotional-to-emotional"
VOICE_AND_WORDS = (("audio",), ("text",), ("text", "audio"))


def members(prefix: str, presets: list[str], subsets: tuple[tuple[str, ...], ...], **changes: Any) -> list[Member]:
    """A row for each network and subset of the modalities."""
    return [
        Member(f"{prefix}-{preset}-{'-'.join(subset)}", preset, changes={"modalities": list(subset), **changes})
        for preset in presets
        for subset in subsets
    ]


def show(out: Path, names: list[str]) -> None:
    print(f"{'run':<36}{'WA':>6}{'interval':>15}{'UA':>7}{'interval':>15}{'acc.':>8}{'WAcc':>7}{'F1':>7}  seeds")
    summaries = summaries_of(out, names)
    for name in names:
        summary = summaries[name]
        if summary is None:
            continue
        figures = figures_of_run(out / name)
        both = " ".join(with_interval(summary["metrics"][metric]["pooled"]) for metric in ("wa", "ua"))
        whole = "" if figures["complete"] else "  (unfinished)"
        print(f"{name:<36}{both}{answers(figures['figures'])}  {figures['seeds']}{whole}")
    first = next(name for name in names if summaries[name] is not None)
    print(f"{'no to everything':<79}{answers(figures_of_run(out / first)['always_no'])}")


def with_interval(pooled: dict[str, Any]) -> str:
    mean, low, high = (100 * pooled[name] for name in ("mean", "low", "high"))
    return f"{mean:>6.1f}{f'{low:.1f} to {high:.1f}':>15}"


def answers(figures: dict[str, Any]) -> str:
    values = [100 * figures[name]["mean"] for name in ("accuracy", "weighted_accuracy", "f1")]
    return f"{values[0]:>8.1f}{values[1]:>7.1f}{values[2]:>7.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ravdess", type=Path)
    parser.add_argument("--units", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--emotiontts", type=Path)
    parser.add_argument("--presets", default="lf-lstm,lf-trans")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--finished", action="store_true")
    given = parser.parse_args()
    presets, training = given.presets.split(","), {"training": {"epochs": given.epochs}}
    if given.ravdess is not None:
        base = settings("ravdess", given.ravdess, f"emobox:{given.splits.absolute()}", training, given.seeds)
        units = str(given.units.absolute())
        do(given, base, members("ravdess", presets, FACE_AND_VOICE, face_units=units))
    if given.emotiontts is not None:
        base = settings("emotiontts-ko", given.emotiontts, "kfold:5", training, given.seeds, part=KOREAN_PART)
        do(given, base, members("emotiontts", presets, VOICE_AND_WORDS))


def settings(
    corpus: str, root: Path, split: str, system: dict[str, Any], seeds: int, **where: str
) -> ExperimentSettings:
    return ExperimentSettings(
        corpora=(CorpusSettings(name=corpus, root=root.absolute()),),
        split=parse_split(split),
        where=where,
        system=system,
        seeds=seeds,
        device="cpu",
    )


def do(given: argparse.Namespace, base: ExperimentSettings, wanted: list[Member]) -> None:
    if not given.finished:
        run_series(Planner(base).plan(wanted), given.out, workers=1)
    show(given.out, [member.name for member in wanted])


if __name__ == "__main__":
    main()
