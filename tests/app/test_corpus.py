"""``serenade corpus``: what it prints, how it ends, and that damage is never silent."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.corpora.conversation_trees import Turn, iemocap_block, make_iemocap
from tests.corpora.trees import make_emodb, write_sound

from serenade.app.main import main
from serenade.corpora import CORPORA

SIX = ["03a01Wa", "03a01Nc", "03a02Fc", "08a01Wa", "08a01Na", "08a02Fb"]


@pytest.fixture
def emodb(tmp_path: Path) -> Path:
    return make_emodb(tmp_path / "emodb", SIX)


def output(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_list_names_every_corpus_and_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "list"]) == 0
    shown, _ = output(capsys)
    assert all(name in shown and CORPORA.resolve(name).licence in shown for name in CORPORA)
    assert main(["corpus", "list", "--json"]) == 0
    told = {entry["name"]: entry for entry in json.loads(output(capsys)[0])}
    assert set(told) == set(CORPORA)
    assert told["ravdess"]["commercial_use"] is False
    assert told["emodb"]["expected"]["angry"] == 127


def test_a_sound_corpus_passes_the_check(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "check", "emodb", str(emodb)]) == 0
    shown, complaints = output(capsys)
    assert "6 utterances can be used: 0.0 min, 2 speakers, 3 classes" in shown
    assert "0 left out" in shown
    assert "angry 2 of 127" in shown
    assert "Speakers do not give the label away" in shown
    assert complaints == ""


def test_damage_is_listed_and_ends_with_3(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (emodb / "wav" / "03a01Wa.wav").write_bytes(b"")
    (emodb / "wav" / "other.wav").write_bytes(b"")
    assert main(["corpus", "check", "emodb", str(emodb)]) == 3
    shown, complaints = output(capsys)
    assert "2 left out:\n  empty: 1\n    wav/03a01Wa.wav" in shown
    assert "  unreadable name: 1\n    wav/other.wav: expected a name such as 03a01Fa" in shown
    assert "2 failed, 5 done" in complaints
    assert "wav/03a01Wa.wav: empty" in complaints


def test_a_choice_of_classes_is_no_damage(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "check", "emodb", str(emodb), "--labels", "anger,Neutral"]) == 0
    shown, _ = output(capsys)
    assert "4 utterances can be used" in shown
    assert "not in the label set: 2" in shown
    assert "Not complete" not in shown


def test_many_of_a_kind_are_counted_not_listed(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(15):
        (emodb / "wav" / f"note{number:02d}.txt").write_text("x")
    assert main(["corpus", "check", "emodb", str(emodb)]) == 0
    shown, _ = output(capsys)
    assert "other material: 15" in shown
    assert "and 5 more (all of them with --json)" in shown


def test_check_as_json_says_all(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (emodb / "wav" / "03a01Wa.wav").write_bytes(b"")
    assert main(["corpus", "check", "emodb", str(emodb), "--json"]) == 3
    told = json.loads(output(capsys)[0])
    assert told["utterances"] == 5
    assert [(item["where"], item["reason"], item["damage"]) for item in told["left_out"]] == [
        ("wav/03a01Wa.wav", "empty", True)
    ]
    assert told["missing_of_complete"]["happy"] == 69
    assert told["speaker_majority"]["gives_label"] is False


def test_a_corpus_whose_speakers_give_the_label_away_is_called_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"{n}-{k}.wav", f"s{n}", ("happy", "sad")[n % 2]) for n in range(4) for k in range(4)]
    for name, _, _ in rows:
        write_sound(tmp_path / name)
    table = tmp_path / "data.csv"
    table.write_text("file,speaker,emotion\n" + "".join(f"{','.join(row)}\n" for row in rows))
    assert main(["corpus", "check", "table", str(table)]) == 0
    shown, _ = output(capsys)
    assert "WARNING: the speaker gives the label away" in shown
    assert "scores WA 100.0%" in shown
    assert "4 of 4 speakers have one class only" in shown


def test_what_a_table_leaves_open_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        write_sound(tmp_path / name)
    (tmp_path / "data.csv").write_text("file,emotion\na.wav,tense\nb.wav,loose\nc.wav,\n")
    assert main(["corpus", "check", "table", str(tmp_path / "data.csv")]) == 0
    shown, _ = output(capsys)
    assert "Classes of your own: loose, tense" in shown
    assert "Without a label: 1" in shown
    assert "Without a speaker: 3" in shown
    assert "0 speakers, 2 classes" in shown  # nobody knows how many
    assert "give the label away" not in shown


def test_stats_count_speakers_by_classes(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "stats", "emodb", str(emodb)]) == 0
    lines = [line.split() for line in output(capsys)[0].splitlines()]
    assert lines[0] == ["speaker", "sex", "angry", "happy", "neutral", "all", "minutes"]
    assert lines[1][:6] == ["03", "male", "1", "1", "1", "3"]
    assert lines[3][:5] == ["all", "2", "2", "2", "6"]


def test_stats_as_csv_and_json_agree(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "stats", "emodb", str(emodb), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(output(capsys)[0])))
    assert main(["corpus", "stats", "emodb", str(emodb), "--json"]) == 0
    told = json.loads(output(capsys)[0])
    assert [(row["speaker"], row["emotion"], int(row["utterances"])) for row in rows] == [
        (count["speaker"], count["emotion"], count["utterances"]) for count in told["counts"]
    ]
    assert told["utterances"] == sum(int(row["utterances"]) for row in rows) == 6
    assert main(["corpus", "stats", "emodb", str(emodb), "--csv", "--json"]) == 2
    assert "exclude each other" in output(capsys)[1]


def test_stats_count_by_any_fact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    rows = ["file,speaker,emotion,session,scene"]
    for place in range(6):
        name = write_sound(tmp_path / f"{place}.wav").name
        rows.append(f"{name},s{place % 2},{('angry', 'sad')[place % 2]},{place // 4},{'street' if place < 5 else ''}")
    table.write_text("\n".join(rows) + "\n")
    call = ["corpus", "stats", "table", str(table), "--by", "group", "--by", "scene"]
    assert main(call) == 0
    lines = [line.split() for line in output(capsys)[0].splitlines()]
    assert lines[-8:] == [
        *([], ["group", "angry", "sad", "all"], ["0", "2", "2", "4"], ["1", "1", "1", "2"]),
        *([], ["scene", "angry", "sad", "all"], ["street", "3", "2", "5"], ["(not", "known)", "0", "1", "1"]),
    ]
    assert main([*call, "--json"]) == 0
    assert json.loads(output(capsys)[0])["by"] == {
        "group": {"0": {"angry": 2, "sad": 2}, "1": {"angry": 1, "sad": 1}},
        "scene": {"street": {"angry": 3, "sad": 2}, "(not known)": {"sad": 1}},
    }
    assert main(["corpus", "stats", "table", str(table), "--by", "scenes"]) == 2
    assert "Did you mean 'scene'?" in output(capsys)[1]
    assert main([*call, "--csv"]) == 2
    assert "Take --json" in output(capsys)[1]


def test_stats_show_how_far_raters_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"Ses01{sex}_impro01_{sex}000" for sex in "FM"]
    root = make_iemocap(tmp_path, [(name, Turn(name[:6], "impro", "ang")) for name in names])
    raters = ("C-E1:\tAnger;\t()", "C-E2:\tAnger;\t()", "C-E3:\tSadness;\t()")
    for name in names:
        write_sound(root / "Session1/sentences/wav" / name[:14] / f"{name}.wav", key=name)
        (root / f"Session1/dialog/EmoEvaluation/{name[:14]}.txt").write_text(iemocap_block(name, "ang", raters=raters))
    assert main(["corpus", "stats", "iemocap", str(root)]) == 3  # four sessions are missing
    # kappa: a third of the pairs agree, 5/9 would by chance; alpha by chance: 7/15, no rating with itself
    expected = "Raters: 6 ratings of 2 utterances; Fleiss' kappa -0.500, Krippendorff's alpha -0.250"
    assert expected in capsys.readouterr().out
    assert main(["corpus", "stats", "iemocap", str(root), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["agreement"]
    assert (found["utterances"], found["ratings"], found["fleiss_kappa"]) == (2, 6, pytest.approx(-0.5))


def test_stats_of_damage_end_with_3_as_well(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (emodb / "wav" / "03a01Wa.wav").write_bytes(b"")
    assert main(["corpus", "stats", "emodb", str(emodb)]) == 3
    shown, complaints = output(capsys)
    assert "5 utterances" in shown
    assert "1 left out" in shown
    assert "03a01Wa.wav: empty" in complaints


def test_nothing_usable_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_emodb(tmp_path, ["03a01Wa"])
    (root / "wav" / "03a01Wa.wav").write_bytes(b"")
    assert main(["corpus", "stats", "emodb", str(root)]) == 1
    assert "nothing in the corpus can be used" in output(capsys)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["emodbb", "."], 2, "Did you mean 'emodb'?"),
        (["emodb", "wav"], 1, "give that folder"),
        (["emodb", "absent"], 1, "is not there"),
        (["emodb", ".", "--labels", "angry"], 2, "at least two different names"),
    ],
)
def test_a_wrong_call_is_explained_in_one_paragraph(
    emodb: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(emodb)
    assert main(["corpus", "check", *arguments]) == code
    shown, complaints = output(capsys)
    assert shown == ""
    assert message in complaints
    assert complaints.count("\n") == 1


def test_labels_are_checked_without_the_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    rows = [f"wav/{i}.wav,s{i % 3},{('angry', 'sad', 'happy')[i % 3]}" for i in range(30)] + ["wav/x.wav,s1,hapy"]
    table.write_text("file,speaker,emotion\n" + "\n".join(rows) + "\n")
    assert main(["corpus", "check", "table", str(table), "-q"]) == 1
    assert "--no-audio" in capsys.readouterr().err
    assert main(["corpus", "check", "table", str(table), "--no-audio"]) == 3
    shown = capsys.readouterr().out
    assert "30 utterances by name: 3 speakers, 3 classes; the recordings were not opened" in shown
    assert "one letter away from 'happy'" in shown
    assert "the speaker gives the label away" in shown


def test_check_and_stats_look_at_what_is_selected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    rows = [f"wav/{i}.wav,s{i % 3},{('angry', 'sad')[i % 2]},{('female', 'male')[i % 2]}" for i in range(12)]
    table.write_text("file,speaker,emotion,gender\n" + "\n".join(rows) + "\n")
    narrowed = ["--no-audio", "--where", "gender=female", "--map", "angry=aroused", "--json"]
    assert main(["corpus", "check", "table", str(table), *narrowed]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["utterances"] == 6
    assert {item["reason"] for item in found["left_out"]} == {"not selected"}


def peak_mib(*arguments: str) -> float:
    """The largest memory of a process that checks a corpus."""
    probe = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "assert done.returncode in (0, 3)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    call = "from serenade.app.main import main; raise SystemExit(main())"
    check = [sys.executable, "-c", call, "corpus", "check", "table", *arguments, "--quiet"]
    done = subprocess.run([sys.executable, "-c", probe, *check], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--no-audio"], [], ["--json"], ["--no-near-duplicates"]])
def test_memory_does_not_grow_with_the_rows_of_a_table(tmp_path: Path, options: list[str]) -> None:
    there = options == ["--no-near-duplicates"]  # recordings: many spans of one, lest examining them takes minutes
    sound = write_sound(tmp_path / "a.wav", seconds=2.0).name
    found = []
    for rows in (20_000, 100_000):
        table = tmp_path / f"{rows}.csv"
        with table.open("w") as file:
            print("file,start,end,speaker,emotion,text,split", file=file)
            for row in range(rows):
                name = sound if there or row == 0 else f"{row % 100}/{row}.wav"
                span = f"{row / rows:.6f},{1 + row / rows:.6f}"
                part = ("train", "dev", "test")[row % 3] if not there else "train"
                print(f"{name},{span},s{row % 300},{('angry', 'sad')[row % 2]},Sentence {row},{part}", file=file)
        found.append(peak_mib(str(table), *options))
    assert (found[1] - found[0]) * 1024**2 / 80_000 < 64  # bytes a row; as records it was 1,300
