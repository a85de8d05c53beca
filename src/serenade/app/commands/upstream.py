"""``serenade upstream``: pretrained networks that lie on this disk."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from serenade.app.console import say

if TYPE_CHECKING:
    from serenade.inference.upstream_cost import ExtractionCost, UpstreamFacts

__all__ = ["app", "check"]

app = typer.Typer(help="Look at a pretrained network on this disk: check.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `check` a word of its own, also while it is the only one."""


@app.command("check")
def check(
    folder: Path = typer.Argument(help="Folder in the layout of the Hugging Face hub.", show_default=False),
    hours: float = typer.Option(10.0, min=0, help="Hours of speech to tell the cost of."),
    clip: float = typer.Option(5.0, min=0.01, help="Seconds of the clips that the speed is measured with."),
    threads: int | None = typer.Option(None, min=1, help="Threads; as torch chooses if not given."),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:N."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Show no progress."),
) -> None:
    """Say what a checkpoint is, whether every weight was loaded, its speed here and what extraction would cost.

    wav2vec 2.0, HuBERT, WavLM, data2vec-audio and Whisper. A weight that is missing, or that has no place in the
    network, is an error; so is a checkpoint that was fine-tuned for speech recognition or another task.
    """
    import torch

    from serenade.core.devices import choose_device
    from serenade.inference.upstream_cost import describe_upstream, extraction_cost, measure_speed
    from serenade.models.upstreams.checkpoint import open_upstream
    from serenade.models.upstreams.masked_mel import read_pretraining

    place = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    say(f"Reading {folder}", quiet=quiet)
    upstream = open_upstream(folder)
    facts = describe_upstream(upstream)
    say(f"Measuring with clips of {clip:g} s", quiet=quiet)
    speed = measure_speed(upstream.to(place), clip_s=clip)
    count = torch.get_num_threads()
    where = f"{count} thread{'s' * (count > 1)}" if place.type == "cpu" else str(place)
    cost = extraction_cost(facts, hours, speed)
    for name, text in [
        *_lines(facts, cost, hours, f"{speed:.1f} x real time (clips of {clip:g} s, {where}, float32)"),
        *_heard(read_pretraining(folder)),
    ]:
        print(f"{name:<14}{text}")


def _lines(facts: "UpstreamFacts", cost: "ExtractionCost", hours: float, speed: str) -> list[tuple[str, str]]:
    longest = "" if facts.longest_s is None else f" to {facts.longest_s:g} s"
    return [
        ("architecture", f"{facts.kind}, {facts.num_layers - 1} blocks, {facts.parameters:,} parameters"),
        ("weights", f"all {facts.weights} loaded, none missing, none left over"),
        ("frames", f"{facts.dim} numbers, {facts.frame_rate:g} per second"),
        ("takes", f"{facts.sample_rate} Hz, from {facts.shortest_s:.4f} s{longest}"),
        ("speed here", speed),
        (
            f"{hours:g} h of sound",
            f"{cost.hours:.2f} h to extract; in float16 {cost.one_layer_gib:.2f} GiB for one layer, "
            f"{cost.all_layers_gib:.2f} GiB for all {facts.num_layers}",
        ),
    ]


def _heard(about: "Mapping[str, Any] | None") -> Iterator[tuple[str, str]]:
    """What an upstream of `serenade pretrain` says of the speech it was made from."""
    if about is None:
        return
    use = {True: "commercial use permitted", False: "NOT for commercial use", None: "see its owner's terms"}
    for corpus in about["corpora"]:
        speakers = f"{corpus['speakers']} speakers" if corpus["speakers"] else "speakers not known"
        told = f"{corpus['recordings']} recordings, {speakers}, {corpus['minutes']:.1f} minutes"
        yield "pretrained on", f"{corpus['title']}: {told}"
        yield "licence", f"{corpus['title']}: {corpus['licence']} ({use[corpus['commercial_use']]})"
    if about["part"] is not None:
        yield "part heard", f"of labelled corpora: training, fold {about['part']['fold']} of {about['part']['split']}"
