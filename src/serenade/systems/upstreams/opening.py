"""Opening an upstream for a downstream network: as it is, or with the weights that another training gave it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from serenade.core.errors import CheckpointError
from serenade.models.upstreams.upstream import Upstream
from serenade.systems.upstreams import named_upstream

__all__ = ["OpenedUpstream", "open_frozen", "open_trainable"]


@dataclass(frozen=True, slots=True)
class OpenedUpstream:
    """An upstream and what tells its frames from those of others; empty where they are not kept."""

    upstream: Upstream
    identity: str


def open_trainable(upstream: str, fine_tuned: str | None) -> Upstream:
    """An upstream in evaluation mode, with the weights of another training where one is named.

    Args:
        upstream: see `named_upstream`.
        fine_tuned: model folder whose one upstream that was trained along has the weights.

    Raises:
        CheckpointError: a folder cannot be read, or its weights are not those of this upstream.
    """
    opened = named_upstream(upstream)
    if fine_tuned is not None:
        _take_weights(opened, Path(fine_tuned))
    return opened


@lru_cache(maxsize=4)  # two folds of two upstreams
def open_frozen(upstream: str, fine_tuned: str | None) -> OpenedUpstream:
    """The same, frozen and shared by all systems of this process, as nothing changes it."""
    opened = open_trainable(upstream, fine_tuned).requires_grad_(False)
    return OpenedUpstream(opened, opened.identity())


def _take_weights(upstream: Upstream, folder: Path) -> None:
    """Give an upstream the weights that the only fine-tuned branch of a trained model has."""
    path = folder / "weights.safetensors"
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            inside = {name.partition(".upstream.upstream.")[0] for name in names if ".upstream.upstream." in name}
            if len(inside) != 1:
                raise CheckpointError(
                    "this model has not exactly one upstream that was trained along",
                    where=folder,
                    found=", ".join(sorted(inside)) or "none",
                    hint="Name a model that the preset ssl-finetune made",
                )
            prefix = f"{inside.pop()}.upstream.upstream."
            weights = {name.removeprefix(prefix): file.get_tensor(name) for name in names if name.startswith(prefix)}
    except FileNotFoundError as error:
        raise CheckpointError(
            "there is no model whose upstream could be taken",
            where=folder,
            hint="Train the first stage before, with the same folds and seeds",
        ) from error
    except SafetensorError as error:
        raise CheckpointError("the model's weights are cut short or damaged", where=path, found=str(error)) from error
    try:
        upstream.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            "this model was fine-tuned from another upstream", where=folder, found=str(error).splitlines()[-1].strip()
        ) from error
