"""Attention on a few test utterances of a run, by the models that were tested on them.

The rule: of the first finished seed, for each class the test utterance that was recognised with the highest probability
(the first by id of several). So the maps show what recognition looks like where it works, and nobody picked them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serenade.core.errors import AudioError, CheckpointError, MissingExtraError
from serenade.core.explanations import Explanation
from serenade.experiments.results import read_results
from serenade.inference.explanation import Explainer

__all__ = ["Explained", "Pick", "explain_run", "picks"]

_MOST_CLASSES = 8
_NOTHING = (0.0, "", "")


@dataclass(frozen=True, slots=True)
class Pick:
    """A test utterance that stands for its class.

    Args:
        label: the class.
        id: the utterance.
        fold: in which it was tested.
        probability: with which it was recognised.
        audio: its recording.
        start_s: where it begins in it.
        end_s: where it ends; None for the end of the recording.
        model: the folder of the model that was tested on it.
    """

    label: str
    id: str
    fold: str
    probability: float
    audio: Path
    start_s: float
    end_s: float | None
    model: Path


@dataclass(frozen=True, slots=True)
class Explained:
    """Explanations of a run.

    Args:
        examples: picks and what explains them; empty where the system has no attention or its models are not stored.
        lost: picks that could not be explained, as the errors.
    """

    examples: tuple[tuple[Pick, Explanation], ...] = ()
    lost: tuple[AudioError | MissingExtraError, ...] = ()


def picks(run: Path) -> list[Pick]:
    """For each class the test utterance recognised best, of at most 8 classes; none of a class never recognised.

    Raises:
        UsageError: the folder is not a run, or no job of it is finished.
        SerenadeError: a file of it is damaged.
    """
    results = read_results(run)
    seed = results.done_seeds[0]
    scores = results.scores(seed)
    best: dict[int, tuple[float, str, str]] = {}
    for name, fold, truth, row in zip(scores.ids, scores.folds, scores.truth, scores.probabilities, strict=True):
        if int(row.argmax()) == truth:
            best[int(truth)] = min(best.get(int(truth), _NOTHING), (-float(row[truth]), name, fold))
    found = []
    for truth, (probability, name, fold) in sorted(best.items())[:_MOST_CLASSES]:
        utterance, model = results.utterances[name], results.folders[fold, seed] / "model"
        span = (utterance.start_s, utterance.end_s)
        found.append(Pick(results.labels[truth], name, fold, -probability, utterance.audio, *span, model))
    return found


def explain_run(run: Path, done: Callable[[int, int], None] = lambda total, count: None) -> Explained:
    """Attention on the picks of a run.

    Args:
        run: the run folder.
        done: told how many picks there are and how many more are explained.

    Raises:
        UsageError: the folder is not a run, or no job of it is finished.
        SerenadeError: a file of it is damaged.
    """
    chosen = [pick for pick in picks(run) if (pick.model / "model.toml").is_file()]
    examples: list[tuple[Pick, Explanation]] = []
    lost: list[AudioError | MissingExtraError] = []
    explainers: dict[Path, Explainer] = {}
    done(len(chosen), 0)
    for pick in chosen:
        try:
            if pick.model not in explainers:
                explainers[pick.model] = Explainer.load(pick.model)
            explainer = explainers[pick.model]
            if not explainer.attends:
                return Explained()
            start_s = pick.start_s if pick.start_s > 0 or pick.end_s is not None else None
            examples.append((pick, explainer(pick.audio, target=pick.label, start_s=start_s, end_s=pick.end_s)))
        except CheckpointError:
            continue  # a model of another version: the page is made without its maps
        except (AudioError, MissingExtraError) as error:
            lost.append(error)
        done(len(chosen), 1)
    return Explained(tuple(examples), tuple(lost))
