"""Weights of earlier trainings must not have seen what is tested."""

from pathlib import Path

import pytest
from tests.conftest import RunMaker

from serenade.core.errors import LeakError
from serenade.core.files import write_text
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.origins import require_unseen


@pytest.fixture
def run(make_run: RunMaker) -> RunFolder:
    return RunFolder(make_run(speakers=3, seeds=1))


def model_of(run: RunFolder, fold: str) -> Path:
    return run.job(JobKey(fold, 0)) / "model"


def test_every_fold_may_take_its_own_model_and_no_other(run: RunFolder) -> None:
    utterances = run.read_utterances()
    for fold in run.read_split().folds:
        tested = [u for u in utterances if u.id in fold.test]
        require_unseen([model_of(run, fold.name)], tested)
        for other in run.read_split().folds:
            if other.name != fold.name:
                with pytest.raises(LeakError, match=r"12 of 12 test utterances.*\{job\}"):
                    require_unseen([model_of(run, fold.name), model_of(run, other.name)], tested)


def test_the_same_speaker_in_another_recording_is_enough(run: RunFolder) -> None:
    first = run.read_split().folds[0]
    someone = next(u for u in run.read_utterances() if u.id in first.train)
    with pytest.raises(LeakError, match="1 of 1"):
        require_unseen([model_of(run, first.name)], [someone.with_(content="new", id="new")])
    require_unseen([model_of(run, first.name)], [someone.with_(content="new", id="new", corpus="other")])


def test_a_model_of_no_fold_must_be_of_another_corpus(run: RunFolder, tmp_path: Path) -> None:
    write_text(tmp_path / "final" / "model.toml", '[about]\ncorpora = ["emodb"]\n')
    tested = run.read_utterances()[:3]
    with pytest.raises(LeakError, match=r"trained on the corpus that it tests.*emodb"):
        require_unseen([tmp_path / "final"], tested)
    require_unseen([tmp_path / "final"], [utterance.with_(corpus="ravdess") for utterance in tested])
