"""Recordings over HTTP: the answers are the recogniser's own, in every way of sending and asking."""

import base64
import json
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from serenade.inference.annotations.rttm import read_rttm
from serenade.inference.division import TimelineSettings
from serenade.inference.formats import to_row
from serenade.inference.recognizer import Recognizer

from .conftest import Running, sound_file, voice

RECORDING = sound_file(voice(3.0))


@pytest.fixture(scope="module")
def recognizer(model_folder: Path) -> Recognizer:
    return Recognizer.load(model_folder)


def test_answer_is_that_of_the_recogniser(service: Running, recognizer: Recognizer) -> None:
    answer = service.post(RECORDING)
    assert answer.status_code == 200
    found = answer.json()
    expected = to_row(recognizer(RECORDING))
    [row] = found["rows"]
    assert row["label"] == expected["label"]
    # the service scores in batches of another size, and a convolution sums in another order then
    assert row["scores"] == pytest.approx(expected["scores"], abs=2e-5)
    assert found["duration_s"] == 3.0
    assert found["labels"] == list(recognizer.labels)
    assert found["summaries"][0]["label"] == expected["label"]


def test_a_body_without_a_form_gives_the_same(service: Running) -> None:
    plain = service.client.post("/v1/recognize", content=RECORDING, headers={"Content-Type": "audio/wav"})
    assert plain.json() == service.post(RECORDING).json()


def test_windows_come_line_by_line_and_are_those_of_a_timeline(service: Running, recognizer: Recognizer) -> None:
    wishes = {"division": "windows", "window_s": 1, "hop_s": 0.5, "detector": "energy", "levels": True}
    first, *lines, last = service.lines(RECORDING, params=wishes)
    rows = [line for line in lines if line["kind"] == "row"]
    settings = TimelineSettings(window_s=1, hop_s=0.5, detector="energy")
    expected = [to_row(row) for row in recognizer.timeline_rows(RECORDING, settings=settings)]
    assert first["kind"] == "start"
    assert first["labels"] == list(recognizer.labels)
    assert first["about"]["settings"] == settings.model_dump(mode="json")
    assert [(row["start"], row["end"]) for row in rows] == [(row["start"], row["end"]) for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert row["scores"] == pytest.approx(wanted["scores"], abs=2e-5)
    assert last["kind"] == "end"
    assert last["summaries"][0]["rows"] == len(rows)


def test_levels_are_the_peaks_of_each_step(service: Running) -> None:
    samples = voice(1.03)
    lines = service.lines(sound_file(samples, subtype="FLOAT"), params={"levels": True})
    levels = [value for line in lines if line["kind"] == "levels" for value in line["values"]]
    expected = [np.abs(part).max() for part in np.split(samples, range(800, len(samples), 800))]
    assert levels == [round(float(peak) * 255) for peak in expected]
    whole = service.post(sound_file(samples, subtype="FLOAT"), params={"levels": True}).json()
    assert whole["levels"] == levels


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_common_formats_are_heard(service: Running, kind: str) -> None:
    found = service.post(sound_file(voice(1.5), 16_000, kind)).json()
    assert found["duration_s"] == pytest.approx(1.5, abs=0.1)


def test_media_of_a_browser_are_heard(service: Running) -> None:
    from .media import webm

    found = service.post(webm(voice(2.0, rate=48_000))).json()
    assert found["duration_s"] == pytest.approx(2.0, abs=0.05)


def test_many_at_once_get_what_each_gets_alone(service: Running) -> None:
    files = [sound_file(voice(2.0 + 0.3 * seed, seed)) for seed in range(6)]
    alone = [service.post(file).json() for file in files]
    together: dict[int, object] = {}

    def ask(place: int) -> None:
        together[place] = service.post(files[place]).json()

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[place] for place in range(6)] == alone  # to the last bit


