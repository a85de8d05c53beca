"""Any upstream by its name: one that needs no folder, a checkpoint, or a system that was trained here."""

from pathlib import Path

from serenade.core.errors import UnknownNameError
from serenade.core.names import nearest
from serenade.models.upstreams import UPSTREAMS
from serenade.models.upstreams.checkpoint import open_upstream
from serenade.models.upstreams.upstream import Upstream
from serenade.systems.upstreams.trained import trained_upstream

__all__ = ["model_folder", "named_upstream"]


def named_upstream(name: str | Path) -> Upstream:
    """The upstream of a name, in evaluation mode.

    Args:
        name: one of `UPSTREAMS`; or a folder: a checkpoint in the layout of the Hugging Face hub, speech or text, one
            that `serenade pretrain` made, or a model that `serenade run` or `serenade train` made (the folder of a
            job, which holds one in ``model/``, will do).

    Raises:
        UnknownNameError: there is neither such a name nor such a folder.
        CheckpointError: the folder holds no upstream, or a damaged one.
        MissingExtraError: the package transformers is not installed.
        MissingPluginError: openSMILE is not installed.
    """
    if str(name) in UPSTREAMS:
        return UPSTREAMS.resolve(str(name))().eval()
    folder = Path(name)
    model = model_folder(name)
    if model is not None:
        return trained_upstream(model)
    if not folder.exists():
        raise UnknownNameError(
            f"there is no upstream called {str(name)!r}, and no such folder",
            expected=f"a folder, or one of {', '.join(UPSTREAMS)}",
            hint=_way_out(folder),
        )
    return open_upstream(folder)


def model_folder(name: str | Path) -> Path | None:
    """The model that was trained here in a folder, or in ``model/`` of a job's folder; None where there is none."""
    folder = Path(name)
    return next((place for place in (folder, folder / "model") if (place / "model.toml").is_file()), None)


def _way_out(missing: Path) -> str | None:
    close = nearest(missing.name, UPSTREAMS)
    if close:
        return f"Did you mean {close!r}?"
    if not missing.is_absolute():
        return None
    # as models name them
    return "Put the folder there; of a model that is used elsewhere, change branches.NAME.upstream in its model.toml"
