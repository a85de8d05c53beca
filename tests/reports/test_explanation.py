"""Pictures of explanations: their bytes, their colours, the figure and the page."""

import base64
import io
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.reports.test_page import Reader

from serenade.core.errors import MissingExtraError
from serenade.core.explanations import Curve, Explanation, Overlay, Picture
from serenade.core.records import Prediction
from serenade.reports.explanation import explanation_figure, plot_span, write_explanation
from serenade.reports.figures import confusion_figure
from serenade.reports.heatmaps import colours, extent, overlay_pixels, picture_pixels, png
from serenade.reports.page import Clip
from serenade.reports.raster import standalone_svg, svg_to_png

LABELS = ("angry", "sad")


def explanation(columns: int = 40, **changes: object) -> Explanation:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(8, columns)).astype(np.float32)
    values[:, -3:] = np.nan
    features = Picture("spectrogram", values, (0.0, 4.0), "Hz", {0.0: "0", 7.0: "4000"})
    overlays = (
        Overlay("bottom_up", "bottom-up", "Where it looks.", np.abs(values)),
        Overlay("product", "product", "What a cell adds.", values, "signed"),
    )
    curve = Curve(((0.0, 2.0), (2.0, 4.0)), np.array([[0.9, 0.1], [0.6, 0.4]]))
    made = {
        "prediction": Prediction("talk <b>.wav", 0.0, 4.0, "angry", 0.8, {"angry": 0.8, "sad": 0.2}),
        "labels": LABELS, "target": "angry", "method": "attention", "span_s": (0.0, 4.0), "sound": None,
        "features": features, "overlays": overlays, "curve": curve, "samples": np.zeros(64_000, np.float32),
        "notes": ("Mind <this>.",),
    }  # fmt: skip
    return Explanation(**{**made, **changes})  # type: ignore[arg-type]


def opened(data: bytes) -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(io.BytesIO(data)))


@pytest.mark.parametrize("channels", [3, 4])
def test_png_comes_back_as_it_was(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, channels), dtype=np.uint8)
    assert np.array_equal(opened(png(pixels)), pixels)


def test_lowest_row_lies_at_the_bottom_and_the_unknown_is_clear() -> None:
    values = np.zeros((3, 4), np.float32)
    values[0] = 1.0
    values[:, 3] = np.nan
    pixels = picture_pixels(Picture("x", values, (0, 1), "Hz", {}))
    assert pixels[2, 0, :3].max() < 60  # dark
    assert pixels[0, 0].tolist() == [255, 255, 255, 255]
    assert (pixels[:, 3, 3] == 0).all()


def test_rows_of_mfcc_have_ranges_of_their_own() -> None:
    values = np.array([[0, 100], [0, 1]], np.float32)
    own = picture_pixels(Picture("x", values, (0, 1), "coefficient", {}, each_row=True))
    assert np.array_equal(own[0], own[1])
    common = picture_pixels(Picture("x", values, (0, 1), "Hz", {}))
    assert common[0, 1, 0] > 200  # 1 of 100 is next to white


def test_extent_of_a_scale_says_where_it_begins() -> None:
    values = np.linspace(2, 4, 1000, dtype=np.float32)[None]
    for scale, low, high in (("share", 0, 4), ("signed", -4, 4), ("range", 2, 4)):
        assert extent(Overlay("x", "x", "", values, scale)) == pytest.approx((low, high), abs=0.03)
    assert extent(Overlay("x", "x", "", np.full((2, 2), np.nan, np.float32))) == (0.0, 1.0)


def test_signed_colours_are_red_for_and_blue_against() -> None:
    red, nothing, blue = colours(np.array([1.0, 0.0, -1.0]), "signed", (-1, 1))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert nothing[3] == 0
    assert red[3] == blue[3] > 150
    assert colours(np.array([0.0, 0.0]), "signed", (0.0, 0.0))[:, 3].tolist() == [0, 0]  # a map of zeros


