"""The model card: what a model was trained on, what it is worth, and what it is not for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from serenade.core.label_maps import parse_label_map
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.wording import counted
from serenade.corpora import CORPORA
from serenade.experiments.settings import ExperimentSettings
from serenade.training.description import Calibration

__all__ = ["calibration_sentence", "model_card", "unlabelled_sentence"]


def model_card(
    settings: ExperimentSettings,
    utterances: Sequence[Utterance],
    labels: LabelSet,
    summary: Mapping[str, Any] | None,
    note: str | None = None,
    limits: Sequence[str] = (),
    unlabelled: Mapping[str, Any] | None = None,
    calibration: Calibration | None = None,
) -> str:
    """Markdown.

    Args:
        settings: resolved settings the model was trained with.
        utterances: all of them were trained on.
        labels: the model's classes.
        summary: of a run of the same system and data under folds; None where there is none.
        note: what a reader of the figures should know besides, such as how the recipe was found.
        limits: what the system itself says against some uses, such as a licence.
        unlabelled: the unlabelled speech it learnt from, as `describe_unlabelled` tells; None where there was none.
        calibration: of the model's probabilities; None where it was not fitted.
    """
    names = ", ".join(CORPORA.resolve(corpus.name).title for corpus in settings.corpora)
    minutes = sum(u.duration_s or 0.0 for u in utterances) / 60
    speakers = Counter({u.speaker: u.gender or "sex unknown" for u in utterances}.values())
    sexes = ", ".join(f"{count} {sex}" for sex, count in sorted(speakers.items()))
    lines = [
        f"# {settings.preset} on {names}",
        "",
        f"{_headline(labels, names)} {_worth(summary)}",
        "",
        "## Data",
        "",
        f"{counted(len(utterances), 'utterance')}, {minutes:.1f} minutes, "
        f"{counted(sum(speakers.values()), 'speaker')} ({sexes}).",
        "All of them were trained on.",
        *_selection(settings),
        *([] if unlabelled is None else [unlabelled_sentence(unlabelled)]),
        "",
        *(_corpus_line(name) for name in _corpora(settings)),
        "",
        _use(_corpora(settings)),
        "",
        "## What it is worth",
        "",
        *_figures(summary, labels),
        "",
        calibration_sentence(calibration),
        *(["", note] if note is not None else []),
        "",
        "## What it is not for",
        "",
        *(f"* {limit}" for limit in limits),
        *_limits(settings),
        "",
    ]
    return "\n".join(lines)


def _corpora(settings: ExperimentSettings) -> list[str]:
    """Names of all corpora, labelled or not, each once."""
    return list(dict.fromkeys(corpus.name for corpus in (*settings.corpora, *settings.unlabelled.corpora)))


def _use(names: Sequence[str]) -> str:
    """Who may use the weights: the strictest of the corpora decides, also of those without labels."""
    corpora = [CORPORA.resolve(name) for name in names]
    bound = [corpus.title for corpus in corpora if corpus.commercial_use is False]
    unknown = [corpus.title for corpus in corpora if corpus.commercial_use is None]
    if bound:
        return (
            f"These weights are NOT for commercial use, because of {', '.join(bound)}. Do not average, distil or tune "
            "them into models that are free."
        )
    if unknown:
        return f"Whether these weights may be used commercially, the owner of {', '.join(unknown)} must say."
    return "All of this data may be used commercially."


def unlabelled_sentence(unlabelled: Mapping[str, Any]) -> str:
    """What it learnt from besides the labelled speech.

    Args:
        unlabelled: as `experiments.unlabelled.describe_unlabelled` tells.
    """
    titles = ", ".join(CORPORA.resolve(name).title if name in CORPORA else name for name in unlabelled["corpora"])
    return (
        f"It also learnt from {counted(unlabelled['recordings'], 'recording')} without labels ({titles}; "
        f"{counted(unlabelled['speakers'], 'speaker')}, {unlabelled['minutes']:.1f} minutes)."
    )


def calibration_sentence(calibration: Calibration | None) -> str:
    """Whether probabilities mean what they say, and what made them so."""
    if calibration is None:
        return "Its probabilities are not calibrated: they may promise more than they keep."
    return (
        f"Its probabilities are calibrated: scores are divided by a temperature of {calibration.temperature:.2f}, "
        f"fitted on {counted(calibration.predictions, 'prediction')} ({calibration.fitted_on}). An answer less "
        f"probable than {calibration.uncertain_below:.2f} is marked uncertain. "
        "Calibration errors above are those before that."
    )


def _selection(settings: ExperimentSettings) -> list[str]:
    """What the data were narrowed to."""
    lines = [f"Only utterances with {name} = {value}." for name, value in settings.where.items()]
    if settings.label_map is not None:
        lines.append(f"Classes were mapped: {parse_label_map(settings.label_map)}.")
    return lines


def _headline(labels: LabelSet, names: str) -> str:
    return f"Tells {', '.join(labels.names[:-1])} and {labels.names[-1]} apart; trained on {names}."


def _worth(summary: Mapping[str, Any] | None) -> str:
    if summary is None:
        return "Its worth was not measured."
    ua = summary["metrics"]["ua"]["pooled"]
    mark = "" if summary["split"]["leaky"] is None else " (LEAKY protocol)"
    chance = 100 * summary["chance"]["ua"]
    return (
        f"Models made like it reach UA {_percent(ua)} % on speakers they never heard{mark}; chance is {chance:.1f} %."
    )


def _corpus_line(name: str) -> str:
    corpus = CORPORA.resolve(name)
    use = {True: "commercial use permitted", False: "NOT for commercial use", None: "see its owner's terms"}
    return f"* {corpus.title}: {corpus.licence} ({use[corpus.commercial_use]}). {corpus.citation}"


def _figures(summary: Mapping[str, Any] | None, labels: LabelSet) -> list[str]:
    if summary is None:
        return ["Not measured: no run under folds was given when this model was made."]
    split, pooled = summary["split"], {name: m["pooled"] for name, m in summary["metrics"].items()}
    lines = [
        f"Measured on models of the same settings under the split `{split['name']}` "
        f"({counted(split['folds'], 'fold')}, {counted(len(summary['seeds']), 'seed')}), not on this model itself, "
        "which has heard every speaker of the corpus.",
        "Mean ± standard deviation over seeds, folds pooled, per cent."
        + ("" if split["leaky"] is None else f" **LEAKY: {split['leaky']}**"),
        "",
        f"UA {_percent(pooled['ua'])}, WA {_percent(pooled['wa'])}, macro F1 {_percent(pooled['macro_f1'])}; "
        f"95 % interval of UA over speakers {100 * pooled['ua']['low']:.1f} to {100 * pooled['ua']['high']:.1f}; "
        f"expected calibration error {100 * float(_ece(summary)):.1f}.",
        "",
        "| class | utterances | recall | precision | F1 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in summary["classes"]:
        figures = " | ".join(_percent(row[name]) for name in ("recall", "precision", "f1"))
        lines.append(f"| {row['label']} | {row['support']:.0f} | {figures} |")
    return lines


def _ece(summary: Mapping[str, Any]) -> float:
    value = summary["calibration"]["ece"]
    return float(value["mean"] if isinstance(value, Mapping) else value)


def _percent(figure: Mapping[str, float | None]) -> str:
    mean, std = figure["mean"], figure["std"]
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


def _limits(settings: ExperimentSettings) -> list[str]:
    notes = [CORPORA.resolve(corpus.name).notes for corpus in settings.corpora]
    return [
        *(f"* {note}" for note in notes if note),
        "* It always answers with one of its classes, also for music, noise or a state of mind it was never taught.",
        "* Another language, age, microphone, room or compression than in its data, and emotions that are felt rather "
        "than acted, make it worse by an amount nobody has measured.",
        "* It says how speech sounds, not what a person feels. Do not use it to decide about a person: in hiring, "
        "schooling, policing, medicine or credit.",
    ]
