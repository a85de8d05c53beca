"""The tables of MTL-AUG: which runs they are made of, what is skipped and why, and what is read back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from serenade.core.errors import SettingsError, UnknownNameError, UsageError
from serenade.core.files import read_json_lines, write_json, write_json_lines
from serenade.corpora.synthetic import generate
from serenade.evaluation.splits import parse_split
from serenade.experiments.mtl_orderings import targets_of
from serenade.experiments.mtl_rows import MTL_TABLES, MtlTable, parse_mtl_rows
from serenade.experiments.mtl_tables import MtlCell, MtlRequest, plan_mtl_table, read_mtl_table
from serenade.experiments.settings import CorpusSettings, ExperimentSettings, UnlabelledSettings
from serenade.systems import system_settings

RunMaker = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora with two and three classes, unlabelled speech with and without people."""
    folder = tmp_path_factory.mktemp("corpora")
    generate(folder / "a", speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    generate(folder / "b", speakers=3, utterances_per_class=1, classes=("angry", "happy", "sad"), seed=1)
    for name in ("1-2-0003", "4-5-0006"):  # of two speakers
        path = folder / "libri/dev-clean" / name.split("-")[0] / name.split("-")[1] / f"{name}.flac"
        path.parent.mkdir(parents=True)
        seed = int(name[0])
        soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, 40000), 16000)
    (folder / "libri/SPEAKERS.TXT").write_text("1 | F | dev-clean | 8 | A\n4 | M | dev-clean | 8 | B\n")
    return folder


def cells(
    folder: Path,
    table: MtlTable = "within",
    rows: str | None = None,
    *,
    corpora: Sequence[str] = ("synthetic",),
    changes: dict[str, Any] | None = None,
    split: str | None = None,
    unlabelled: UnlabelledSettings | None = None,
    **more: Any,
) -> list[MtlCell]:
    roots = {"synthetic": folder / "a", "table": folder / "b" / "synthetic.csv"}
    base = ExperimentSettings(
        corpora=tuple(CorpusSettings(name=name, root=roots[name]) for name in corpora),
        split=parse_split(split or ("corpus" if table == "cross" else "loso")),
        unlabelled=unlabelled or UnlabelledSettings(),
        **more,
    )
    return plan_mtl_table(MtlRequest(table, base, parse_mtl_rows(table, rows), changes or {}))


def libri(folder: Path, hours: float | None = None) -> UnlabelledSettings:
    return UnlabelledSettings(corpora=(CorpusSettings(name="librispeech", root=folder / "libri"),), hours=hours)


def plain(folder: Path) -> UnlabelledSettings:
    return UnlabelledSettings(corpora=(CorpusSettings(name="unlabelled", root=folder / "libri"),))


def runs(found: Sequence[MtlCell]) -> list[str | None]:
    return [cell.run for cell in found]


def test_every_row_of_every_table_is_a_valid_system() -> None:
    for table in MTL_TABLES:
        for row in parse_mtl_rows(table, None):
            system_settings(row.preset, row.changes)


def test_the_papers_variants_are_the_rows() -> None:
    within = [row.name for row in parse_mtl_rows("within", None)]
    assert within == ["stl", "stl-aug", "stl-center", "mtl-dim", "ss-aae", "mtl-aug", "mtl-aug-semi"]
    assert [row.name for row in parse_mtl_rows("noise", "all")] == ["stl", "stl-aug", "mtl-aug", "mtl-aug-semi"]
    assert [row.preset for row in parse_mtl_rows("within", "glam, stl")] == ["glam", "stl"]


def test_ablations_are_those_of_the_specification() -> None:
    rows = {row.name: system_settings(row.preset, row.changes) for row in parse_mtl_rows("ablations", None)}
    for name, loss in (("no-augmentation-classifier", "augmentation"), ("no-decoder", "reconstruction"),
                       ("no-center", "center")):  # fmt: skip
        weights = {key: getattr(rows[name].losses, key) for key in ("augmentation", "reconstruction", "center")}  # type: ignore[attr-defined]
        assert [key for key, weight in weights.items() if weight == 0] == [loss]
    assert rows["no-mixup"].treatments.kinds == ("none", "speed", "spec_augment")  # type: ignore[attr-defined]
    assert rows["no-speed"].treatments.kinds == ("none", "spec_augment", "mixup")  # type: ignore[attr-defined]
    assert rows["center=0.3"].losses.center == 0.3  # type: ignore[attr-defined]
    assert rows["hours=25"].mode == "semi"  # type: ignore[attr-defined]
    assert {"hours=10", "hours=50", "hours=100", "reconstruction=1", "augmentation=0.1"} <= set(rows)


