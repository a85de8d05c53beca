"""The filter-shape study read from run folders that are there already."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from serenade.core.errors import UsageError
from serenade.core.files import read_json
from serenade.experiments.filter_shapes import HEIGHTS, WIDTHS, begin_study, read_study, shape_members

RunMaker = Callable[..., Path]


def pairs(run: Path, seed: int) -> tuple[list[str], list[str]]:
    labels, truth, called = [], [], []
    for file in sorted(run.glob(f"jobs/*-seed{seed}/record.json")):
        record = read_json(file)
        labels = record["labels"]
        truth += [score["truth"] for score in record["scores"]]
        called += [labels[int(np.argmax(score["probabilities"]))] for score in record["scores"]]
    return truth, called


def test_the_papers_sweeps_are_25_runs() -> None:
    names = [member.name for member in shape_members()]
    assert len(names) == len(set(names)) == len(HEIGHTS) + len(WIDTHS) - 1 == 25
    assert {"2x2", "10x2", "2x8", "100x2", "2x80"} <= set(names)


def test_every_shape_is_the_setting_of_its_run() -> None:
    assert {member.name: member.changes["network"] for member in shape_members([10], [8])} == {
        "10x2": {"filter_height": 10, "filter_width": 2},
        "2x8": {"filter_height": 2, "filter_width": 8},
    }


@pytest.mark.parametrize(("heights", "widths"), [([], []), ([0], []), ([], [-2])])
def test_impossible_sweeps_are_refused(heights: list[int], widths: list[int]) -> None:
    with pytest.raises(UsageError, match="filter"):
        shape_members(heights, widths)


def test_points_are_recomputed_from_the_records(make_run: RunMaker, tmp_path: Path) -> None:
    make_run("study/2x2", skill=0.5)
    make_run("study/10x2", skill=1.5, noise_seed=3)
    begin_study(tmp_path / "study", [2, 10], [2])
    study = read_study(tmp_path / "study")
    assert [panel["axis"] for panel in study["panels"]] == ["height", "width"]
    points = {(panel["axis"], point["value"]): point for panel in study["panels"] for point in panel["points"]}
    assert set(points) == {("height", 2), ("height", 10), ("width", 2)}
    assert points["height", 2] == points["width", 2]
    by_seed = [pairs(tmp_path / "study" / "10x2", seed) for seed in (0, 1)]
    assert points["height", 10]["wa"]["mean"] == pytest.approx(np.mean([accuracy_score(*p) for p in by_seed]))
    recalls = np.array([recall_score(*p, labels=study["labels"], average=None) for p in by_seed])
    found = [points["height", 10]["recall"][label] for label in study["labels"]]
    assert [recall["mean"] for recall in found] == pytest.approx(recalls.mean(0))
    assert [recall["std"] for recall in found] == pytest.approx(recalls.std(0, ddof=1))


def test_shapes_that_are_missing_are_named(make_run: RunMaker, tmp_path: Path) -> None:
    make_run("study/2x2", missing=[("01", 0)])
    begin_study(tmp_path / "study", [2, 10], [])
    study = read_study(tmp_path / "study")
    assert study["unfinished"] == ["2x2", "10x2"]
    assert [point["complete"] for point in study["panels"][0]["points"]] == [False]


def test_a_folder_without_a_study_and_a_study_without_runs_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a study of filter shapes"):
        read_study(tmp_path)
    begin_study(tmp_path, [2], [2])
    with pytest.raises(UsageError, match="nothing is finished"):
        read_study(tmp_path)
