"""A model for use: one system trained on everything the corpora hold, with the honest figures of a run in its card."""

import shutil
from pathlib import Path

import torch

from serenade.core.devices import choose_device
from serenade.core.errors import UsageError
from serenade.core.files import write_text
from serenade.core.labels import LabelSet, emotions_of
from serenade.core.records import Utterance
from serenade.core.seeding import derive_seed
from serenade.experiments.augmented import augmenter
from serenade.experiments.calibrating import calibration_of_run
from serenade.experiments.card import model_card
from serenade.experiments.data import data_fingerprint, make_examples, read_corpora
from serenade.experiments.folder import RunFolder
from serenade.experiments.jobs import differs_by_job
from serenade.experiments.run import Watcher
from serenade.experiments.settings import ExperimentSettings
from serenade.experiments.summary import summarise
from serenade.experiments.unlabelled import Pieces, describe_unlabelled, read_unlabelled
from serenade.systems import PRESETS, make_system, save_checkpoint, system_settings
from serenade.training.cache import FeatureCache
from serenade.training.description import write_calibration
from serenade.training.loop import train
from serenade.training.settings import TrainingSettings
from serenade.training.system import DeclaringSystem, Example, System

__all__ = ["train_final"]


def train_final(
    settings: ExperimentSettings, out: Path, *, figures: Path | None, watcher: Watcher, note: str | None = None
) -> None:
    """Train on all labelled utterances and write a model folder with its card.

    Nothing is held out, so nothing can be chosen: the weights are those of the last epoch. What the model is worth is
    told by a run of the same system on the same data under folds.

    Args:
        settings: of the data and the system; split and seeds are not used, the seed is 0.
        out: the model's folder; an interrupted training is taken up.
        figures: the folder of such a run; its figures go into the card, and the model is calibrated on its folds.
            None leaves both out, and the card says so.
        note: a remark on the figures for the card.
        watcher: is told how it goes.

    Raises:
        CorpusError: the data is not there or not usable.
        UsageError: `out` holds something else, the settings hold a grid to choose from or name models of folds, or the
            figures are of another system or other data.
    """
    if out.exists() and not (out / "model.toml").is_file():
        raise UsageError("the folder is there and is not a model", where=out, hint="Give another one with --out")
    if settings.grid:
        hint = "Leave the grid out and set what you have chosen; choices.json of a nested run says what its folds took"
        raise UsageError("a model is trained with one choice of settings", found=", ".join(settings.grid), hint=hint)
    if differs_by_job(settings):
        raise UsageError(
            "a model for use has no folds, so it cannot take what a run made for every fold",
            found="{job} in the settings",
            hint="Train the first stage with `serenade train` too, and name its folder",
        )
    resolved = _resolve(settings)
    torch.set_num_threads(settings.threads)
    watcher.stage("Reading the corpus", 0, "files")
    listing = read_corpora(settings, lambda done, total: watcher.done(done))
    utterances = listing.utterances
    watcher.stage("Reading unlabelled speech", 0, "files")
    unlabelled = read_unlabelled(settings, lambda done, total: watcher.done(done)).utterances
    labels = LabelSet.of(emotions_of(utterances))
    summary = None if figures is None else _figures(figures, resolved, utterances, unlabelled, labels)
    system = _train(resolved, utterances, unlabelled, labels, out, watcher)
    beside = describe_unlabelled(unlabelled)
    about = {
        "preset": resolved.preset,
        "corpora": sorted({u.corpus for u in utterances}),
        "utterances": len(utterances),
        "speakers": len({u.speaker for u in utterances}),
        "data": data_fingerprint(utterances),
        "seed": 0,
        **({"unlabelled": beside} if beside is not None else {}),
    }
    save_checkpoint(system, PRESETS[resolved.preset], out, about)
    calibration = None if figures is None else calibration_of_run(figures)
    if calibration is not None:
        write_calibration(out, calibration)
    limits = system.notes if isinstance(system, DeclaringSystem) else ()
    write_text(out / "card.md", model_card(resolved, utterances, labels, summary, note, limits, beside, calibration))
    shutil.rmtree(_state_folder(out), ignore_errors=True)


