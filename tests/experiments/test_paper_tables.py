"""The tables of papers: which runs they are made of, and what is read back from finished ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from serenade.core.errors import UnknownNameError, UsageError
from serenade.corpora.synthetic import generate
from serenade.experiments.paper_tables import (
    RECIPES,
    TABLES,
    Parts,
    TableName,
    begin_table,
    cells_of,
    parse_parts,
    parse_rows,
    read_table,
    with_defaults,
)
from serenade.experiments.series import Planner
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.models.glam import Glam
from serenade.reports.published import published_rows
from serenade.systems import system_settings

RunMaker = Callable[..., Path]


def settings(corpus: str = "iemocap", root: Path = Path("nowhere"), **more: object) -> ExperimentSettings:
    return ExperimentSettings.model_validate({"corpora": (CorpusSettings(name=corpus, root=root),), **more})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=4, utterances_per_class=1, classes=("angry", "sad"))
    return folder


def planner(corpus: Path, **more: object) -> Planner:
    split = {"kind": "loso", "validation_speakers": 0}
    return Planner(settings("synthetic", corpus, split=split, **more))


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_the_paper_have_published_figures(table: TableName) -> None:
    ours = {row.title for row in parse_rows(table, None).values()}
    assert ours == {row.model for row in published_rows(table) if not row.quoted}


# section 3.4 of the specification, and the table of GLAM's paper
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("glam", 904_078), ("multi-scale-only", 686_820), ("heads", 879_076), ("areas", 686_820), ("glam5", 904_142),
        ("multi-scale-only-5", 686_884), ("single-scale-3", 818_062), ("single-scale-5", 990_094),
        ("no-shortcut", 904_078), ("amlp", 962_682), ("stem35", 904_110), ("stem-gate", 699_652),
    ],
)  # fmt: skip
def test_ablations_are_the_networks_of_the_specification(name: str, parameters: int) -> None:
    row = parse_rows("ablations", "all")[name]
    for recipe in ("shared", "published"):
        network = system_settings(row.presets[recipe], row.changes).network  # type: ignore[attr-defined]
        assert sum(p.numel() for p in Glam(4, 26, 57, network).parameters()) == parameters


def test_every_row_of_every_recipe_is_a_valid_system() -> None:
    for table in TABLES:
        for row in parse_rows(table, "all").values():
            for recipe in RECIPES:
                system_settings(row.presets[recipe], row.changes)


def test_alphas_need_not_be_the_papers() -> None:
    rows = parse_rows("mixup", "0.5,0.25")
    assert [(row.title, row.changes["mixup_alpha"]) for row in rows.values()] == [
        ("alpha 0.5", 0.5),
        ("alpha 0.25", 0.25),
    ]


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        ("main", "glamm", "Did you mean 'glam'"),
        ("ablations", "aml", "Did you mean 'amlp'"),
        ("mixup", "much", "number from 0 on"),
        ("mixup", "-1", "number from 0 on"),
        ("main", " , ", "at least one row"),
    ],
)
def test_unknown_rows_are_refused(table: TableName, rows: str, message: str) -> None:
    with pytest.raises((UnknownNameError, UsageError), match=message):
        parse_rows(table, rows)


def test_parts_have_a_text_form() -> None:
    assert parse_parts("intensity", "main", ["ravdess"]) == Parts("intensity")
    assert parse_parts("part=scripted, all", "main", ["iemocap"]) == Parts("part", ("scripted", "all"))
    assert parse_parts("none", "main", ["iemocap"]) == parse_parts(None, "main", ["emodb"]) == Parts()
    assert parse_parts(None, "main", ["iemocap"]) == Parts("part", ("improvised", "scripted", "all"))
    assert parse_parts(None, "attention-pooling", ["iemocap"]) == Parts("part", ("improvised",))
    for wrong in ("=x", "part=", ""):
        with pytest.raises(UsageError, match="parts are given as"):
            parse_parts(wrong, "main", ["iemocap"])


def test_iemocap_is_read_as_the_papers_read_it_where_the_user_says_nothing() -> None:
    honest = with_defaults(settings(), "main", published=False)
    assert (honest.split.kind, honest.label_map, len(honest.labels or ())) == ("loso", "merge", 4)
    leaky = with_defaults(settings(), "main", published=True)
    assert (leaky.split.kind, leaky.label_map) == ("random82_best_test", "exc_as_hap")
    pooling = with_defaults(settings(), "attention-pooling", published=False)
    assert (pooling.split.kind, pooling.split.validation_speakers, pooling.label_map) == ("loso", 0, "hap_only")
    own = with_defaults(settings(labels=("angry", "sad"), label_map="merge"), "attention-pooling", published=False)
    assert (own.labels, own.label_map) == (("angry", "sad"), "merge")
    assert with_defaults(settings("emodb"), "main", published=False).labels is None


def test_cells_are_models_by_parts_of_whatever_the_corpus_has(corpus: Path) -> None:
    cells = cells_of(planner(corpus), Parts("gender"), parse_rows("main", "glam,apcnn"), "shared")
    assert [(cell.part, cell.model, cell.member.name) for cell in cells] == [
        ("female", "GLAM", "female/glam"), ("female", "APCNN", "female/apcnn"),
        ("male", "GLAM", "male/glam"), ("male", "APCNN", "male/apcnn"),
        ("all", "GLAM", "all/glam"), ("all", "APCNN", "all/apcnn"),
    ]  # fmt: skip


def test_plans_have_the_parts_data_and_the_users_settings(corpus: Path) -> None:
    changes = {"training": {"epochs": 2, "selection": "last"}, "mixup_alpha": 0.9}
    with_epochs = planner(corpus, system=changes)
    cells = cells_of(with_epochs, Parts("gender", ("female",)), parse_rows("mixup", "0,0.5"), "cpu")
    plans = with_epochs.plan([cell.member for cell in cells])
    assert list(plans) == ["female/glam-cpu-mixup-0", "female/glam-cpu-mixup-0.5"]
    for alpha, plan in zip((0, 0.5), plans.values(), strict=True):
        assert {u.gender for u in plan.listing.utterances} == {"female"}
        assert plan.settings.system["mixup_alpha"] == alpha, "what makes a row is stronger than --set"
        assert plan.settings.system["training"]["epochs"] == 2, "--set is stronger than the recipe"
        assert plan.settings.system["training"]["precision"] == "bfloat16", "the recipe is stronger than the preset"


def test_own_batch_sizes_of_ablations_belong_to_the_published_recipe(corpus: Path) -> None:
    rows = parse_rows("ablations", "heads")
    shared, published = (
        cells_of(planner(corpus), Parts(), rows, recipe)[0].member for recipe in ("shared", "published")
    )
    assert (shared.preset, "training" in shared.changes) == ("glam", False)
    assert (published.preset, published.changes["training"]["batch_size"]) == ("glam-published", 128)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (Parts("intensity"), "does not know the intensity"),
        (Parts("gendr"), "Did you mean 'gender'"),
        (Parts("gender", ("femal",)), "Did you mean 'female'"),
    ],
)
def test_unknown_parts_are_told_with_what_is_there(corpus: Path, parts: Parts, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cells_of(planner(corpus), parts, parse_rows("main", "glam"), "shared")


def test_parting_by_what_the_data_were_narrowed_to_is_refused(corpus: Path) -> None:
    narrowed = planner(corpus, where={"gender": "female"})
    cells = cells_of(narrowed, Parts("gender", ("female",)), parse_rows("main", "glam"), "shared")
    with pytest.raises(UsageError, match="parted by gender and narrowed"):
        narrowed.plan([cell.member for cell in cells])


def test_a_table_is_read_back_with_unfinished_cells(make_run: RunMaker, corpus: Path, tmp_path: Path) -> None:
    cells = cells_of(planner(corpus), Parts(), parse_rows("main", "glam,apcnn"), "shared")
    out = tmp_path / "table"
    begin_table(out, "main", cells, {"fact": None, "pipeline": "one", "corpora": ["synthetic"]})
    with pytest.raises(UsageError, match="nothing is finished"):
        read_table(out, "main")
    make_run("table/all/glam")
    document = read_table(out, "main")
    assert [(cell["run"], cell["summary"] is not None) for cell in document["cells"]] == [
        ("all/glam", True),
        ("all/apcnn", False),
    ]
    with pytest.raises(UsageError, match="no table 'mixup'"):
        read_table(out, "mixup")


def test_no_validation_part_to_pick_the_epoch_on_is_told_before_training(corpus: Path) -> None:
    without = planner(corpus)
    cells = cells_of(without, Parts(), parse_rows("main", "glam"), "shared")
    with pytest.raises(UsageError, match="the split has none"):
        without.plan([cell.member for cell in cells])
