"""Faces drawn from parameters: nobody's face, for demos and tests of systems that look at people. numpy only.

A face is a few soft-edged shapes: head, hair, eyes, brows, mouth. What an emotion does to it stands in `EXPRESSIONS`;
the directions follow the action units of the prototypes (P. Ekman, W. V. Friesen, W. V. Hager, "Facial Action Coding
System", 2002), the sizes are chosen for this corpus.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXPRESSIONS", "PICTURE_SIDE", "Expression", "Looks", "draw_expression", "draw_face", "draw_looks"]

PICTURE_SIDE = 96
"""Pixels of a picture; the face fills the 48 in its middle."""

_Floats = NDArray[np.float64]
_EDGE = 0.05  # softness of edges, in halves of the face's width: a little more than a pixel
_DRAWN = 64  # pixels in the middle that the head can reach; around them is the wall
_SPREAD = 0.12  # standard deviation of what is drawn for every clip, in parts of an expression


@dataclass(frozen=True, slots=True)
class Expression:
    """What the muscles do; all 0 but the eyes is a face at rest.

    Args:
        brow_inner: rise of the inner ends of the brows.
        brow_outer: rise of their outer ends.
        eyes: how wide they are open, 1 at rest.
        smile: rise of the corners of the mouth, negative for a fall.
        mouth: how wide it is open.
        width: of the mouth, added to 1.
    """

    brow_inner: float = 0.0
    brow_outer: float = 0.0
    eyes: float = 1.0
    smile: float = 0.0
    mouth: float = 0.0
    width: float = 0.0


EXPRESSIONS: dict[str, Expression] = {
    "angry": Expression(-0.16, 0.06, 0.75, -0.5, 0.05, -0.1),
    "bored": Expression(-0.02, -0.05, 0.4, -0.2, 0.0, -0.05),
    "fearful": Expression(0.14, 0.08, 1.6, -0.3, 0.5, -0.15),
    "happy": Expression(0.03, 0.03, 0.75, 1.0, 0.45, 0.25),
    "neutral": Expression(),
    "sad": Expression(0.15, -0.1, 0.6, -0.9, 0.0, -0.05),
}


@dataclass(frozen=True, slots=True)
class Looks:
    """What sets a made-up person apart.

    Args:
        skin: red, green, blue from 0 to 1, as the others.
        hair: of hair and brows.
        wall: behind the head.
        width: of the head, in halves of the square that it fills.
        eye_distance: from the middle of the face to an eye.
    """

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    wall: tuple[float, float, float]
    width: float
    eye_distance: float


def draw_looks(generator: np.random.Generator) -> Looks:
    """A made-up person."""
    tone, hair, wall = generator.uniform(0.45, 0.95), generator.uniform(0.05, 0.45), generator.uniform(0.3, 0.8, 3)
    return Looks(
        skin=(tone, 0.78 * tone, 0.66 * tone),
        hair=(hair, 0.75 * hair, 0.5 * hair),
        wall=(float(wall[0]), float(wall[1]), float(wall[2])),
        width=generator.uniform(0.68, 0.82),
        eye_distance=generator.uniform(0.29, 0.37),
    )


def draw_expression(emotion: str, strength: float, generator: np.random.Generator) -> Expression:
    """The expression of a clip: that of the emotion, more or less strong, never quite the same."""
    rest, full = np.array(astuple(Expression())), np.array(astuple(EXPRESSIONS[emotion]))
    sizes = np.array([0.1, 0.08, 0.4, 0.7, 0.25, 0.15])
    values = rest + strength * (full - rest) + _SPREAD * sizes * generator.normal(size=6)
    return Expression(*values.tolist())


def draw_face(looks: Looks, expression: Expression, *, talk: float, shift: tuple[float, float]) -> NDArray[np.uint8]:
    """A picture (96, 96, 3) of a face in its middle.

    Args:
        looks: of the person.
        expression: of the face.
        talk: how far speech opens the mouth, 0 to 1.
        shift: of the head to the right and down, in halves of the face's width.
    """
    places = (np.arange(_DRAWN) + 0.5 - _DRAWN / 2) * 4 / PICTURE_SIDE
    x, y = np.meshgrid(places - shift[0], places - shift[1])
    picture = np.broadcast_to(np.array(looks.wall), (PICTURE_SIDE, PICTURE_SIDE, 3)).copy()
    border = (PICTURE_SIDE - _DRAWN) // 2
    middle = picture[border:-border, border:-border]
    for colour, cover in _shapes(looks, expression, talk, x, y):
        middle += cover[..., None] * (np.array(colour) - middle)
    return np.asarray(np.rint(255 * picture.clip(0, 1)), dtype=np.uint8)


def _shapes(
    looks: Looks, expression: Expression, talk: float, x: _Floats, y: _Floats
) -> list[tuple[tuple[float, float, float], _Floats]]:
    """Colours and where they cover what is below them, from back to front."""
    skin, hair = looks.skin, looks.hair
    shapes = [(hair, _ellipse(x, y + 0.2, looks.width + 0.12, 0.8)), (skin, _ellipse(x, y - 0.05, looks.width, 0.88))]
    opened = 0.1 * max(expression.eyes, 0.05)
    for side in (-1, 1):
        centre = x - side * looks.eye_distance
        shapes.append(((0.97, 0.97, 0.97), _ellipse(centre, y + 0.15, 0.16, opened)))
        shapes.append(((0.1, 0.08, 0.06), _ellipse(centre, y + 0.15, 0.07, min(0.08, opened))))
        along = ((side * x - 0.14) / 0.4).clip(0, 1)
        height = -0.36 - expression.brow_inner * (1 - along) - expression.brow_outer * along
        shapes.append((hair, _soft(0.045 - np.hypot(side * x - (0.14 + 0.4 * along), y - height))))
    shapes.append((tuple(0.8 * np.array(skin)), _soft(0.04 - np.hypot(x, y - 0.12))))
    return [*shapes, ((0.45, 0.12, 0.12), _mouth(expression, talk, x, y))]


def _mouth(expression: Expression, talk: float, x: _Floats, y: _Floats) -> _Floats:
    across = x / (0.32 * (1 + expression.width))
    inside = (1 - across**2).clip(0, 1)
    middle = 0.5 + expression.smile * (0.16 * inside - 0.08)
    opened = 0.22 * (max(expression.mouth, 0.0) + 0.5 * talk) * inside
    return _soft(np.minimum(np.minimum(y - middle + 0.035, middle + 0.035 + opened - y), 0.3 * (1 - np.abs(across))))


def _ellipse(x: _Floats, y: _Floats, width: float, height: float) -> _Floats:
    return _soft((1 - np.hypot(x / width, y / height)) * min(width, height))


def _soft(inside: _Floats) -> _Floats:
    """1 well inside a shape, 0 well outside of it."""
    return np.asarray((inside / _EDGE + 0.5).clip(0, 1))
