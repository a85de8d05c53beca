"""Loading a recogniser for a command, with as many workers as there are processors."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenade.inference.recognizer import Recognizer

__all__ = ["load_recognizer", "named_classes"]


def named_classes(classes: str | None) -> tuple[str, ...] | None:
    """The classes of an option, separated by commas; None for all."""
    return None if classes is None else tuple(name.strip() for name in classes.split(",") if name.strip())


def load_recognizer(model: str, device: str, classes: str | None, threads: int | None) -> tuple["Recognizer", int]:
    """The recogniser, and how many batches it scores at a time: on a CPU, each with one thread of its own.

    That scales better than one batch with all threads, which wait for each other wherever another program runs.

    Args:
        model: a shipped name or a folder.
        device: auto, cpu, cuda or cuda:N.
        classes: the only classes to choose from, separated by commas; None for all.
        threads: processors to use; None for all.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        UsageError: there is no such device or class.
    """
    import torch

    from serenade.core.devices import choose_device, cpu_budget
    from serenade.inference.shards import load_once

    torch.set_num_threads(1)
    workers = cpu_budget() if threads is None else threads
    recognizer = load_once(model, device, named_classes(classes))
    return recognizer, workers if choose_device(device).type == "cpu" else 1
