"""What the commands that train share: options into settings, stages of a run into progress bars."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenade.app.console import Progress, say
from serenade.core.errors import UsageError
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.core.records import Listing
    from serenade.corpora import Selection
    from serenade.experiments.run import Plan
    from serenade.experiments.settings import ExperimentSettings

_SHOWN = 10  # files left out that are named

__all__ = ["Shown", "conditions", "corpus_option", "experiment_settings", "selection_of", "tell", "tell_unlabelled"]


def experiment_settings(config: Path | None, given: Mapping[str, Any], changes: Sequence[str]) -> "ExperimentSettings":
    """Settings of a run from a TOML file and the options given, which win.

    Args:
        config: the file; None where there is none.
        given: options by setting; None where an option was not given. ``corpora`` is a list of NAME=PATH, ``split`` the
            short form of a split, ``labels`` names separated by commas, ``where`` a list of FACT=VALUE,
            ``grid`` a list of KEY=VALUE,VALUE, ``unlabelled`` a list of NAME=PATH, ``unlabelled_hours`` a number.
        changes: ``key=value`` overrides of the system's settings.

    Raises:
        SettingsError: a setting is not valid.
        UsageError: there is no corpus, or it is not given as NAME=PATH, or a condition not as FACT=VALUE.
    """
    from serenade.core.settings import load_toml, make_settings, merge, parse_override
    from serenade.evaluation.splits import parse_split
    from serenade.experiments.settings import ExperimentSettings

    values = load_toml(config) if config is not None else {}
    options = {key: value for key, value in given.items() if value is not None}
    if options.get("corpora"):
        options["corpora"] = [corpus_option(text) for text in options["corpora"]]
    beside = {"corpora": options.pop("unlabelled", None), "hours": options.pop("unlabelled_hours", None)}
    if beside["corpora"]:
        beside["corpora"] = [corpus_option(text) for text in beside["corpora"]]
    if "split" in options:
        options["split"] = parse_split(options["split"]).model_dump(mode="json", exclude_none=True)
    if "where" in options:
        options["where"] = conditions(options["where"])
    if "grid" in options:
        options["grid"] = dict(_values(text) for text in options["grid"])
    if "labels" in options:
        options["labels"] = options["labels"].split(",")
    values = {**values, **options}
    given_beside = {key: value for key, value in beside.items() if value is not None}
    values["unlabelled"] = merge(values.get("unlabelled", {}), given_beside)
    values["system"] = merge(values.get("system", {}), *(parse_override(text) for text in changes))
    if not values.get("corpora"):
        raise UsageError("no corpus is given", hint="Say --corpus NAME=PATH; `serenade corpus list` shows the names")
    return make_settings(ExperimentSettings, values, where=str(config) if config is not None else "options")


def selection_of(settings: "ExperimentSettings") -> "Selection":
    """The utterances that the settings of a run ask for."""
    from serenade.core.label_maps import parse_label_map
    from serenade.core.labels import LabelSet
    from serenade.corpora import Selection

    labels = None if settings.labels is None else LabelSet.parse(settings.labels)
    label_map = None if settings.label_map is None else parse_label_map(settings.label_map)
    return Selection(labels, label_map, settings.where)


def corpus_option(text: str) -> dict[str, str]:
    """A corpus and where it lies, from NAME=PATH.

    Raises:
        UsageError: the text is not of this form.
    """
    name, equals, root = text.partition("=")
    if not equals or not root:
        raise UsageError("a corpus is given as NAME=PATH", found=text, expected="such as emodb=/data/emodb")
    return {"name": name, "root": str(Path(root).absolute())}  # a run is read from any folder later


def conditions(texts: Sequence[str]) -> dict[str, str]:
    """Facts and their values from FACT=VALUE texts.

    Raises:
        UsageError: a text is not of this form.
    """
    pairs = [text.partition("=") for text in texts]
    for text, (name, _, value) in zip(texts, pairs, strict=True):
        if not name or not value:
            raise UsageError("a condition is given as FACT=VALUE", found=text, expected="such as part=improvised")
    return {name: value for name, _, value in pairs}


def _values(text: str) -> tuple[str, list[Any]]:
    """A setting and the values to choose among."""
    from serenade.core.settings import parse_override

    key, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not key or not all(value.strip() for value in values.split(",")):
        raise UsageError(
            "values to choose among are given as KEY=VALUE,VALUE",
            found=text,
            expected="such as training.learning_rate=1e-3,1e-4",
        )
    return key, [parse_override(f"value={value}")["value"] for value in values.split(",")]


class Shown:
    """Shows the stages of a run as progress bars on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._progress: Progress | None = None

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def stage(self, title: str, total: int, unit: str) -> None:
        """Begin a bar."""
        self._close()
        self._progress = Progress(title, total=total or None, unit=unit, quiet=self.quiet)
        self._progress.__enter__()

    def done(self, count: int, detail: str = "") -> None:
        """Move the bar."""
        if self._progress is None or count < self._progress.done:
            return
        if count > self._progress.done or count != self._progress.total:  # a full bar is not drawn again
            self._progress.advance(count - self._progress.done, detail=detail)

    def warn(self, message: str) -> None:
        """Print a line that is seen even when quiet."""
        if self._progress is not None and not self.quiet:
            self._progress.say(message)
        else:
            say(message)

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
            self._progress = None