def _resolve(settings: ExperimentSettings) -> ExperimentSettings:
    """The settings with those of the system complete, and no choice of epoch nor of when to lower the rate."""
    kept = ["training.selection=last"]
    if _training_settings(settings).schedule in ("restore_and_halve", "new_bob"):  # both look at validation
        kept += ["training.schedule=decay", "training.learning_rate_decay=1.0"]
    values = system_settings(settings.preset, settings.system, kept).model_dump(mode="json", exclude_none=True)
    values["training"].pop("patience", None)
    return settings.model_copy(update={"system": values})


def _training_settings(settings: ExperimentSettings) -> TrainingSettings:
    """The loop's settings as preset and changes give them."""
    training = system_settings(settings.preset, settings.system).training  # type: ignore[attr-defined] # all have them
    assert isinstance(training, TrainingSettings)
    return training


def _state_folder(out: Path) -> Path:
    return out.with_name(f"{out.name}.training")


def _train(
    settings: ExperimentSettings,
    utterances: tuple[Utterance, ...],
    unlabelled: tuple[Utterance, ...],
    labels: LabelSet,
    out: Path,
    watcher: Watcher,
) -> System:
    device = choose_device(settings.device)
    torch.manual_seed(derive_seed(0, "weights"))
    system = make_system(PRESETS[settings.preset], settings.system, labels).to(device)
    examples = _examples(system, utterances, watcher)
    training = system.settings.training  # type: ignore[attr-defined] # every system has them
    assert isinstance(training, TrainingSettings)
    watcher.stage("Training", training.epochs, "epochs")
    train(
        system,
        examples,
        [],
        training,
        seed=0,
        device=device,
        unlabelled=Pieces(unlabelled, system, FeatureCache(), settings.unlabelled.piece_s) if unlabelled else None,
        augment=augmenter(training.augmentation, system),
        folder=_state_folder(out),
        key="|".join(
            [
                data_fingerprint((*utterances, *unlabelled)),
                settings.unlabelled.model_dump_json(),
                system.settings.model_dump_json(),
                str(labels.names),
            ]
        ),
        on_epoch=lambda entry: watcher.done(int(entry["epoch"]), f"loss {sum(entry['losses'].values()):.3f}"),
    )
    return system


def _examples(system: System, utterances: tuple[Utterance, ...], watcher: Watcher) -> list[Example]:
    watcher.stage("Extracting features", len(utterances), "utterances")
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        watcher.done(done)

    return make_examples(utterances, system, FeatureCache(), training=True, progress=count)


def _figures(
    run: Path,
    settings: ExperimentSettings,
    utterances: tuple[Utterance, ...],
    unlabelled: tuple[Utterance, ...],
    labels: LabelSet,
) -> dict[str, object]:
    """The summary of a run after making sure that it is of this system and this data."""
    folder = RunFolder(run).open()
    of_run = _resolve(folder.read_settings())
    summary: dict[str, object] = summarise(run)
    differences = {
        "the system's settings": of_run.system != settings.system or of_run.preset != settings.preset,
        "the data": data_fingerprint(folder.read_utterances()) != data_fingerprint(utterances),
        "the unlabelled speech": data_fingerprint(folder.read_unlabelled()) != data_fingerprint(unlabelled),
        "the classes": tuple(summary["labels"]) != labels.names,  # type: ignore[arg-type] # a list of names
    }
    for what, differs in differences.items():
        if differs:
            raise UsageError(
                f"these figures are not of this model: {what} differ",
                where=run,
                hint="Give --figures a run of the same preset, settings, corpora and classes",
            )
    return summary