def test_timelines_become_files_of_any_format(service: Running) -> None:
    found = service.post(RECORDING, params={"division": "windows", "window_s": 1, "detector": "energy"}).json()
    stated = {name: found[name] for name in ("duration_s", "labels", "rows", "about")} | {"file": "a.wav"}
    formats = service.client.get("/v1/models").json()["formats"]
    assert {"csv", "json", "textgrid", "eaf", "srt", "vtt", "rttm"} <= formats.keys()
    del formats["html"]  # of a recording
    for name, suffix in formats.items():
        answer = service.client.post(f"/v1/convert/{name}", json=stated)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"] == f'attachment; filename="emotions{suffix}"'
        assert answer.content
    again = service.client.post("/v1/convert/json", json=stated).json()
    assert [row["scores"] for row in again["rows"]] == [row["scores"] for row in found["rows"]]
    lines = service.client.post("/v1/convert/jsonl", json=stated).text.splitlines()
    assert [json.loads(line)["start"] for line in lines] == [row["start"] for row in found["rows"]]


def test_recording_becomes_a_file_of_any_format_at_once(service: Running, recognizer: Recognizer) -> None:
    wishes = {"division": "windows", "window_s": 1, "detector": "energy", "name": "a b.wav"}

    def made(format_name: str) -> bytes:
        answer = service.post(RECORDING, params=wishes | {"format": format_name})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"].startswith('attachment; filename="emotions.')
        assert answer.headers["content-type"] == "application/octet-stream"
        return bytes(answer.content)

    found = service.post(RECORDING, params=wishes).json()
    told = json.loads(made("json"))
    assert [row["scores"] for row in told["rows"]] == [row["scores"] for row in found["rows"]]
    assert {row["file"] for row in told["rows"]} == {"a b.wav"}
    assert len(made("rttm").splitlines()) == len(found["rows"])
    page = made("html").decode()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert (data["duration"], len(data["rows"])) == (3.0, len(found["rows"]))
    assert [1.0, 2.0] in [part[:2] for part in data["attended"]]
    sound = base64.b64decode(page.partition(";base64,")[2].partition('"')[0])
    assert soundfile.info(BytesIO(sound)).duration == pytest.approx(3.0, abs=0.1)  # MP3 fills frames up
    assert service.post(RECORDING, params={"format": "nonsense"}).json()["kind"] == "not-found"
    assert service.post(b"nothing", params={"format": "html"}).json()["kind"] == "not-media"


RTTM = "SPEAKER a 1 0.0 1.5 <NA> <NA> ada <NA> <NA>\nSPEAKER a 1 1.0 2.0 <NA> <NA> bob <NA> <NA>\n"


def test_speakers_have_rows_of_their_own(service: Running, recognizer: Recognizer, tmp_path: Path) -> None:
    def told(text: str, **wishes: object) -> Any:
        files = {"file": ("a.wav", RECORDING), "speakers": ("a.rttm", text.encode())}
        return service.client.post("/v1/recognize", files=files, params={"division": "turns"} | wishes)

    (tmp_path / "a.rttm").write_text(RTTM)
    expected = recognizer.timeline(RECORDING, speakers=read_rttm(tmp_path / "a.rttm", "a"))
    found = told(RTTM).json()
    assert [row["speaker"] for row in found["rows"]] == [row.speaker for row in expected.rows]
    assert {row["speaker"] for row in found["rows"]} == {"ada", "bob"}
    assert [summary["speaker"] for summary in found["summaries"]] == [None, "ada", "bob"]
    assert b" bob " in told(RTTM, format="rttm").content
    assert "division=turns" in told(RTTM, division="whole").json()["detail"]
    assert "line 1" in told("SPEAKER a 1 x 1.5 <NA> <NA> ada <NA> <NA>\n").json()["detail"]
    crowd = "".join(f"SPEAKER a 1 0.0 1.5 <NA> <NA> p{place} <NA> <NA>\n" for place in range(40))
    assert "too many people" in told(crowd).json()["detail"]
    assert told(" " * 1_100_000).json()["kind"] == "too-large"
    explained = service.client.post("/v1/explain", files={"file": RECORDING, "speakers": RTTM.encode()})
    assert explained.json()["kind"] == "bad-request"


