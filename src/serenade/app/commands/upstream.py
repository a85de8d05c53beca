"""``serenade upstream``: pretrained networks that lie on this disk."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from serenade.app.commands.upstream_extract import extract
from serenade.app.commands.upstream_stores import stores
from serenade.app.console import say
from serenade.app.options import AutoDevice, Quiet
from serenade.core.wording import counted

if TYPE_CHECKING:
    import torch

    from serenade.inference.upstream_cost import UpstreamFacts
    from serenade.models.upstreams.upstream import Upstream

__all__ = ["app", "check"]

app = typer.Typer(help="Pretrained networks on this disk: check, extract, stores.", no_args_is_help=True)
app.command("extract")(extract)
app.command("stores")(stores)


@app.command("check")
def check(
    name: str = typer.Argument(metavar="UPSTREAM", help="A folder, or a name such as filter-bank.", show_default=False),
    hours: float = typer.Option(10.0, min=0, help="Hours of speech to tell the cost of."),
    clip: float = typer.Option(5.0, min=0.01, help="Seconds of the clips that the speed is measured with."),
    threads: int | None = typer.Option(None, min=1, help="Threads; as torch chooses if not given."),
    device: AutoDevice = "auto",
    measure: bool = typer.Option(
        False, "--measure", help="Measure every engine that is installed, and use the quickest from now on."
    ),
    quiet: Quiet = False,
) -> None:
    """Say what an upstream is, whether every weight was loaded, its speed here and what extraction would cost.

    An upstream is a folder: wav2vec 2.0, HuBERT, WavLM, data2vec-audio, Whisper, BERT and its kin, what `serenade
    pretrain` made, a model trained here; or a name: filter-bank, log-mel, mfcc, functionals, egemaps, compare.

    A weight that is missing, or that has no place in the network, is an error; so is a checkpoint that was fine-tuned
    for speech recognition or another task.
    """
    import torch

    from serenade.core.devices import choose_device
    from serenade.inference.upstream_cost import describe_upstream
    from serenade.models.upstreams.masked_mel import read_pretraining
    from serenade.systems.upstreams import named_upstream

    place = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    say(f"Reading {name}", quiet=quiet)
    upstream = named_upstream(name).to(place)
    facts = describe_upstream(upstream)
    for title, text in _facts(facts):
        print(f"{title:<14}{text}")
    say(f"Measuring with clips of {clip:g} s", quiet=quiet or facts.modality == "text")
    costs = _text_speed(upstream) if facts.modality == "text" else _costs(upstream, facts, clip, hours, measure, place)
    for title, text in [*costs, *_heard(read_pretraining(name))]:
        print(f"{title:<14}{text}")


def _facts(facts: "UpstreamFacts") -> Iterator[tuple[str, str]]:
    yield "architecture", f"{facts.kind}, {facts.num_layers - 1} blocks, {facts.parameters:,} parameters"
    if facts.weights:
        yield "weights", f"all {facts.weights} loaded, none missing, none left over"
    if facts.modality == "text":
        yield "frames", f"{facts.dim} numbers, one per token"
        yield "takes", f"transcripts; longer ones are cut to {facts.most_tokens} tokens"
        return
    spaced = "not evenly spaced in time" if facts.frame_rate is None else f"{facts.frame_rate:g} per second"
    yield "frames", f"{facts.dim} numbers, {spaced}"
    longest = "" if facts.longest_s is None else f" to {facts.longest_s:g} s"
    yield "takes", f"{facts.sample_rate} Hz (others are resampled), from {facts.shortest_s:.4f} s{longest}"


def _costs(
    upstream: "Upstream", facts: "UpstreamFacts", clip: float, hours: float, measure: bool, place: "torch.device"
) -> Iterator[tuple[str, str]]:
    """Speed here, and what a corpus would cost."""
    import torch

    from serenade.inference.upstream_cost import extraction_cost, measure_engine, measure_speed
    from serenade.models.upstreams.engine_choice import keep_speeds, quick_upstream
    from serenade.models.upstreams.engines import engines_for

    count = torch.get_num_threads()
    where = f"{count} thread{'s' * (count > 1)}" if place.type == "cpu" else str(place)
    if measure and place.type == "cpu":
        measured = [measure_engine(upstream, engine, clip_s=clip) for engine in engines_for(upstream)]
        for one in measured:
            yield "engine", f"{one.engine}: {one.speed:.1f} x real time, frames differ by {100 * one.deviation:.2g} %"
        engine = keep_speeds(upstream, place, measured)
        speed = next(one.speed for one in measured if one.engine == engine)
        yield "chosen", f"{engine}, from now on for upstreams of this size with {where}"
    else:
        quick, engine = quick_upstream(upstream, place)
        speed = measure_speed(quick, clip_s=clip)
    yield "speed here", f"{speed:.1f} x real time (clips of {clip:g} s, {where}, {engine})"
    cost = extraction_cost(facts, hours, speed)
    room = (
        f"; in float16 {cost.one_layer_gib:.2f} GiB for one layer, {cost.all_layers_gib:.2f} GiB for all "
        f"{facts.num_layers}"
    )
    told = room if facts.frame_rate is not None else ""
    yield f"{hours:g} h of sound", f"{cost.hours:.2f} h to extract{told}"


def _text_speed(upstream: "Upstream") -> Iterator[tuple[str, str]]:
    from serenade.inference.upstream_cost import measure_text_speed

    yield "speed here", f"{measure_text_speed(upstream):.0f} transcripts of ten words per second"


def _heard(about: "Mapping[str, Any] | None") -> Iterator[tuple[str, str]]:
    """What an upstream of `serenade pretrain` says of the speech it was made from."""
    if about is None:
        return
    use = {True: "commercial use permitted", False: "NOT for commercial use", None: "see its owner's terms"}
    for corpus in about["corpora"]:
        speakers = counted(corpus["speakers"], "speaker") if corpus["speakers"] else "speakers not known"
        told = f"{counted(corpus['recordings'], 'recording')}, {speakers}, {corpus['minutes']:.1f} minutes"
        yield "pretrained on", f"{corpus['title']}: {told}"
        yield "licence", f"{corpus['title']}: {corpus['licence']} ({use[corpus['commercial_use']]})"
    if about["part"] is not None:
        yield "part heard", f"of labelled corpora: training, fold {about['part']['fold']} of {about['part']['split']}"