def test_wide_maps_are_averaged_and_stay_in_place() -> None:
    values = np.zeros((2, 5000), np.float32)
    values[1, 2500:] = 1
    pixels = overlay_pixels(Overlay("x", "x", "", values))
    assert pixels.shape == (2, 1250, 4)
    assert pixels[0, 624, 3] < 5 < pixels[0, 626, 3]


def test_figure_is_sound_markup_with_a_picture_per_map() -> None:
    figure = explanation_figure(explanation())
    root = ElementTree.fromstring(figure)
    assert len(root.findall(".//image")) == 3  # the features once, a map each
    assert len(root.findall(".//use")) == 3
    words = " ".join(text.text or "" for text in root.findall(".//text"))
    for word in ("bottom-up", "What a cell adds.", "4000", "seconds", "probability of each class", "−"):
        assert word in words
    brief = ElementTree.fromstring(explanation_figure(explanation(), name="b", brief=True))
    assert len(brief.findall(".//use")) == 2
    assert "probability" not in ElementTree.tostring(brief, encoding="unicode")


def test_axis_of_time_holds_everything() -> None:
    picture = Picture("sound", np.zeros((2, 3), np.float32), (-0.1, 4.2), "Hz", {})
    assert plot_span(explanation(sound=picture)) == (-0.1, 4.2)


def test_figure_by_itself_needs_no_style_sheet() -> None:
    source = standalone_svg(explanation_figure(explanation()))
    root = ElementTree.fromstring(source.partition("\n")[2])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in source
    assert "class=" not in source
    ticks = [e for e in root.iter("{http://www.w3.org/2000/svg}text") if e.text == "seconds"]
    assert ticks[0].attrib["fill"] == "#667085"  # --muted of the style sheet
    assert ticks[0].attrib["font-size"] == "12"


def test_figure_as_png_shows_colours_where_the_figure_has_them() -> None:
    pixels = opened(svg_to_png(explanation_figure(explanation()), scale=1.0))
    height, width = pixels.shape[:2]
    box = [float(v) for v in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', explanation_figure(explanation())).groups()]  # type: ignore[union-attr]
    assert (width, height) == (round(box[0]), round(box[1]))
    colourful = np.ptp(pixels.astype(int), axis=2) > 60
    assert colourful[250:300, 100:800].mean() > 0.1  # the first map
    assert not colourful[:150, 100:800].any()  # the features, in greys
    assert (pixels[:, :5] == 255).all()


def test_other_figures_become_png_too() -> None:
    pixels = opened(svg_to_png(confusion_figure([[8, 2], [1, 9]], LABELS)))
    assert (np.ptp(pixels.astype(int), axis=2) > 60).mean() > 0.1


def test_png_without_pillow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"serenade\[explain\]"):
        svg_to_png(explanation_figure(explanation()))


def test_page_holds_all_and_loads_nothing(tmp_path) -> None:
    out = tmp_path / "why.html"
    write_explanation(explanation(target="sad"), out, clip=Clip(b"sound", "audio/mpeg"), model="glam-emodb")
    source = out.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(re.sub(r"<(image|use|rect|line|circle|path)([^>]*)/>", r"<\1\2></\1>", source))
    assert not reader.faults
    assert not reader.open
    for word in (
        "glam-emodb says",
        "angry",
        "80.0\u202f%",
        "Why sad?",
        "not its answer",
        "Mind <this>.",
        "talk <b>.wav",
    ):
        assert word.replace("\u202f", " ") in reader.text.replace("\u202f", " ").replace("\u00a0", " ")
    assert base64.b64encode(b"sound").decode() in source
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", source)
    assert "<b>.wav" not in source


def test_page_without_sound_and_maps_is_made(tmp_path) -> None:
    write_explanation(explanation(overlays=(), curve=Curve((), np.zeros((0, 2)))), tmp_path / "why.html")
    source = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert "<audio" not in source
    assert 'id="strength"' not in source