def test_what_cannot_be_converted_is_said(service: Running) -> None:
    row = {"start": 0, "end": 1, "label": "a", "score": 1, "scores": {"a": 1}}
    stated = {"duration_s": 1, "labels": ["a", "b"], "rows": [row]}
    assert service.client.post("/v1/convert/nonsense", json=stated).json()["kind"] == "not-found"
    assert "no probability of a class" in service.client.post("/v1/convert/csv", json=stated).json()["detail"]
    answer = service.client.post("/v1/convert/csv", json=stated | {"duration_s": -1}).json()
    assert answer["kind"] == "bad-request"
    assert "duration_s" in answer["detail"]
    answer = service.client.post("/v1/convert/csv", content=b"[" * 100_000)
    assert answer.json()["kind"] == "bad-request"
    assert service.client.post("/v1/convert/csv", content=bytes(4_100_000)).json()["kind"] == "too-large"


def test_explanations_are_pictures_of_the_stretch(service: Running) -> None:
    answer = service.post(RECORDING, "/v1/explain", params={"start_s": 0.5, "end_s": 2.5, "method": "gradcam"})
    if answer.status_code != 200:
        pytest.skip(answer.json()["detail"])  # needs captum
    found = answer.json()
    assert (found["start_s"], found["end_s"]) == (0.5, 2.5)
    for picture in (found["sound"], found["features"], *found["overlays"]):
        values = base64.b64decode(picture["data"])
        assert len(values) == picture["rows"] * picture["columns"]
    assert found["sound"]["start_s"] == pytest.approx(0.5, abs=0.05)
    late = service.post(RECORDING, "/v1/explain", params={"start_s": 99})
    assert late.json()["kind"] == "bad-request"


def test_models_are_told_with_their_cards(service: Running) -> None:
    [model] = service.client.get("/v1/models").json()["models"]
    assert model["name"] == "drawn"
    assert model["labels"] == ["angry", "happy", "neutral", "sad"]
    assert model["summary"] == "Drawn weights, for tests only."
    assert service.client.get("/v1/models/drawn").json()["card"].startswith("# GLAM, untrained")
    assert service.client.get("/v1/models/drown").json()["kind"] == "not-found"


def test_openapi_describes_what_there_is(service: Running) -> None:
    described = service.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.")
    assert {"/v1/recognize", "/v1/explain", "/v1/models", "/v1/convert/{format_name}"} <= described["paths"].keys()
    assert "$defs" not in json.dumps(described)
    body = described["paths"]["/v1/recognize"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/octet-stream"}


def test_state_and_metrics_are_told(service: Running) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    service.post(RECORDING)
    assert service.client.get("/healthz").text == "ok\n"
    assert service.client.get("/readyz").status_code == 200
    families = {f.name: f for f in text_string_to_metric_families(service.client.get("/metrics").text)}
    answered = {tuple(s.labels.values()): s.value for s in families["serenade_requests"].samples if "_total" in s.name}
    assert answered["/v1/recognize", "200"] >= 1
    assert families["serenade_audio_seconds"].samples[0].value >= 3


@pytest.mark.parametrize("format_", [{}, {"format": "csv"}])
def test_answer_of_too_many_rows_is_told_line_by_line_alone(
    service: Running, monkeypatch: pytest.MonkeyPatch, format_: dict[str, str]
) -> None:
    monkeypatch.setattr("serenade.service.recognition._MOST_ROWS", 3)
    wishes = {"division": "windows", "window_s": 0.5, "hop_s": 0.5, "detector": "none"}
    data = sound_file(voice(3.0))
    refused = service.post(data, params=wishes | format_)
    assert (refused.status_code, refused.json()["kind"]) == (400, "bad-request")
    assert "line by line" in refused.json()["detail"]
    assert sum(line["kind"] == "row" for line in service.lines(data, params=wishes)) == 6
