"""`serenade models`: the models that ship with the package."""

from typing import Annotated

import typer

__all__ = ["models"]


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show the whole card of one model.")] = None,
) -> None:
    """List the models that ship with Serenade, or show one's card."""
    from serenade.inference.shipped import card_summary, find_model, read_card, shipped_models

    if name is not None:
        print(read_card(find_model(name)).rstrip() or "This model has no card.")
        return
    shipped = shipped_models()
    if not shipped:
        print("No model ships with this version. Train one with: serenade run")
        return
    for shipped_name, folder in shipped.items():
        print(f"{shipped_name}\n    {card_summary(read_card(folder)) or 'This model has no card.'}")
