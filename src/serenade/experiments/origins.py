"""Models that a system takes weights of: they must not have learnt from what is tested."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serenade.core.errors import LeakError
from serenade.core.files import read_json
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.experiments.folder import RunFolder

__all__ = ["require_unseen"]


def require_unseen(origins: Sequence[Path], tested: Sequence[Utterance]) -> None:
    """Pass if no model has learnt from recordings or speakers that are tested.

    Of a model of a run's fold it is known what that fold trained on. Of another model only the corpora are known.

    Args:
        origins: model folders.
        tested: the test part of a fold.

    Raises:
        LeakError: one has, or it cannot be excluded as it was trained on a corpus that is tested.
    """
    for origin in origins:
        record = origin.parent / "record.json"
        if record.is_file():
            _require_other_people(origin, _trained_on(origin.parents[2], str(read_json(record)["fold"])), tested)
        else:
            _require_other_corpora(origin, tested)


def _trained_on(run: Path, fold: str) -> list[Utterance]:
    """What a fold of a run learnt from and picked its epoch on."""
    folder = RunFolder(run)
    used = {name for each in folder.read_split().folds if each.name == fold for name in (*each.train, *each.validation)}
    return [utterance for utterance in folder.read_utterances() if utterance.id in used]


def _require_other_people(origin: Path, seen: Sequence[Utterance], tested: Sequence[Utterance]) -> None:
    contents = {utterance.content for utterance in seen if utterance.content is not None}
    people = {(u.corpus, u.speaker) for u in seen if u.speaker != UNKNOWN_SPEAKER}
    shared = [u for u in tested if u.content in contents or (u.corpus, u.speaker) in people]
    if shared:
        raise LeakError(
            "the weights that this fold begins with were trained on speakers or recordings that it tests",
            where=origin,
            found=f"{len(shared)} of {len(tested)} test utterances, such as {shared[0].id}",
            hint="Let every fold take its own model, RUN/jobs/{job}/model, of a run with the same folds and seeds",
        )


def _require_other_corpora(origin: Path, tested: Sequence[Utterance]) -> None:
    description = origin / "model.toml"
    if not description.is_file():
        return  # opening it says what is wrong
    about: Mapping[str, Any] = tomllib.loads(description.read_text(encoding="utf-8")).get("about", {})
    both = sorted(set(about.get("corpora", ())) & {utterance.corpus for utterance in tested})
    if both:
        raise LeakError(
            "the weights that this fold begins with were trained on the corpus that it tests",
            where=origin,
            found=", ".join(both),
            hint="Name the model of a run's fold, RUN/jobs/{job}/model, or one that was trained on another corpus",
        )
