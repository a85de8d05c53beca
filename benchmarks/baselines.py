"""Every corpus under leave-one-speaker-out: what guessing, plain classifiers and GLAM reach (docs/results.md).

    python benchmarks/baselines.py --corpora emodb=PATH ravdess=PATH nemo=PATH turevdb=PATH emotiontts-ko=PATH \
        --emobox PATH

`--emobox` is the folder that holds EmoBox's lists (`emodb/`, `ravdess/`, `turevdb/`). With it EMO-DB and TurEV-DB are
also tested under those lists, which have the same speakers on both sides: the difference is what that is worth. The
presets `egemaps-svm` and `compare-svm` need `pip install opensmile`, whose licence is for research only. A preset
followed by `+speakers` is run with per-speaker normalisation, a protocol of its own. Every run is resumable: started
again it goes on where it stopped. At the end `corpora.md` is written, from all runs that are there.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from serenade.core.files import read_json
from serenade.experiments.summary import summarise
from serenade.reports.tables import Bounds, Figure, Table, notes_of, to_markdown

LABELS = {"emodb": "angry,bored,fearful,happy,neutral,sad"}  # of disgust only 9 whole recordings are at hand
SHARED = {"emodb", "turevdb"}  # EmoBox's lists of these have the same speakers in training and test
LEAKY = "EmoBox's lists have the same speakers in training and test"
PRESETS = ("baseline", "egemaps-svm", "compare-svm", "glam-cpu")
SPEAKERS = "+speakers"


def runs(options: argparse.Namespace) -> Iterator[tuple[str, str, str, list[str]]]:
    """Preset, corpus, protocol, and the arguments of `serenade run` after the preset.

    The plain classifiers choose their penalty on speakers held out inside the training part, GLAM chooses nothing:
    all of them have learnt from all speakers but the tested one.
    """
    for given in options.corpora:
        corpus = given.partition("=")[0]
        labels = ["--labels", LABELS[corpus]] if corpus in LABELS else []
        protocols = {"loso": "loso:0"}
        if options.emobox is not None and (options.emobox / corpus).is_dir():
            leaky = f",leaky={LEAKY}" if corpus in SHARED else ""
            protocols["emobox"] = f"emobox:{options.emobox / corpus},validation_speakers=0{leaky}"
        for protocol, split in protocols.items():
            for preset in options.presets:
                yield preset, corpus, protocol, ["--corpus", given, "--split", split, *labels]


def do(preset: str, arguments: list[str], out: Path, options: argparse.Namespace) -> None:
    """One run; what is finished of it is kept."""
    name, speakers, _ = preset.partition(SPEAKERS)
    seeds = options.seeds if name.startswith("glam") else 1  # nothing else is drawn at random
    command = [sys.executable, "-m", "serenade.app", "run", name, *arguments, "--seeds", str(seeds), "--out", str(out)]
    command += ["--set", "speaker_normalisation=all_utterances"] if speakers else []
    command += ["--workers", str(options.workers)] if options.workers else []
    subprocess.run(command, check=True)


def table_of(found: Mapping[tuple[str, str, str], dict[str, Any]]) -> str:
    """A row for each corpus, protocol and preset, chance first; UA and WA with intervals over speakers."""
    rows: list[tuple[str | Figure | Bounds, ...]] = []
    notes = ["In per cent, all folds together; 95 % intervals by bootstrap over speakers."]
    for corpus, protocol in dict.fromkeys((corpus, protocol) for _, corpus, protocol in found):
        here = {preset: summary for (preset, c, p), summary in found.items() if (c, p) == (corpus, protocol)}
        first = next(iter(here.values()))
        chance = first["chance"]
        tested = f"{first['data']['tested']:,} of {len(first['speakers'])} speakers, {len(first['labels'])} classes"
        mark = " (LEAKY)" if first["split"]["leaky"] is not None else ""
        head = (f"{corpus}, {protocol}{mark}", tested)
        rows.append((*head, "chance", Figure(100 * chance["ua"]), Bounds(None, None), Figure(100 * chance["wa"]), "–"))
        for preset, summary in here.items():
            ua, wa = (summary["metrics"][name]["pooled"] for name in ("ua", "wa"))
            gain = _gain(found, preset, corpus, protocol)
            name = preset.replace(SPEAKERS, " (TRANSDUCTIVE)")
            figures = (_figure(ua), Bounds(100 * ua["low"], 100 * ua["high"]), _figure(wa), gain)
            rows.append(("", "", name, *figures))
    columns = ("corpus, protocol", "tested", "system", "UA", "95 % interval", "WA", "against loso")
    return to_markdown(Table(columns, tuple(rows), (*notes, *_notes(found.values()))))


def _notes(summaries: Iterable[dict[str, Any]]) -> list[str]:
    """What must be said of the runs, each thing once with the runs of which it holds."""
    holds: dict[str, list[str]] = {}
    for summary in summaries:
        for note in notes_of(summary):
            holds.setdefault(note.removeprefix(summary["name"]), []).append(summary["name"])
    return [f"{', '.join(names)}{text}" for text, names in holds.items()]


def _figure(metric: Mapping[str, Any]) -> Figure:
    return Figure(100 * metric["mean"], None if metric["std"] is None else 100 * metric["std"])


def _gain(found: Mapping[tuple[str, str, str], dict[str, Any]], preset: str, corpus: str, protocol: str) -> str:
    """Points of UA more than under leave-one-speaker-out."""
    base = found.get((preset, corpus, "loso"))
    if protocol == "loso" or base is None:
        return "–"
    difference = (
        found[preset, corpus, protocol]["metrics"]["ua"]["pooled"]["mean"] - base["metrics"]["ua"]["pooled"]["mean"]
    )
    return Figure(100 * difference, signed=True).text()


def main() -> int:
    """Do the runs that are asked for, one after the other, then write the table of all that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", required=True, metavar="NAME=PATH")
    parser.add_argument("--emobox", type=Path, help="folder of EmoBox's lists, one folder per corpus in it")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), help="presets; NAME+speakers: see above")
    parser.add_argument("--only", nargs="*", help="runs to do, such as emodb-loso; none: write the table alone")
    parser.add_argument("--seeds", type=int, default=3, help="of GLAM")
    parser.add_argument("--workers", type=int, help="jobs at once")
    options = parser.parse_args()
    found = {}
    for preset, corpus, protocol, arguments in runs(options):
        out = options.out / f"{preset}-{corpus}-{protocol}"
        if options.only is None or f"{corpus}-{protocol}" in options.only:
            do(preset, arguments, out, options)
        if any(out.glob("jobs/*/record.json")):
            stored = out / "summary.json"  # `serenade run` writes it at its end
            found[preset, corpus, protocol] = read_json(stored) if stored.is_file() else summarise(out)
    if not found:
        parser.error("no run is done yet")
    table = table_of(found)
    (options.out / "corpora.md").write_text(table + "\n", encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