def test_a_sweep_without_hours_is_mtl_aug_itself() -> None:
    assert [row.name for row in parse_mtl_rows("ablations", "hours=0,mtl-aug,hours=0.5")] == ["mtl-aug", "hours=0.5"]


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        ("within", "stll", "Did you mean 'stl'"),
        ("ablations", "no-decodr", "Did you mean 'no-decoder'"),
        ("ablations", "center=x", "a number from 0 on"),
        ("within", " , ", "at least one row"),
    ],
)
def test_unknown_rows_are_told(table: MtlTable, rows: str, message: str) -> None:
    with pytest.raises((UnknownNameError, UsageError), match=message):
        parse_mtl_rows(table, rows)


def test_what_cannot_be_run_is_skipped_with_the_reason(folder: Path) -> None:
    found = {cell.row.name: cell for cell in cells(folder)}
    assert found["mtl-dim"].skipped == "synthetic voices without valence, arousal and dominance"
    assert "--unlabelled" in str(found["mtl-aug-semi"].skipped)
    trained = [cell.run for cell in found.values() if cell.skipped is None]
    assert trained == [f"within/synthetic/{name}" for name in ("stl", "stl-aug", "stl-center", "ss-aae", "mtl-aug")]


def test_unlabelled_speech_goes_to_those_that_use_it(folder: Path) -> None:
    rows = "stl,ss-aae,mtl-aug,mtl-aug-semi"
    with_people = {cell.row.name: cell for cell in cells(folder, rows=rows, unlabelled=libri(folder))}
    counts = {name: len(cell.plan.unlabelled.utterances) for name, cell in with_people.items() if cell.plan}
    assert counts == {"stl": 0, "ss-aae": 2, "mtl-aug": 0, "mtl-aug-semi": 2}
    without = {cell.row.name: cell for cell in cells(folder, rows=rows, unlabelled=plain(folder))}
    counts = {name: len(cell.plan.unlabelled.utterances) for name, cell in without.items() if cell.plan}
    assert counts == {"stl": 0, "ss-aae": 0, "mtl-aug": 0, "mtl-aug-semi": 2}
    assert "whose speakers and genders are not known" in without["ss-aae"].notes[0]
    splits = [cell.plan.split for cell in with_people.values() if cell.plan]
    assert all(split == splits[0] for split in splits), "all variants share their folds"


def test_hours_are_swept_as_far_as_they_go(folder: Path) -> None:
    found = cells(folder, "ablations", "mtl-aug,hours=0.0005,hours=10", unlabelled=libri(folder))
    assert runs(found) == ["within/synthetic/mtl-aug", "ablations/synthetic/hours-0.0005", None]
    assert found[1].plan is not None
    assert len(found[1].plan.unlabelled.utterances) == 1  # of 2.5 s, which fill 1.8 s
    assert found[2].skipped == "there are only 0.00 h of unlabelled speech"


def test_across_corpora_a_pair_has_the_classes_that_both_have(folder: Path) -> None:
    (cell,) = cells(folder, "cross", "stl", corpora=("table", "synthetic"))
    assert cell.run == "cross/synthetic-table/stl", "the order of the options does not matter"
    assert cell.plan is not None
    assert {u.emotion for u in cell.plan.listing.utterances} == {"angry", "sad"}
    assert [fold.name for fold in cell.plan.split.folds] == ["corpus-synthetic", "corpus-table"]
    assert cell.plan.split.leaky is None


def test_the_epoch_on_the_tested_corpus_is_leaky_and_apart(folder: Path) -> None:
    (cell,) = cells(
        folder, "cross", "stl", corpora=("synthetic", "table"), split="corpus,target_dev=0.3", labels=("angry", "sad")
    )
    assert cell.run == "cross-target-dev-0.3/synthetic-table/stl"
    assert cell.plan is not None
    assert cell.plan.split.leaky is not None


def test_a_corpus_alone_and_a_corpus_twice_are_told(folder: Path) -> None:
    with pytest.raises(UsageError, match="needs at least two"):
        cells(folder, "cross", "stl")
    with pytest.raises(UsageError, match="given twice"):
        cells(folder, rows="stl", corpora=("synthetic", "synthetic"))
    with pytest.raises(UsageError, match="has the split corpus"):
        cells(folder, "cross", "stl", corpora=("synthetic", "table"), split="loso")


def test_changes_concern_the_rows_that_know_them(folder: Path) -> None:
    stl, aae = cells(folder, rows="stl,ss-aae", changes={"padding": "batch", "training": {"epochs": 2}})
    assert stl.plan is not None
    assert aae.plan is not None
    assert stl.plan.settings.system["padding"] == "batch"
    assert aae.plan.settings.system["training"]["epochs"] == 2
    assert (stl.notes, aae.notes) == ((), ("ss-aae has no padding, so that change does not concern it.",))
    with pytest.raises(SettingsError, match="paddng"):
        cells(folder, rows="stl,ss-aae", changes={"paddng": "batch"})


def test_what_makes_an_ablation_wins_over_changes(folder: Path) -> None:
    (cell,) = cells(folder, "ablations", "no-center", changes={"losses": {"center": 0.5, "reconstruction": 0.2}})
    assert cell.plan is not None
    assert cell.plan.settings.system["losses"]["center"] == 0
    assert cell.plan.settings.system["losses"]["reconstruction"] == 0.2


