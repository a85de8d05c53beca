"""``serenade evaluate``: stored models under noise, attacks and bad channels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import say
from serenade.app.experiment import Shown
from serenade.app.options import AutoDevice, Quiet, Workers
from serenade.core.devices import cpu_budget
from serenade.core.errors import UsageError

if TYPE_CHECKING:
    from serenade.experiments.conditional import Bench
    from serenade.reports.robustness import Sample

__all__ = ["evaluate"]


def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            "-c",
            help="noise:0,10,20; fgsm:0.08, bim:0.08, pgd:0.08 (features), fgsm-wave:0.001 and so on (waveform); or a "
            "chain of augmentations such as telephone or reverb:0.6,gain:-12. A name alone is a usual sweep. Repeat.",
        ),
    ] = None,
    noise: Annotated[Path | None, typer.Option(help="Folder of noise recordings, such as DEMAND.")] = None,
    environment: Annotated[list[str] | None, typer.Option(help="Of the noise, the ones to use; repeat.")] = None,
    responses: Annotated[
        Path | None, typer.Option(help="Impulse responses of rooms, a file or a folder; synthesised if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the page and the tables; of one run RUN/conditions if not given.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Utterances to hear under every condition.")] = 1,
    workers: Workers = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads per job.")] = 1,
    device: AutoDevice = "auto",
    quiet: Quiet = False,
) -> None:
    """Test the models of finished runs under noise, attacks, rooms and bad channels, without training.

    Every utterance is tested by the model that tested it in its run, and all runs hear the same mixtures. What was
    tested before is kept.
    """
    from serenade.experiments.conditional import FOLDER, Bench, evaluate_run
    from serenade.experiments.conditions import parse_conditions
    from serenade.experiments.robustness import robustness_of
    from serenade.reports.robustness import robustness_table, write_robustness
    from serenade.reports.tables import to_text

    if not condition:
        raise UsageError("no condition is given", hint="Say --condition noise:0,10,20 or another; --help lists them")
    if out is None and len(runs) > 1:
        raise UsageError("several runs need a folder for their page", hint="Say --out FOLDER")
    bench = Bench(tuple(parse_conditions(condition)), noise, tuple(environment or ()), responses, device, threads)
    jobs = workers if workers is not None else max(1, cpu_budget() // threads)
    with Shown(quiet) as shown:
        bench = bench.ready(shown.warn)  # once for all runs: it listens to all noise
        tested = [(run, evaluate_run(run, bench, workers=jobs, watcher=shown)) for run in runs]
    document = robustness_of(tested, _about(bench))
    print(to_text(robustness_table(document)))
    written = write_robustness(document, out or runs[0] / FOLDER, _samples(runs[0], bench, examples))
    say(f"Page: {written[-1]}", quiet=quiet)


def _about(bench: "Bench") -> list[str]:
    """What the conditions are made of, in words."""
    about = []
    if any(condition.kind == "noise" for condition in bench.conditions):
        used = f", environments {', '.join(bench.environments)}" if bench.environments else ""
        name = bench.noise.name if bench.noise is not None else ""
        about.append(
            f"Noise: recordings of {name}{used}, at ratios of the active speech level (ITU-T P.56) to the noise; "
            "environment, recording and start are drawn from seed, utterance and ratio, so all runs hear the same."
        )
    if any(condition.kind == "features" for condition in bench.conditions):
        about.append(
            "FGSM, BIM, PGD: white box, against the model that is tested; the bound is in standard deviations of each "
            "feature over the training part."
        )
    if any(condition.kind == "waveform" for condition in bench.conditions):
        about.append("-wave: the same on the waveform, through the front end; the bound is in parts of full scale.")
    return about


def _samples(run: Path, bench: "Bench", count: int) -> "list[Sample]":
    """The first utterances of a run under every condition that can be heard."""
    from serenade.app.sound import encode
    from serenade.experiments.conditional import hear
    from serenade.reports.robustness import Sample
    from serenade.signal.audio import SAMPLE_RATE

    return [
        Sample(condition.text, name, encode(waveform.numpy(), SAMPLE_RATE))
        for condition, name, waveform in hear(run, bench, count)
    ]
