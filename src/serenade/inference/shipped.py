"""Where a model lies: the models that ship with the package, and folders of one's own."""

from pathlib import Path

from serenade.core.errors import CheckpointError
from serenade.core.names import nearest

__all__ = ["card_summary", "find_model", "read_card", "shipped_models"]

_SHIPPED = Path(__file__).parent / "shipped"
_SETTINGS, _CARD = "model.toml", "card.md"


def shipped_models() -> dict[str, Path]:
    """The models in the package: name to folder, sorted."""
    if not _SHIPPED.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(_SHIPPED.iterdir()) if (folder / _SETTINGS).is_file()}


def find_model(model: str | Path) -> Path:
    """The folder of a model.

    Args:
        model: a shipped name, a model folder, the folder of a finished job (which holds one in ``model/``), a packed
            model, or the address of one, ``https://HOME/NAME.zip#sha256=HEX``.

    Raises:
        CheckpointError: there is no such model, or a packed one is not what its manifest says.
        UsageError: an address without a checksum.
        FetchError: it cannot be fetched, or is another file; or it is no archive.
    """
    shipped = shipped_models()
    if str(model) in shipped:
        return shipped[str(model)]
    from serenade.inference.packing import fetch, is_address, open_packed  # what networks need takes a while to load

    if isinstance(model, str) and is_address(model):
        return fetch(model)
    folder = Path(model)
    if folder.is_file():
        return open_packed(folder)
    for candidate in (folder, folder / "model"):
        if (candidate / _SETTINGS).is_file():
            return candidate
    names = ", ".join(shipped) or "none"
    if not folder.exists():
        close = nearest(str(model), shipped)
        raise CheckpointError(
            "there is no such model",
            where=model,
            expected=f"a model folder or a shipped name ({names})",
            hint=f"Did you mean {close!r}?" if close else None,
        )
    inside = sorted(path.parent for path in folder.glob(f"jobs/*/model/{_SETTINGS}"))
    raise CheckpointError(
        f"this is not a model folder, it holds no {_SETTINGS}",
        where=folder,
        expected=f"a model folder or a shipped name ({names})",
        hint=f"It is a run; name one of its models, such as {inside[0]}" if inside else None,
    )


def read_card(folder: Path) -> str:
    """The model card (Markdown), or an empty string where there is none."""
    card = folder / _CARD
    return card.read_text(encoding="utf-8") if card.is_file() else ""


def card_summary(card: str) -> str:
    """The first paragraph of a card in one line, headings left out; empty for an empty card."""
    paragraphs = (paragraph.strip() for paragraph in card.split("\n\n"))
    first = next((text for text in paragraphs if text and not text.startswith("#")), "")
    return " ".join(first.split())
