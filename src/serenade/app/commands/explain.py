"""``serenade explain``: maps of what a prediction rests on, laid over the sound."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.core.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from serenade.core.explanations import Explanation

__all__ = ["explain"]


def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording.")],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME|FOLDER", help="A shipped model or a model folder.")
    ] = "glam-emodb",
    class_: Annotated[
        str | None, typer.Option("--class", "-c", metavar="CLASS", help="Explain this class, not the predicted one.")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="auto|attention|integrated-gradients|gradcam|occlusion",
            help="What is shown; auto: attention where the model has it.",
        ),
    ] = "auto",
    start: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Explain a stretch of the recording, from here.")
    ] = None,
    end: Annotated[float | None, typer.Option(metavar="SECONDS", help="Where the stretch ends.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PAGE.html|FIGURE.svg|FIGURE.png|FOLDER",
            help="What to write; NAME-explained.html in this folder if not given. A folder gets everything.",
        ),
    ] = None,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Put the sound into the page.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
) -> None:
    """Show why a model says what it says of a recording.

    Maps of what the answer rests on, laid over the sound, and the probabilities over time, as one HTML page, a figure,
    or a folder with everything.

    Example: serenade explain interview.wav --out why.html
    """
    page = out if out is not None else Path(f"{file.stem}-explained.html")
    write = _writer(page, audio=audio, model=model)
    if not overwrite and (page.is_file() or (page.is_dir() and any(page.iterdir()))):
        raise UsageError("the output exists already", where=page, hint="Name another, or say --overwrite")
    from serenade.inference.explanation import Explainer

    explainer = Explainer.load(model, device=device)
    with Progress("Explaining", unit="steps", quiet=quiet) as progress:

        def advance(total: int, done: int) -> None:
            progress.set_total(total)
            progress.advance(done)

        explanation = explainer(file, target=class_, method=method, start_s=start, end_s=end, progress=advance)
    write(explanation)
    if not quiet:
        _show(explanation)
    for note in explanation.notes:
        say(note, quiet=quiet)
    say(f"Explanation: {page}")


def _writer(out: Path, *, audio: bool, model: str) -> "Callable[[Explanation], None]":
    """What writes the output, told by its suffix; everything that is missing for it is missed before the work.

    Raises:
        UsageError: the suffix is none that is written.
        MissingExtraError: a package is missing.
    """

    def page(explanation: "Explanation") -> None:
        _write_page(explanation, out, audio=audio, model=model)

    def everything(explanation: "Explanation") -> None:
        _write_folder(explanation, out, audio=audio, model=model)

    writers = {
        ".html": page,
        ".svg": lambda explanation: _write_svg(explanation, out),
        ".png": lambda explanation: _write_png(explanation, out),
        "": everything,
    }
    suffix = "" if out.is_dir() else out.suffix.lower()
    if suffix not in writers:
        raise UsageError(
            "this kind of output is not known", where=out, expected=".html, .svg, .png, or a folder (without a suffix)"
        )
    if suffix == ".png":
        from serenade.reports.raster import require_pillow

        require_pillow()
    if suffix in ("", ".html"):
        from serenade.reports.page import template_environment

        template_environment()
    return writers[suffix]


def _write_page(explanation: "Explanation", out: Path, *, audio: bool, model: str) -> None:
    from serenade.app.sound import encode
    from serenade.reports.explanation import write_explanation
    from serenade.signal.audio import SAMPLE_RATE

    clip = encode(explanation.samples, SAMPLE_RATE) if audio else None
    write_explanation(explanation, out, clip=clip, model=Path(model).name)


def _write_svg(explanation: "Explanation", out: Path) -> None:
    from serenade.core.files import write_text
    from serenade.reports.explanation import explanation_figure
    from serenade.reports.raster import standalone_svg

    write_text(out, standalone_svg(explanation_figure(explanation)))


def _write_png(explanation: "Explanation", out: Path) -> None:
    from serenade.core.files import write_bytes
    from serenade.reports.explanation import explanation_figure
    from serenade.reports.raster import svg_to_png

    write_bytes(out, svg_to_png(explanation_figure(explanation)))


def _write_folder(explanation: "Explanation", out: Path, *, audio: bool, model: str) -> None:
    """The page, the figure in both forms, each map as a bare picture, and all numbers."""
    import numpy as np

    from serenade.core.files import write_bytes, write_json
    from serenade.reports.heatmaps import overlay_pixels, png

    _write_page(explanation, out / "page.html", audio=audio, model=model)
    _write_svg(explanation, out / "figure.svg")
    try:
        _write_png(explanation, out / "figure.png")
    except MissingExtraError as error:
        say(f"No figure.png: {error}")
    for overlay in explanation.overlays:
        write_bytes(out / f"{overlay.name}.png", png(overlay_pixels(overlay)))
    numbers = io.BytesIO()
    arrays = {"features": explanation.features.values}
    arrays |= {overlay.name: overlay.values for overlay in explanation.overlays}
    np.savez_compressed(numbers, allow_pickle=False, **arrays)
    write_bytes(out / "maps.npz", numbers.getvalue())
    write_json(out / "explanation.json", explanation.to_json())


def _show(explanation: "Explanation") -> None:
    """The answer on stdout, most probable class first."""
    for label, share in sorted(explanation.prediction.scores.items(), key=lambda pair: -pair[1]):
        print(f"{label:<12} {100 * share:5.1f} %{'  <- explained' if label == explanation.target else ''}")
