"""Figures by themselves: an SVG file that any program shows, and the same as PNG.

On a page the colours of a figure come from the page's style sheet. Here they are written into every element. The PNG
is drawn from that SVG with Pillow, for the elements that `reports.svg` makes.
"""

import base64
import io
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from serenade.core.errors import MissingExtraError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["require_pillow", "standalone_svg", "svg_to_png"]

_SVG = "http://www.w3.org/2000/svg"
_FINENESS = 2  # lines are drawn this much larger and shrunk, so that they have no steps
_DROPPED = ("pointer-events", "stroke-linejoin")


@cache
def _style() -> tuple[tuple[frozenset[str], dict[str, str]], ...]:
    """Rules of the style sheet for SVG: the classes an element must have, and what they set, in order."""
    css = files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8")
    root = re.search(r":root \{(.*?)\}", css, re.DOTALL)
    assert root is not None
    colours = dict(re.findall(r"--([\w-]+): ([^;]+);", root[1]))
    rules = []
    for selectors, body in re.findall(r"((?:^|(?<=\} ))svg [.\w]+(?:\.\w+)*) \{([^}]*)\}", css, re.MULTILINE):
        plain = re.sub(r"var\(--([\w-]+)\)", lambda found: colours[found[1]], body)
        values = {k: v.removesuffix("px") for k, v in re.findall(r"([\w-]+): ([^;]+?)\s*(?:;|$)", plain)}
        kept = {k: v for k, v in values.items() if k not in _DROPPED and v != "inherit"}
        rules.append((frozenset(selectors.removeprefix("svg ").lstrip(".").split(".")), kept))
    return tuple(rules)


def standalone_svg(figure: str) -> str:
    """A figure of a page as a file of its own, on white.

    Args:
        figure: an SVG element, from any function of `reports`.
    """
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(figure.replace("<svg ", f'<svg xmlns="{_SVG}" ', 1))
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib.pop("style", None)
    root.attrib |= {"width": width, "height": height, "font-family": "sans-serif"}
    for element in root.iter():
        names = {element.attrib.pop("class", ""), _tag(element)}
        names |= {part for name in names for part in name.split()}
        styled: dict[str, str] = {}
        for wanted, values in _style():
            if wanted <= names:
                styled |= values
        element.attrib = {**styled, **element.attrib}
    root.insert(0, ElementTree.Element(f"{{{_SVG}}}rect", {"width": width, "height": height, "fill": "#ffffff"}))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _tag(element: "Element") -> str:
    return element.tag.rpartition("}")[2]


def require_pillow() -> None:
    """Refuse before the work what would fail after it.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("PIL", extra="explain", purpose="A figure as PNG") from error


def svg_to_png(figure: str, *, scale: float = 2.0) -> bytes:
    """A figure of a page as a PNG file, on white.

    Args:
        figure: an SVG element, from any function of `reports`.
        scale: pixels per CSS pixel.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image

    root = ElementTree.fromstring(standalone_svg(figure).partition("\n")[2])
    canvas = _Canvas(float(root.attrib["width"]), float(root.attrib["height"]), scale * _FINENESS)
    for element in root:
        canvas.draw(element)
    width, height = (round(float(root.attrib[name]) * scale) for name in ("width", "height"))
    buffer = io.BytesIO()
    canvas.image.resize((width, height), Image.Resampling.BOX).save(buffer, "PNG")
    return buffer.getvalue()


