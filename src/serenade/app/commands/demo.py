"""``serenade demo``: the main job once, from recordings to an honest number and back; needs no download."""

from pathlib import Path
from typing import Annotated

import typer

from serenade.app.console import Progress, say
from serenade.app.options import Quiet
from serenade.core.errors import UsageError

__all__ = ["demo"]

_SPEAKERS, _UTTERANCES_PER_CLASS = 12, 5
_FOLDS = 4


def demo(
    corpus: Annotated[str, typer.Option(help="A corpus of `serenade corpus list`.")] = "synthetic",
    root: Annotated[Path | None, typer.Option(help="Where it lies; the synthetic one is made.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of everything the demo makes.")] = Path("demo"),
    quiet: Quiet = False,
) -> None:
    """Train GLAM speaker-independently, print the table, write the report, predict recordings of an unseen speaker.

    Without a corpus of your own it uses voices that Serenade synthesises; scores on them say nothing of people.
    """
    from serenade.app.commands.report import report
    from serenade.app.commands.run import run

    if root is None:
        if corpus != "synthetic":
            raise UsageError(
                f"the demo needs to know where the corpus {corpus!r} lies", hint="Give it with --root PATH"
            )
        root = out / "synthetic"
        _synthesise(root, quiet)
    folder = out / f"run-{corpus}"
    say(f"1. Train and test GLAM on {corpus}: {_FOLDS} folds, every speaker tested by a model that never heard them.")
    run(
        preset="glam-cpu",
        corpus=[f"{corpus}={root}"],
        split=f"kfold:{_FOLDS}",
        out=folder,
        quiet=quiet,
    )
    say("2. Write the report.")
    report([folder], quiet=True)
    say("3. Predict recordings of a speaker whom the model never heard.")
    _predict_unseen(folder)


def _synthesise(root: Path, quiet: bool) -> None:
    from serenade.corpora.synthetic import generate

    say(f"0. Synthesise {_SPEAKERS} speakers (a made-up corpus: it shows how things work, not how well).")
    with Progress("Synthesising", unit="recordings", quiet=quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.set_total(total)
            progress.advance(done - progress.done)

        generate(root, speakers=_SPEAKERS, utterances_per_class=_UTTERANCES_PER_CLASS, progress=show)


def _predict_unseen(folder: Path) -> None:
    """One recording per class of a test speaker of the first fold, by that fold's model."""
    from serenade.experiments.folder import JobKey, RunFolder
    from serenade.inference.recognizer import Recognizer

    run = RunFolder(folder)
    fold = run.read_split().folds[0]
    recogniser = Recognizer.load(run.job(JobKey(fold.name, 0)) / "model")
    tested = [u for u in run.read_utterances() if u.id in set(fold.test)]
    chosen = {u.emotion: u for u in reversed(tested) if u.speaker == tested[0].speaker}
    print(f"\n{'recording':<24} {'spoken as':<12} {'heard as':<12} score")
    for utterance in sorted(chosen.values(), key=lambda u: u.id):
        heard = recogniser(utterance.audio)
        print(f"{utterance.audio.name:<24} {utterance.emotion:<12} {heard.label:<12} {heard.score:.2f}")
