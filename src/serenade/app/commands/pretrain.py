"""``serenade pretrain``: an upstream of one's own, from speech without labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serenade.app.commands.split import SPLIT_FORMS
from serenade.app.console import say
from serenade.app.options import Device, Quiet, UnlabelledHours

if TYPE_CHECKING:
    from serenade.experiments.pretraining import PretrainSettings

__all__ = ["pretrain"]


def pretrain(
    out: Annotated[Path, typer.Option(help="The upstream's folder.")],
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Speech to hear whole: a corpus, or unlabelled=FOLDER; repeat for several.",
        ),
    ] = None,
    unlabelled_hours: UnlabelledHours = None,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="A labelled corpus of which only the training part of a fold is heard, without labels; repeat.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help=f"The folds of these corpora: {SPLIT_FORMS}")] = None,
    fold: Annotated[str | None, typer.Option(help="The fold whose training part is heard.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps; as training.steps if not given.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, such as network.width=192 or training.batch_size=16.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with all of this; options here win.")] = None,
    mixed_licences: Annotated[
        bool, typer.Option("--mixed-licences", help="Mix corpora for commercial use with some that are not.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; one per processor if not given.")] = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Make a compact upstream from speech without labels, for use with a few labelled recordings.

    Interrupt it when you like: the same command goes on from the last saved state. What was heard is written into the
    folder as hashes of speakers and recordings; their licences stand in its card.
    """
    from serenade.app.experiment import Shown, tell_unlabelled
    from serenade.core.records import Listing
    from serenade.experiments.pretraining import pretrain_upstream, read_pretraining_speech

    given = {
        "unlabelled": unlabelled,
        "hours": unlabelled_hours,
        "corpora": corpus,
        "split": split,
        "fold": fold,
        "steps": steps,
        "mixed_licences": mixed_licences or None,
        "threads": threads,
        "device": device,
    }
    settings = _settings(config, {name: value for name, value in given.items() if value}, change or [])
    with Shown(quiet) as shown:
        speech = read_pretraining_speech(settings, shown)
        names = dict.fromkeys(corpus.name for corpus in (*settings.unlabelled.corpora, *settings.corpora))
        tell_unlabelled(Listing(speech.all, speech.left_out), names, shown)
        pretrain_upstream(settings, speech, out, watcher=shown)
    say(f"Upstream: {out}    Next: serenade upstream check {out}", quiet=quiet)


def _settings(config: Path | None, given: dict[str, Any], changes: list[str]) -> "PretrainSettings":
    from serenade.app.experiment import corpus_option
    from serenade.core.devices import cpu_budget
    from serenade.core.settings import load_toml, make_settings, merge
    from serenade.evaluation.splits import parse_split
    from serenade.experiments.pretraining import PretrainSettings

    values: dict[str, Any] = {"threads": cpu_budget()}
    beside: dict[str, Any] = {}
    if "unlabelled" in given:
        beside["corpora"] = [corpus_option(text) for text in given.pop("unlabelled")]
    if "hours" in given:
        beside["hours"] = given.pop("hours")
    if "corpora" in given:
        given["corpora"] = [corpus_option(text) for text in given["corpora"]]
    if "split" in given:
        given["split"] = parse_split(given["split"]).model_dump(mode="json", exclude_none=True)
    if "steps" in given:
        given["training"] = {"steps": given.pop("steps")}
    values = merge(values, load_toml(config) if config is not None else {}, given, {"unlabelled": beside})
    return make_settings(PretrainSettings, values, changes, where=str(config) if config is not None else "options")
