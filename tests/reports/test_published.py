"""Published figures against the text they were taken from."""

import re
from pathlib import Path

import pytest

from serenade.reports.published import published_curves, published_rows

PARTS = {"Improvisation": "improvised", "Script": "scripted", "Full": "all"}
METRICS = {"WA": "wa", "UA": "ua", "macro F1": "macro_f1", "weighted F1": "weighted_f1"}
PAIR = r"(\d+\.\d+) \+- (\d+\.\d+)"


def spec(shared: Path, name: str) -> str:
    return (shared / "specs" / f"{name}.md").read_text(encoding="utf-8")


def figures(table: str, source: str) -> dict[tuple[str, str], dict[str, tuple[float, float | None]]]:
    return {(r.part, r.model): dict(r.figures) for r in published_rows(table) if source in r.source}


def as_pairs(text: str) -> list[tuple[float, float]]:
    return [(float(mean), float(std)) for mean, std in re.findall(PAIR, text)]


def test_glam_table_is_the_papers(shared: Path) -> None:
    ours, part, found = figures("main", "Table 1"), "", 0
    for line in spec(shared, "glam").split("Table 1 (80/20")[1].split("The abstract")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(as_pairs(line)) == 4:
            part = PARTS.get(cells[0], part)
            assert list(ours[part, cells[1]].values()) == as_pairs(line)
            found += 1
    assert found == len(ours) == 12


def test_table_with_validation_is_that_of_the_release(shared: Path) -> None:
    ours, found = figures("main", "README"), 0
    for line in spec(shared, "glam").split("8:1:1 random (README")[1].split("With a held-out")[0].splitlines():
        if len(as_pairs(line)) == 4:
            part, _, metric = line.strip("| ").split("|")[0].strip().partition(" ")
            for model, pair in zip(("APCNN", "MHCNN", "AACNN", "GLAM"), as_pairs(line), strict=True):
                assert ours[PARTS[part], model][METRICS[metric]] == pair
                found += 1
    assert found == 4 * len(ours) == 48


def test_mixup_and_ablations_are_the_papers(shared: Path) -> None:
    text = spec(shared, "glam")
    mixup = text.split("Mixup alpha, Improvisation")[1].split("With a proper")[0]
    parts = re.findall(r"[;:] ([\d.]+): (.*?)(?=;|\.\s|$)", mixup.replace("\n", " "))
    assert len(parts) == 7
    for alpha, part in parts:
        assert list(figures("mixup", "mixup")["improvised", f"alpha {alpha}"].values()) == as_pairs(part)
    ablations = text.split("Ablation, Improvisation")[1].split("The global-aware")[0]
    ours = figures("ablations", "ablation")
    for ours_name, name in (("only", "Multi-scale only"), ("+ heads", "+MHA"), ("+ areas", "+AA")):
        pairs = as_pairs(ablations.split(name)[1].replace("/", " "))[:4]
        assert list(ours["improvised", f"multi-scale {ours_name}"].values()) == pairs
    assert ours["improvised", "GLAM"] == figures("main", "Table 1")["improvised", "GLAM"]
    assert len(figures("mixup", "mixup")) == 7


def test_attention_pooling_table_is_the_papers(shared: Path) -> None:
    text = spec(shared, "attention_pooling").split("## 7. Results")[1].split("No standard deviations")[0]
    rows = re.findall(r"\| \**([^|*]+?)\** \| \**([\d.]+)\** \| \**([\d.]+)\** \|", text)
    published = published_rows("attention-pooling")
    found = {row.model.partition(" (")[0]: [mean for mean, _ in row.figures.values()] for row in published}
    assert found == {model: [float(wa), float(ua)] for model, wa, ua in rows}
    assert {row.model.partition(" (")[0] for row in published if row.quoted} == {
        "DNN-ELM", "RNN-ELM", "CNN-LSTM", "CNN-LSTM, two-step predictor",
    }  # fmt: skip


@pytest.mark.parametrize("side", ["height", "width"])
def test_curves_are_those_read_off_the_figure(shared: Path, side: str) -> None:
    text = spec(shared, "attention_pooling").split("## 6. Filter-shape study")[1]
    table = text.split(f"| {side} |")[1].split("\n\n")[0]
    rows = [line for place, line in enumerate(table.splitlines()) if place == 0 or line.startswith("|")]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in rows]
    values = [int(cell) for cell in lines[0]]
    curves = published_curves(side)  # type: ignore[arg-type]
    for name, *cells in lines[2:]:
        expected = {x: float(cell) for x, cell in zip(values, cells, strict=True) if cell != "-"}
        assert curves["wa" if name == "WA" else name] == expected
    assert set(curves) == {"wa", "neutral", "angry", "sad"}


def test_leaky_protocols_say_why() -> None:
    rows = published_rows("main") + published_rows("ablations") + published_rows("mixup")
    assert all(row.leaky is not None for row in rows)
    assert all(row.leaky is None for row in published_rows("attention-pooling"))