# ------------------------------------------------------------------------------------------------ reading


def write_table(out: Path, table: str, found: dict[str, str | None], corpora: Sequence[str] = ("emodb",)) -> None:
    """The file of a table whose cells are the rows given with their runs; without a run they are skipped."""
    listed = [
        {"corpora": list(corpora), "name": name, "title": name, "run": run, "notes": [],
         "skipped": None if run else "no reason"}
        for name, run in found.items()
    ]  # fmt: skip
    write_json(out / f"{table}.json", {"format": 1, "table": table, "stem": table, "cells": listed, "bench": None})


def test_targets_are_those_of_the_specification() -> None:
    pairs = [(t.id, t.better, t.worse) for t in targets_of("within", ["stl", "stl-aug", "mtl-aug", "mtl-aug-semi"])]
    assert pairs == [("T1", "mtl-aug", "stl"), ("T1", "mtl-aug", "stl-aug"), ("T2", "mtl-aug-semi", "mtl-aug")]
    variants = ["stl", "stl-aug", "stl-center", "mtl-dim", "ss-aae", "mtl-aug", "mtl-aug-semi"]
    assert [t.worse for t in targets_of("cross", variants)] == ["stl", "stl-aug", "stl-center", "mtl-dim", "ss-aae"]
    assert [(t.id, t.better, t.worse) for t in targets_of("noise", variants)] == [("T5", "stl-aug", "stl")]
    assert [(t.id, t.better, t.worse) for t in targets_of("attacks", variants)] == [("T6", "mtl-aug", "stl")]
    assert [t.worse for t in targets_of("ablations", ["mtl-aug", "no-center", "center=1"])] == ["no-center", "center=1"]


def test_orderings_of_a_table_within(make_run: RunMaker, tmp_path: Path) -> None:
    make_run("within/emodb/mtl-aug", speakers=6, skill=3.0)
    make_run("within/emodb/stl", speakers=6, skill=0.3, noise_seed=1, missing=[("01", 1)])
    rows = {"stl": "within/emodb/stl", "mtl-aug": "within/emodb/mtl-aug", "mtl-aug-semi": None}
    write_table(tmp_path, "within", {**rows, "ss-aae": "within/emodb/ss-aae"})  # not begun
    document = read_mtl_table(tmp_path, "within")
    assert [(row["name"], row["head"] is not None) for row in document["rows"]] == [
        ("stl", True),
        ("mtl-aug", True),
        ("mtl-aug-semi", False),
        ("ss-aae", False),
    ]
    told = [(o["id"], o["worse"], o["found"] and o["found"]["verdict"], o["missing"]) for o in document["orderings"]]
    assert told == [
        ("T1", "stl", "holds", []),
        ("T2", "mtl-aug", None, ["mtl-aug-semi"]),
        ("T3", "ss-aae", None, ["ss-aae"]),
    ]
    assert [o["complete"] for o in document["orderings"]] == [False, False, False]


def test_a_run_across_corpora_is_two_directions(make_run: RunMaker, tmp_path: Path) -> None:
    for name, skill in (("stl", 0.0), ("mtl-aug", 9.0)):
        run = make_run(f"cross/emodb-ravdess/{name}", speakers=2, skill=skill)
        path = run / "utterances.jsonl"
        of = {"01": "emodb", "02": "ravdess"}
        write_json_lines(path, [{**line, "corpus": of[line["speaker"]]} for line in read_json_lines(path)])
    write_table(
        tmp_path,
        "cross",
        {name: f"cross/emodb-ravdess/{name}" for name in ("stl", "mtl-aug")} | {"ss-aae": None},
        ("emodb", "ravdess"),
    )
    document = read_mtl_table(tmp_path, "cross")
    assert [(row["data"], row["name"]) for row in document["rows"]] == [
        ([*data], name)
        for data in (("emodb", "ravdess"), ("ravdess", "emodb"))
        for name in ("stl", "mtl-aug", "ss-aae")
    ]
    assert all(row["figures"]["tested"] == 12 for row in document["rows"] if row["figures"])
    assert [(o["titles"], o["worse"], o["missing"]) for o in document["orderings"]] == [
        (["EMO-DB", "RAVDESS"], "stl", []),
        (["RAVDESS", "EMO-DB"], "stl", []),
        (["EMO-DB", "RAVDESS"], "ss-aae", ["ss-aae"]),
        (["RAVDESS", "EMO-DB"], "ss-aae", ["ss-aae"]),
    ]


def test_a_folder_without_a_table_and_one_not_begun_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no table 'within'"):
        read_mtl_table(tmp_path, "within")
    write_table(tmp_path, "within", {"stl": "within/emodb/stl", "mtl-dim": None})
    with pytest.raises(UsageError, match="nothing is finished yet"):
        read_mtl_table(tmp_path, "within")