class _Canvas:
    """Draws elements of our figures with Pillow.

    Args:
        width: in CSS pixels.
        height: in CSS pixels.
        scale: pixels per CSS pixel.
    """

    def __init__(self, width: float, height: float, scale: float) -> None:
        from PIL import Image, ImageDraw

        self.scale = scale
        self.image = Image.new("RGB", (round(width * scale), round(height * scale)), "white")
        self.pen = ImageDraw.Draw(self.image, "RGBA")
        self.kept: dict[str, Element] = {}
        self.size = width, height

    def draw(self, element: "Element") -> None:
        """One element; kinds that our figures do not have are left out."""
        draw = getattr(self, f"_{_tag(element)}", None)
        if draw is not None:
            draw(element)

    def _numbers(self, element: "Element", *names: str) -> Iterator[float]:
        return (float(element.attrib.get(name, 0)) * self.scale for name in names)

    def _colour(self, element: "Element", name: str, default: str) -> tuple[int, ...] | None:
        from PIL import ImageColor

        value = element.attrib.get(name, default)
        if value == "none":
            return None
        return (*ImageColor.getrgb(value)[:3], round(255 * float(element.attrib.get("opacity", 1))))

    def _pen_width(self, element: "Element") -> int:
        return max(1, round(float(element.attrib.get("stroke-width", 1)) * self.scale))

    def _g(self, element: "Element") -> None:
        """A moved group, drawn on a canvas of its own and laid over this one."""
        from PIL import Image, ImageChops

        moved = re.fullmatch(r"translate\((-?[\d.]+) (-?[\d.]+)\)", element.attrib["transform"])
        assert moved is not None, "our groups are moved and nothing else"
        inside = _Canvas(*self.size, self.scale)
        for part in element:
            inside.draw(part)
        drawn = ImageChops.difference(inside.image, Image.new("RGB", inside.image.size, "white")).convert("L")
        place = round(float(moved[1]) * self.scale), round(float(moved[2]) * self.scale)
        self.image.paste(inside.image, place, drawn.point(lambda value: 255 if value else 0))

    def _rect(self, element: "Element") -> None:
        x, y, width, height, radius = self._numbers(element, "x", "y", "width", "height", "rx")
        if width < 1 or height < 1:
            return
        fill, stroke = self._colour(element, "fill", "#000000"), self._colour(element, "stroke", "none")
        box = (x, y, x + width - (stroke is None), y + height - (stroke is None))
        self.pen.rounded_rectangle(box, radius, fill, stroke, self._pen_width(element) if stroke else 0)

    def _circle(self, element: "Element") -> None:
        x, y, radius = self._numbers(element, "cx", "cy", "r")
        box = (x - radius, y - radius, x + radius, y + radius)
        fill, stroke = self._colour(element, "fill", "#000000"), self._colour(element, "stroke", "none")
        self.pen.ellipse(box, fill, stroke, self._pen_width(element) if stroke else 0)

    def _line(self, element: "Element") -> None:
        x1, y1, x2, y2 = self._numbers(element, "x1", "y1", "x2", "y2")
        self.pen.line((x1, y1, x2, y2), self._colour(element, "stroke", "#000000"), self._pen_width(element))

    def _path(self, element: "Element") -> None:
        pairs = re.findall(r"(-?[\d.]+) (-?[\d.]+)", element.attrib["d"])
        points = [(float(x) * self.scale, float(y) * self.scale) for x, y in pairs]
        fill, stroke = self._colour(element, "fill", "#000000"), self._colour(element, "stroke", "none")
        if fill is not None and len(points) > 2:
            self.pen.polygon(points, fill)
        if stroke is not None:
            self.pen.line(points, stroke, self._pen_width(element), joint="curve")

    def _text(self, element: "Element") -> None:
        from PIL import Image, ImageDraw, ImageFont

        x, y = self._numbers(element, "x", "y")
        font = ImageFont.load_default(float(element.attrib.get("font-size", 12)) * self.scale)
        colour = self._colour(element, "fill", "#000000")
        content = element.text or ""
        bold = self.scale / 3 if element.attrib.get("font-weight") == "600" else 0
        width = font.getlength(content)
        shift = {"middle": 0.5, "end": 1.0}.get(element.attrib.get("text-anchor", "start"), 0.0) * width
        turned = re.match(r"rotate\((-?[\d.]+) ", element.attrib.get("transform", ""))
        if turned is None:
            self.pen.text((x - shift, y), content, colour, font, anchor="ls", stroke_width=bold)
            return
        # drawn on a square around the anchor, which is then turned
        half = int(width) + round(20 * self.scale)
        layer = Image.new("RGBA", (2 * half, 2 * half), (255, 255, 255, 0))
        ImageDraw.Draw(layer).text((half - shift, half), content, colour, font, anchor="ls", stroke_width=bold)
        layer = layer.rotate(-float(turned[1]), Image.Resampling.BICUBIC)
        self.image.paste(layer, (round(x) - half, round(y) - half), layer)

    def _defs(self, element: "Element") -> None:
        self.kept |= {kept.attrib["id"]: kept for kept in element}

    def _use(self, element: "Element") -> None:
        kept = self.kept[element.attrib["href"].removeprefix("#")]
        x, y = (float(element.attrib[name]) + float(kept.attrib.get(name, 0)) for name in ("x", "y"))
        self._place({**kept.attrib, "opacity": element.attrib.get("opacity", "1")}, x, y)

    def _image(self, element: "Element") -> None:
        self._place(element.attrib, float(element.attrib["x"]), float(element.attrib["y"]))

    def _place(self, attributes: Mapping[str, Any], x: float, y: float) -> None:
        from PIL import Image

        data = base64.b64decode(attributes["href"].partition("base64,")[2])
        width, height = (max(1, round(float(attributes[name]) * self.scale)) for name in ("width", "height"))
        picture = Image.open(io.BytesIO(data)).convert("RGBA").resize((width, height), Image.Resampling.BILINEAR)
        opacity = float(attributes.get("opacity", 1))
        mask = picture.getchannel("A").point(lambda alpha: round(alpha * opacity))
        self.image.paste(picture, (round(x * self.scale), round(y * self.scale)), mask)
