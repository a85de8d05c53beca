"""`serenade export`: a model as an ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from serenade.app.console import say
from serenade.core.errors import UsageError

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="A shipped model or a model folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE.onnx", help="What to write; model.onnx in the model's folder if not given."
        ),
    ] = None,
    int8: Annotated[
        Path | None,
        typer.Option(
            "--int8", metavar="FOLDER", help="8-bit convolutions, their ranges taken from recordings like those in use."
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check", metavar="NAME=PATH", help="Compare with the model itself on a corpus, such as emodb=PATH."
        ),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Utterances of the corpus at most.")] = 500,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No words on stderr.")] = False,
) -> None:
    """Write a model as ONNX with its front end inside: waveform (B, T) at 16 kHz in, probabilities (B, K) out.

    The export is compared with the model before it is written. `serenade predict --model FILE.onnx` uses it as it is.

    Example: serenade export my-model/ --out my-model.onnx --check emodb=DIR
    """
    from serenade.inference.export import export_onnx
    from serenade.inference.onnx_session import EXPORT_FILE
    from serenade.inference.shipped import find_model
    from serenade.systems import load_system
    from serenade.training.description import WEIGHTS_FILE, read_calibration

    folder = find_model(model)
    path = folder / EXPORT_FILE if out is None else out
    if path.suffix != ".onnx":
        raise UsageError("an export is an ONNX file", where=path, expected="a name that ends in .onnx")
    if path.exists() and not overwrite:
        raise UsageError("the output exists already", where=path, hint="Replace it with --overwrite")
    system = load_system(folder)
    weights = folder / WEIGHTS_FILE
    made = export_onnx(system, path, calibration=read_calibration(folder), name=Path(model).name, weights=weights)
    say(
        f"Export: {path}, {made.size / 1e6:.1f} MB; differs from the model by {made.deviation:.1g} at most.",
        quiet=quiet,
    )
    if int8 is not None:
        from serenade.inference.files import find_recordings
        from serenade.inference.quantise import quantise

        recordings = [found for found in find_recordings([int8]) if isinstance(found, Path)]
        size = quantise(path, path, recordings)
        say(f"With 8-bit convolutions: {size / 1e6:.1f} MB.", quiet=quiet)
    if check is not None:
        from serenade.experiments.exported import compare_export

        for line in compare_export(folder, path, check, most).lines():
            print(line)
