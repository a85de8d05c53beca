"""The page in a real browser: files, the microphone, keys, screen readers' words, nothing from outside."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from serenade.corpora.synthetic import long_recording

from .conftest import Running, running

PAGE = Path(__file__).resolve().parents[2] / "src" / "serenade" / "service" / "page"


def test_every_part_is_served_with_its_type(service: Running) -> None:
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for part in PAGE.iterdir():
        answer = service.client.get("/" if part.name == "index.html" else f"/page/{part.name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kinds[part.suffix[1:]])
        assert answer.content == part.read_bytes()


def test_nothing_is_asked_of_others() -> None:
    for part in PAGE.iterdir():
        found = set(re.findall(r"(?:https?:)?//[\w.-]+", part.read_text(encoding="utf-8")))
        assert found <= {"http://www.w3.org"}, part.name  # the name of SVG, which nobody fetches


def test_parts_that_are_named_are_there() -> None:
    for part in PAGE.iterdir():
        text = part.read_text(encoding="utf-8")
        named = re.findall(r"/page/([\w.]+)", text) + re.findall(r'from "\./([\w.]+)"', text)
        assert [name for name in named if not (PAGE / name).is_file()] == []


def test_markup_keeps_to_the_policy() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|\son\w+=|<script>|<style", text)
    scripts = "".join(part.read_text(encoding="utf-8") for part in PAGE.glob("*.js"))
    assert "innerHTML" not in scripts
    assert "eval(" not in scripts


def test_every_control_has_a_name() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    labelled = set(re.findall(r'for="([\w-]+)"', text))
    for tag in re.findall(r"<(?:select|input)\b[^>]*>", text):
        name = re.search(r'id="([\w-]+)"', tag)
        assert name is not None
        inside = re.search(rf"<label[^>]*>(?:(?!</label>).)*id=\"{name[1]}\"", text, re.S)
        assert inside or name[1] in labelled or "aria-label" in tag, tag


# ------------------------------------------------------------------ in Chromium

HEARD = re.compile(r"0:0\d\.0 to 0:")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears: 30 s at 48 kHz."""
    path = tmp_path_factory.mktemp("spoken") / "spoken.wav"
    long_recording(path.with_name("talk.wav"), 30.0)
    samples, rate = soundfile.read(path.with_name("talk.wav"), dtype="float32")
    soundfile.write(path, np.repeat(samples, 48_000 // rate), 48_000)
    return path


@pytest.fixture(scope="module")
def browser(spoken: Path) -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="needs the extra page")
    if CHROMIUM is None:
        pytest.skip("needs Chromium; name it in the environment as CHROMIUM")
    with api.sync_playwright() as playwright:
        microphone = (
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={spoken}",
        )
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *microphone])
        yield browser
        browser.close()


class Opened:
    """The page, what it asked for and what went wrong in it."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_context(reduced_motion="reduce", **options).new_page()
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.wrong.append(said.text))
        self.page.goto(address)
        self.page.locator("body[data-ready]").wait_for()

    def verdict(self) -> None:
        self.page.locator("#verdict", has_text=re.compile("Mostly|Mixed")).wait_for(timeout=30_000)

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture(scope="module")
def two_models(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    other = tmp_path_factory.mktemp("models") / "other"
    shutil.copytree(model_folder, other)
    from serenade.service.settings import ServiceSettings

    settings = ServiceSettings(port=0, models=(str(model_folder), str(other)), requests_per_minute=0)
    with running(settings) as there:
        yield there


@pytest.fixture
def opened(browser: Any, two_models: Running) -> Iterator[Opened]:
    page = Opened(browser, two_models.address, viewport={"width": 1200, "height": 900})
    yield page
    outside = [url for url in page.asked if not url.startswith((two_models.address, "blob:", "data:"))]
    page.close()
    assert outside == []
    assert page.wrong == []


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Nine seconds of generated voices, which detectors take for speech."""
    long_recording(tmp_path / "talk.wav", 9.0)
    return tmp_path / "talk.wav"


