"""`serenade model`: show a model, verify it, pack it for others."""

from pathlib import Path
from typing import Annotated

import typer

from serenade.app.console import say
from serenade.core.errors import CheckpointError, UsageError
from serenade.core.wording import counted

__all__ = ["app", "pack", "show", "verify"]

app = typer.Typer(no_args_is_help=True, help="Show a model, verify it, pack it for others.")

_Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A shipped name, a model folder, a packed model, or https://...#sha256=..."),
]
_MARKS = {"good": "ok", "warning": "??", "bad": "!!"}


@app.command()
def show(model: _Model) -> None:
    """What a model is, and its card: data, worth, limits."""
    from serenade.inference.packing import describe
    from serenade.inference.shipped import find_model, read_card

    folder = find_model(model)
    facts = describe(folder)
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")
    print(f"\n{read_card(folder).rstrip() or 'This model has no card.'}")


@app.command()
def verify(model: _Model) -> None:
    """Look at files, checksums, weights, probabilities and card; the exit code is 1 if something is bad."""
    from serenade.inference.packing import verify as look
    from serenade.inference.shipped import find_model

    findings = look(find_model(model))
    for finding in findings:
        print(f"{_MARKS[finding.state]}  {finding.what}")
    bad = sum(finding.state == "bad" for finding in findings)
    if bad:
        raise CheckpointError(
            "the model is not fit for use", where=model, found=f"{bad} bad of {counted(len(findings), 'finding')}"
        )


@app.command()
def pack(
    model: _Model,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file; NAME.zip here if not given.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Pack a model into one file with checksums, and print what others need to fetch it."""
    from serenade.inference.packing import pack as pack_folder
    from serenade.inference.packing import verify as look
    from serenade.inference.shipped import find_model

    folder = find_model(model)
    target = out if out is not None else Path(f"{Path(model).name or folder.name}.zip")
    if target.exists() and not overwrite:
        raise UsageError("the file exists already", where=target, hint="Replace it with --overwrite")
    bad = [finding.what for finding in look(folder) if finding.state == "bad"]
    if bad:
        raise CheckpointError("the model is not fit to be passed on", where=folder, found="; ".join(bad))
    digest = pack_folder(folder, target)
    print(f"{target}#sha256={digest}")
    say(f"Others use it as: serenade predict FILE --model https://YOUR-HOME/{target.name}#sha256={digest}")