def tell(plan: "Plan", shown: "Shown") -> None:
    """Say what will be done, on what, and what the check of the folds found."""
    from serenade.core.label_maps import parse_label_map
    from serenade.core.labels import emotions_of

    utterances, left_out = plan.listing.utterances, plan.listing.left_out
    speakers = {u.speaker for u in utterances}
    classes = emotions_of(utterances)
    shown.warn(
        f"{counted(len(utterances), 'utterance')} of {counted(len(speakers), 'speaker')} in "
        f"{counted(len(classes), 'class')}, {len(left_out)} left out; split {plan.split.name}: "
        f"{counted(len(plan.split.folds), 'fold')} x {counted(plan.settings.seeds, 'seed')}"
    )
    if plan.unlabelled.utterances:
        names = [corpus.name for corpus in plan.settings.unlabelled.corpora]
        tell_unlabelled(plan.unlabelled, names, shown, ", see unlabelled_left_out.jsonl in the run")
    if plan.settings.label_map is not None:
        shown.warn(f"label map: {parse_label_map(plan.settings.label_map)}")
    for name, value in plan.settings.where.items():
        shown.warn(f"only utterances with {name} = {value}")
    for note in plan.split.notes:
        shown.warn(f"note: {note}")
    for finding in plan.leaks.findings:
        shown.warn(f"{finding.severity}: {finding.message}")
    if plan.split.leaky is not None:
        shown.warn(f"LEAKY: {plan.split.leaky}")


def tell_unlabelled(listing: "Listing", corpora: Iterable[str], shown: "Shown", kept_in: str = "") -> None:
    """Say what is learnt from without labels, and what was left out of it.

    Args:
        listing: the recordings.
        corpora: names of their corpora.
        shown: says it.
        kept_in: where the rest of a long list of what was left out can be read, such as ", see FILE".
    """
    from serenade.corpora import CORPORA

    utterances, left_out = listing.utterances, listing.left_out
    minutes = sum(u.duration_s or 0.0 for u in utterances) / 60
    shown.warn(f"unlabelled: {counted(len(utterances), 'recording')}, {minutes:.1f} minutes, {len(left_out)} left out")
    told = [item for item in left_out if item.reason != "other material"]
    for item in told[:_SHOWN]:
        shown.warn(f"  left out: {item.where}: {item.reason}{f' ({item.detail})' if item.detail else ''}")
    if len(told) > _SHOWN:
        shown.warn(f"  and {len(told) - _SHOWN} more{kept_in}")
    for corpus in map(CORPORA.resolve, corpora):
        if corpus.commercial_use is False:
            shown.warn(f"note: {corpus.title} is not for commercial use, and so are the models that learn from it")
