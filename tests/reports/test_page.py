"""The HTML page: one file, every part, every mark, and nothing from elsewhere."""

import re
from html.parser import HTMLParser

import pytest

from serenade.core.errors import SerenadeError, UsageError
from serenade.core.files import read_json, write_json
from serenade.experiments.comparison import compare
from serenade.experiments.summary import summarise
from serenade.reports.page import CLIP_BYTES, Clip, badges_of, write_report

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects text, addresses and unbalanced elements."""

    def __init__(self):
        super().__init__()
        self.open, self.faults, self.links, self.words, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(*runs, tmp_path, **options):
    for run in runs:
        summarise(run)
    out = tmp_path / "page.html"
    write_report(runs, out, **options)
    reader = Reader()
    source = out.read_text(encoding="utf-8")
    reader.feed(source)
    assert not reader.faults
    assert not reader.open
    return source, reader


def test_page_compares_with_the_raters_where_there_are_votes(make_run, tmp_path):
    rated = make_run("rated", votes={"01-00": {"angry": 3, "sad": 1}})
    _, reader = page_of(rated, tmp_path=tmp_path)
    agreement = read_json(rated / "summary.json")["votes"]["rater_agreement"]
    assert f"the same as another rater in {100 * agreement:.1f} %" in reader.text.replace("\u202f", " ")
    _, reader = page_of(make_run("plain"), tmp_path=tmp_path)
    assert "raters" not in reader.text


def test_page_shows_every_part_of_a_run(make_run, tmp_path):
    run = make_run("glam-emodb", skill=1.0, embedding_dim=6)
    source, reader = page_of(run, tmp_path=tmp_path)
    summary = read_json(run / "summary.json")
    for title in ("All metrics", "Confusion", "Per class", "confidence be trusted", "While it learnt", "Per speaker"):
        assert title in reader.text
    for title in (
        "Protocol and data",
        "Map of the voices",
        "Where it fails most",
        "Do it again",
        "speaker-independent",
    ):
        assert title in reader.text
    ua = summary["metrics"]["ua"]["pooled"]
    assert f"{100 * ua['mean']:.1f} ± {100 * ua['std']:.1f}" in reader.text
    assert "glam on EMO-DB" in reader.text
    assert summary["worst"][0]["id"] in reader.text
    assert "batch_size" not in source or "experiment.toml" in reader.text
    assert reader.tags.count("figure") == 3  # a map for each fold
    assert "1 unknown label" in reader.text


def test_page_loads_nothing_from_elsewhere(make_run, tmp_path):
    source, reader = page_of(make_run(), tmp_path=tmp_path, clip=lambda _: Clip(b"sound", "audio/mpeg"))
    assert reader.links
    assert all(link.startswith(("#", "data:audio/mpeg;base64,")) for link in reader.links)
    assert not re.search(r"https?://|@import|url\(", source)
    assert "link" not in reader.tags


def test_names_from_outside_cannot_become_markup(make_run, tmp_path):
    labels = ("angry", "<script>alert(1)</script>", 'sad" onload="x')
    source, reader = page_of(make_run("a<b>&c", labels=labels, leaky="<i>bad</i>"), tmp_path=tmp_path)
    assert "<script>alert" not in source
    assert "<i>bad" not in source
    assert "<b>&c" not in source
    assert reader.tags.count("script") == 1
    assert "<script>alert(1)</script>" in reader.text  # shown as text


def test_leaky_run_is_marked_at_every_number(make_run, tmp_path):
    source, reader = page_of(make_run(leaky="random turns"), tmp_path=tmp_path)
    assert "LEAKY: random turns" in reader.text
    assert "speaker-independent" not in reader.text
    assert reader.text.count("LEAKY") >= 13  # badges, alarm, three cards, and beside every heading
    assert "never heard" not in reader.text
    assert 'class="card leaky"' in source


def test_synthetic_and_unfinished_runs_say_so(make_run, tmp_path):
    run = make_run(corpus="synthetic", missing=[("02", 1)])
    _, reader = page_of(run, tmp_path=tmp_path)
    assert "synthetic voices" in reader.text
    assert "synthetic speakers" in reader.text
    assert "Per class synthetic unfinished" in reader.text
    assert "unfinished: 5 of 6 jobs" in reader.text


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"leaks": None}, "warn", "not checked for leaks"),
        (
            {"leaks": {"findings": [{"kind": "unknown_speaker", "severity": "warning", "message": "m"}]}},
            "warn",
            "unknown",
        ),
        ({"leaks": {"findings": [{"kind": "speaker", "severity": "error", "message": "m"}]}}, "bad", "LEAKY"),
        ({"leaks": {"findings": [{"kind": "sentence", "severity": "warning", "message": "m"}]}}, "good", "checked"),
    ],
)
def test_badge_promises_no_more_than_was_checked(make_run, change, kind, text):
    badge = badges_of({**summarise(make_run()), **change})[0]
    assert badge.kind == kind
    assert text in badge.text


def test_speaker_that_gives_the_label_away_is_called_out(make_run, tmp_path):
    finding = {"kind": "speaker_gives_label", "severity": "warning", "message": "scores WA 100.0%"}
    _, reader = page_of(make_run(findings=[finding]), tmp_path=tmp_path)
    assert "speaker gives the label away" in reader.text
    assert "scores WA 100.0%" in reader.text


def test_several_runs_stand_side_by_side_with_paired_differences(make_run, tmp_path):
    a, b = make_run("first", skill=0.5), make_run("second", noise_seed=3, leaky="random turns")
    comparison = compare(a, b)
    source, reader = page_of(a, b, tmp_path=tmp_path, comparisons=[comparison])
    assert "2 runs compared" in reader.text
    assert f"+{100 * comparison['metrics']['ua']['difference']:.1f}" in reader.text
    assert "second LEAKY − first" in reader.text
    assert "second is LEAKY: random turns" in reader.text
    assert 'id="run2"' in source


def test_players_hold_the_sound_and_stop_at_the_limit(make_run, tmp_path):
    run = make_run(skill=0.2)
    summary = summarise(run)
    asked = []

    def clip(entry):
        asked.append(entry["id"])
        return Clip(b"x" * (CLIP_BYTES // 3), "audio/ogg") if entry["id"] != summary["worst"][1]["id"] else None

    _, reader = page_of(run, tmp_path=tmp_path, clip=clip)
    assert asked == [entry["id"] for entry in summary["worst"]]
    assert reader.tags.count("audio") == 3
    _, silent = page_of(run, tmp_path=tmp_path)
    assert "audio" not in silent.tags


def test_baseline_without_epochs_or_embeddings_has_no_empty_parts(make_run, tmp_path):
    _, reader = page_of(make_run(epochs=0, seeds=1), tmp_path=tmp_path)
    assert "While it learnt" not in reader.text
    assert "Map of the voices" not in reader.text
    assert "None" not in reader.text
    assert "nan" not in reader.text.lower().split()


def test_one_speaker_and_a_perfect_score_can_be_drawn(make_run, tmp_path):
    _, reader = page_of(make_run(speakers=1, seeds=1, skill=50.0), tmp_path=tmp_path)
    assert "100.0 %" in reader.text
    assert "no interval" in reader.text
    assert "None" not in reader.text


def test_page_is_the_same_each_time(make_run, tmp_path):
    run = make_run()
    assert page_of(run, tmp_path=tmp_path)[0] == page_of(run, tmp_path=tmp_path)[0]


def test_run_without_a_usable_summary_is_refused(make_run, tmp_path):
    run = make_run()
    with pytest.raises(UsageError, match="no summary"):
        write_report([run], tmp_path / "x.html")
    summary = summarise(run)
    write_json(run / "summary.json", {**summary, "format": 0})
    with pytest.raises(UsageError, match="another version"):
        write_report([run], tmp_path / "x.html")
    (run / "summary.json").write_text("{")
    with pytest.raises(SerenadeError, match="damaged"):
        write_report([run], tmp_path / "x.html")
    with pytest.raises(UsageError, match="at least one run"):
        write_report([], tmp_path / "x.html")
