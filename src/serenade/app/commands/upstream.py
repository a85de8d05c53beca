"""``serenade upstream``: pretrained networks that lie on this disk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from serenade.app.commands.upstream_extract import extract, read_corpora
from serenade.app.commands.upstream_stores import stores
from serenade.app.console import say
from serenade.app.options import AutoDevice, Corpora, Quiet
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
    hours: float = typer.Option(10.0, min=0, help="Hours of speech to tell the cost of, where no corpus is given."),
    corpus: Corpora = None,
    fine_tune: bool = typer.Option(
        False, "--fine-tune", help="Train two steps, in memory alone, and say what training it along would cost."
    ),
    clip: float = typer.Option(5.0, min=0.01, help="Seconds of the clips that the speed is measured with."),
    threads: int | None = typer.Option(None, min=1, help="Threads; as torch chooses if not given."),
    device: AutoDevice = "auto",
    measure: bool = typer.Option(
        False, "--measure", help="Measure every engine that is installed, and use the quickest from now on."
    ),
    quiet: Quiet = False,
) -> None:
    """Say what an upstream is, whether every weight was loaded, its speed here and what it would cost on a corpus.

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
    asked = _asked(upstream, corpus or [], hours, quiet)
    if asked.told:
        print(f"{'the corpus':<14}{asked.told}")
    say(f"Measuring with clips of {clip:g} s", quiet=quiet or facts.modality == "text")
    for title, text in _costs(upstream, facts, clip, asked, measure, place):
        print(f"{title:<14}{text}")
    del upstream  # its weights would count as memory of fine-tuning
    trained = _fine_tuning(name, facts, clip, asked, place) if fine_tune else iter(())
    for title, text in [*trained, *_heard(read_pretraining(name))]:
        print(f"{title:<14}{text}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the cost is asked of."""

    amount: float  # seconds of sound, or transcripts; 0 if not known
    tokens: int = 0
    told: str = ""


def _asked(upstream: "Upstream", corpora: list[str], hours: float, quiet: bool) -> _Asked:
    if not corpora:
        return _Asked(0.0 if upstream.modality == "text" else 3600 * hours)
    utterances, _ = read_corpora(corpora, quiet)
    if upstream.modality == "text":
        texts = {(utterance.text or "").strip() for utterance in utterances} - {""}
        silent = sum(not (utterance.text or "").strip() for utterance in utterances)
        tokens = sum(len(upstream.prepare_text(text)) for text in texts)
        lacking = f"; {silent} of {counted(len(utterances), 'utterance')} have none" if silent else ""
        return _Asked(len(texts), tokens, f"{counted(len(texts), 'transcript')}, {tokens:,} tokens{lacking}")
    seconds = sum(utterance.duration_s or 0.0 for utterance in utterances)
    return _Asked(seconds, told=f"{counted(len(utterances), 'recording')}, {seconds / 3600:.2f} h")


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
    upstream: "Upstream", facts: "UpstreamFacts", clip: float, asked: _Asked, measure: bool, place: "torch.device"
) -> Iterator[tuple[str, str]]:
    """Speed here, and what a corpus would cost."""
    from serenade.inference.upstream_cost import extraction_cost, measure_engine, measure_speed, text_cost
    from serenade.models.upstreams.engine_choice import keep_speeds, quick_upstream
    from serenade.models.upstreams.engines import engines_for

    text, where = facts.modality == "text", _where(place)
    unit = "transcripts per second" if text else "x real time"
    if measure and place.type == "cpu":
        measured = [measure_engine(upstream, engine, clip_s=clip) for engine in engines_for(upstream)]
        for one in measured:
            yield "engine", f"{one.engine}: {one.speed:.1f} {unit}, frames differ by {100 * one.deviation:.2g} %"
        engine = keep_speeds(upstream, place, measured)
        speed = next(one.speed for one in measured if one.engine == engine)
        yield "chosen", f"{engine}, from now on for upstreams of this size with {where}"
    else:
        quick, engine = quick_upstream(upstream, place)
        speed = measure_speed(quick, clip_s=clip)
    items = "ten words each" if text else f"clips of {clip:g} s"
    yield "speed here", f"{speed:.1f} {unit} ({items}, {where}, {engine})"
    if not asked.amount:
        return
    hours = asked.amount / 3600
    cost = text_cost(facts, asked.amount, asked.tokens, speed) if text else extraction_cost(facts, hours, speed)
    room = (
        f"; in float16 {cost.one_layer_gib:.2f} GiB for one layer, {cost.all_layers_gib:.2f} GiB for all "
        f"{facts.num_layers}"
    )
    told = room if text or facts.frame_rate is not None else ""
    yield "transcripts" if text else f"{round(hours, 2):g} h of sound", f"{cost.hours:.2f} h to extract{told}"


def _fine_tuning(
    name: str, facts: "UpstreamFacts", clip: float, asked: _Asked, place: "torch.device"
) -> Iterator[tuple[str, str]]:
    """Pace and memory of fine-tuning here, and what a whole training would cost."""
    from serenade.inference.fine_tuning_cost import fine_tuning_cost, measure_fine_tuning

    text = facts.modality == "text"
    pace = measure_fine_tuning(name, "text" if text else "speech", place, clip_s=clip)
    items = f"{pace.count} transcripts of ten words" if text else f"{pace.count} clips of {clip:g} s"
    unit = "transcripts per second" if text else "x real time"
    memory = "" if pace.memory_gib is None else f"; {pace.memory_gib:.2f} GiB of memory"
    yield "fine-tuning", f"{pace.speed:.2f} {unit} ({items} at once, {_where(place)}, float32){memory}"
    if asked.amount:
        cost = fine_tuning_cost(pace, asked.amount)
        yield (
            "to fine-tune",
            f"{cost.hours:.2f} h for {pace.epochs} epochs on all of it, in each fold; {cost.disk_gib:.2f} GiB of disk "
            f"meanwhile, {cost.model_gib:.2f} GiB for the model",
        )


def _where(place: "torch.device") -> str:
    import torch

    return counted(torch.get_num_threads(), "thread") if place.type == "cpu" else str(place)


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