@pytest.mark.slow
def test_file_becomes_a_timeline_a_table_and_a_download(opened: Opened, recording: Path, tmp_path: Path) -> None:
    page = opened.page
    page.set_input_files("#file", recording)
    opened.verdict()
    assert re.match("Mostly|Mixed", page.locator("#said").inner_text())  # a screen reader is told
    assert page.locator("#legend li").count() == 5
    page.locator("summary").click()
    assert 5 <= page.locator("#table tbody tr").count() <= 8  # windows of 2 s, every second, of 9 s with pauses
    for name, suffix in (("csv", ".csv"), ("textgrid", ".TextGrid"), ("html", ".html")):
        page.select_option("#format", name)
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == f"talk{suffix}"
        download.value.save_as(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 100


@pytest.fixture(scope="module")
def timeline_file(browser: Any, two_models: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of nine seconds of two voices, as anybody might be sent it."""
    folder = tmp_path_factory.mktemp("page")
    long_recording(folder / "talk.wav", 9.0)
    wishes = {"division": "windows", "window_s": 1, "hop_s": 0.5, "format": "html", "name": "talk.wav"}
    answer = two_models.post((folder / "talk.wav").read_bytes(), params=wishes)
    (folder / "talk.html").write_bytes(answer.content)
    return folder / "talk.html"


class File:
    """A page that is a file, opened without any network."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_context(offline=True, **options).new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.wrong.append(said.text))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.querySelector('audio').readyState >= 2")

    def close(self) -> None:
        self.page.context.close()
        assert self.wrong == []
        assert [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.slow
def test_timeline_file_plays_zooms_and_lists_its_rows(browser: Any, timeline_file: Path) -> None:
    opened = File(browser, timeline_file, viewport={"width": 1100, "height": 900})
    page = opened.page
    slider = page.get_by_role("slider", name=re.compile("Position in the recording"))
    slider.focus()
    said = []
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "ArrowLeft", "End", "Home"):
        page.keyboard.press(key)
        said.append(float(slider.get_attribute("aria-valuenow") or "nan"))
    assert said[1] == said[0] + 1
    assert said[2] > said[1]
    assert said[4:] == [pytest.approx(9.0, abs=0.1), 0.0]
    drawn = page.evaluate("document.querySelector('#near').toDataURL()")
    page.keyboard.press("+")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('#near').toDataURL()") != drawn
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('audio').currentTime > 0.2")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('audio').paused")
    page.get_by_text("All stretches as a table").click()
    rows = page.locator("#body tr")
    assert rows.count() >= 8
    label = rows.first.locator("td").nth(3).inner_text()
    page.select_option("#by-label", label)
    assert 1 <= rows.count() <= 18
    assert set(page.locator("#body tr td:nth-child(4)").all_inner_texts()) == {label}
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1440])
def test_in_a_timeline_file_nothing_sticks_out_and_words_stand_out(
    browser: Any, timeline_file: Path, width: int, scheme: str
) -> None:
    opened = File(browser, timeline_file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in (".lead", ".card .small", "#clock", "#said", "header .small", "footer", "#play", "#all"):
        for element in page.locator(name).all():
            assert contrast(element) >= 4.5, name
    if folder := os.environ.get("SERENADE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"timeline-{scheme}-{width}.png", full_page=True)
    opened.close()


@pytest.mark.slow
def test_timeline_is_used_by_keys_and_says_where_it_is(opened: Opened, recording: Path) -> None:
    page = opened.page
    page.set_input_files("#file", recording)
    opened.verdict()
    slider = page.get_by_role("slider", name="Position in the recording")
    slider.focus()
    assert slider.get_attribute("aria-valuemax") == "9.0"
    texts = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home"):
        page.keyboard.press(key)
        texts.append(slider.get_attribute("aria-valuetext"))
    times = [text.split(",")[0] for text in texts if text]
    assert times[0] < times[1]
    assert times[2] < times[1]
    assert times[3] == "0:09.0"
    assert times[4] == "0:00.0"
    assert re.search(r"(angry|happy|neutral|sad) \d+ %", str(texts[0]))
    page.wait_for_timeout(200)
    page.keyboard.press("End")
    assert abs(page.evaluate("document.querySelector('audio').currentTime") - 9) < 0.1  # the player keeps step


@pytest.mark.slow
def test_microphone_is_followed_live_and_kept_as_a_recording(opened: Opened) -> None:
    page = opened.page
    page.click("#speak")
    page.locator('#speak[aria-pressed="true"]').wait_for()
    page.locator("#now", has_text=HEARD).wait_for(timeout=30_000)  # rows come while it is spoken
    heard_s = float(re.findall(r"to 0:(\d+\.\d)", page.locator("#now").inner_text())[0])
    page.click("#speak")
    opened.verdict()
    page.locator("#player:not([hidden])").wait_for()
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('audio').duration") >= heard_s > 0


@pytest.mark.slow
def test_two_models_are_compared(opened: Opened, recording: Path) -> None:
    page = opened.page
    page.select_option("#other", "other")
    page.set_input_files("#file", recording)
    page.locator("#detail", has_text="the models agree on 100 %").wait_for(timeout=30_000)  # it is the same model
    assert page.locator("#now .model-name").all_inner_texts() == ["drawn", "other"]
    page.select_option("#of", "other")
    assert page.locator("#table caption").text_content().endswith("by other")
    page.select_option("#format", "json")
    with page.expect_download() as download:
        page.click("#download")
    assert json.loads(download.value.path().read_text())["about"]["model"] == "other"


@pytest.fixture
def diarisation(tmp_path: Path) -> Path:
    """Two people, one of them called at some length, who talk at once from 3 to 5 s."""
    path = tmp_path / "talk.rttm"
    long = "Ada_King_Countess_of_Lovelace_" * 3
    turns = [(0.0, 5.0, "bo"), (3.0, 6.0, long)]
    path.write_text("".join(f"SPEAKER talk 1 {at} {for_} <NA> <NA> {who} <NA> <NA>\n" for at, for_, who in turns))
    return path


@pytest.mark.slow
def test_everyone_in_a_diarisation_has_a_line(
    opened: Opened, recording: Path, diarisation: Path, tmp_path: Path
) -> None:
    page = opened.page
    page.set_viewport_size({"width": 390, "height": 800})
    page.set_input_files("#file", recording)
    opened.verdict()
    assert page.locator(".speakers").count() == 0
    alone = page.locator("#picture").bounding_box()["height"]  # type: ignore[index]  # it is visible
    page.set_input_files("#who-file", diarisation)  # heard again
    page.locator(".speakers dt", has_text="bo").wait_for(timeout=30_000)
    assert page.locator(".speakers dt").count() == 2
    assert re.search(r"bo: \w+ \d+ %", page.locator("#said").inner_text())  # a screen reader is told
    assert page.locator("#picture").bounding_box()["height"] > alone + 30  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    slider = page.get_by_role("slider", name="Position in the recording")
    slider.focus()
    said = []
    for _ in range(9):
        page.keyboard.press("ArrowRight")
        said.append(str(slider.get_attribute("aria-valuetext")))
    assert any(re.search(r"Ada_King.*: \w+ \d+ %; bo: ", text) for text in said)  # both at once
    assert page.locator("#now .model-name").count() <= 2
    page.locator("summary").click()
    assert page.locator("#table th").nth(2).inner_text() == "speaker"
    for name in ("csv", "html"):
        page.select_option("#format", name)
        with page.expect_download() as download:
            page.click("#download")
        download.value.save_as(tmp_path / name)
        assert ",bo," in (tmp_path / name).read_text() or '"bo"' in (tmp_path / name).read_text()
    page.click("#who-off")
    opened.verdict()
    page.locator(".speakers").wait_for(state="detached", timeout=30_000)
    assert page.locator("#who").inner_text() == "Add an RTTM file"


@pytest.mark.slow
def test_diarisation_dropped_beside_a_recording_goes_with_it_and_not_with_the_next(
    opened: Opened, recording: Path, diarisation: Path
) -> None:
    page = opened.page
    sound = list(recording.read_bytes())
    page.evaluate(
        """([sound, text]) => {
        const data = new DataTransfer();
        data.items.add(new File([text], "talk.rttm"));
        data.items.add(new File([new Uint8Array(sound)], "talk.wav"));
        dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    }""",
        [sound, diarisation.read_text()],
    )
    page.locator(".speakers dt", has_text="bo").wait_for(timeout=30_000)
    page.set_input_files("#file", recording)
    page.locator(".speakers").wait_for(state="detached", timeout=30_000)
    opened.verdict()
    assert page.locator("#who-off").is_hidden()


@pytest.mark.slow
def test_diarisation_that_is_none_is_said(browser: Any, two_models: Running, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.rttm").write_text("SPEAKER talk 1 x 1\n")
    page = Opened(browser, two_models.address)
    page.page.set_input_files("#who-file", tmp_path / "bad.rttm")
    page.page.set_input_files("#file", recording)
    page.page.locator("#problem", has_text="line 1").wait_for(timeout=30_000)
    page.close()


@pytest.mark.slow
def test_long_file_can_be_stopped_and_keeps_what_was_heard(opened: Opened, tmp_path: Path) -> None:
    long_recording(tmp_path / "long.wav", 120.0)
    page = opened.page
    page.fill("#hop", "0.2")  # many rows, so that it takes a while
    page.set_input_files("#file", tmp_path / "long.wav")
    page.locator("#progress-text", has_text=re.compile(r"Heard \d+:\d\d of 2:00")).wait_for(timeout=30_000)
    page.click("#halt")
    page.locator("#verdict", has_text="Stopped").wait_for()
    assert page.locator("#table tbody tr").count() > 0
    assert page.locator("#progress").is_hidden()


@pytest.mark.slow
def test_stretch_is_explained_by_pictures(opened: Opened, recording: Path) -> None:
    pytest.importorskip("captum", reason="needs the extra explain")
    page = opened.page
    page.set_input_files("#file", recording)
    opened.verdict()
    page.select_option("#target", "sad")
    page.click("#explain")
    page.locator("#maps:not([hidden])").wait_for(timeout=30_000)
    assert "For sad" in page.locator("#map-meaning").inner_text()
    assert page.locator("#map-choice [aria-checked=true]").count() == 1
    colours = "c => new Set(c.getContext('2d').getImageData(60, 20, 200, 40).data).size"
    for name in ("#features", "#sound"):
        assert page.locator(name).evaluate(colours) > 20  # something is painted
    page.locator("#map-choice [aria-checked=true]").focus()
    before = page.locator("#map-choice [aria-checked=true]").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#map-choice [aria-checked=true]").inner_text() != before


@pytest.mark.slow
def test_model_card_is_shown_as_text(opened: Opened) -> None:
    page = opened.page
    page.click("#card-open")
    page.get_by_role("heading", name="GLAM, untrained").wait_for()
    page.keyboard.press("Escape")
    assert not page.locator("#card").is_visible()


@pytest.mark.slow
def test_what_is_no_recording_is_said(browser: Any, two_models: Running, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    page = Opened(browser, two_models.address)
    page.page.set_input_files("#file", tmp_path / "notes.txt")
    page.page.locator("#problem", has_text="cannot be decoded as sound").wait_for(timeout=30_000)
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_nothing_sticks_out_and_words_stand_out(
    browser: Any, two_models: Running, recording: Path, width: int, scheme: str
) -> None:
    page = Opened(browser, two_models.address, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.page.set_input_files("#file", recording)
    page.verdict()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("#verdict", "#detail", "#keys", "#choose", ".lead", "footer p"):
        if page.page.locator(name).is_visible():
            assert contrast(page.page.locator(name)) >= 4.5, name
    if folder := os.environ.get("SERENADE_SCREENSHOTS"):
        page.page.screenshot(path=Path(folder) / f"page-{scheme}-{width}.png", full_page=True)
    page.close()


def contrast(element: Any) -> float:
    """WCAG 2 contrast of an element's words with what they stand on."""
    script = """e => { const ink = getComputedStyle(e).color; let b = e, g;
        do { g = getComputedStyle(b).backgroundColor; b = b.parentElement; } while (b && /, 0\\)$/.test(g));
        return JSON.stringify([ink, g]); }"""
    colours = [re.findall(r"[\d.]+", text)[:3] for text in json.loads(element.evaluate(script))]

    def luminance(colour: list[str]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (float(v) / 255 for v in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.slow
def test_key_is_asked_for_and_kept(browser: Any, model_folder: Path, tmp_path: Path) -> None:
    from serenade.service.gate import new_key
    from serenade.service.settings import ServiceSettings

    key, line = new_key("me")
    (tmp_path / "keys").write_text(line + "\n")
    with running(ServiceSettings(port=0, models=(str(model_folder),), keys=tmp_path / "keys")) as there:
        page = browser.new_context().new_page()
        page.goto(there.address)
        page.locator("#key-value").fill(key)
        page.get_by_role("button", name="Continue").click()
        page.locator("body[data-ready]").wait_for()
        page.click("#speak")
        page.locator("#now", has_text=HEARD).wait_for(timeout=30_000)
        page.click("#speak")
        page.context.close()
