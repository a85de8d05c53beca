"""`serenade predict` of a few short recordings, answered before torch would have been loaded."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["predict_quickly"]


def predict_quickly(
    named: Sequence[Path],
    model: str,
    classes: Sequence[str] | None,
    format_name: str,
    out: Path | None,
    *,
    overwrite: bool,
) -> bool:
    """Answer by the exported model beside the model, if that can be done.

    Args:
        named: what is to be predicted.
        model: a shipped name or a model folder.
        classes: the only classes to choose from; None for all.
        format_name: of the output.
        out: where to write; None for stdout.
        overwrite: replace it if it exists.

    Returns:
        Whether it was done: not without ONNX Runtime or an export, nor of folders, many or long recordings, or such as
        cannot be read.

    Raises:
        CheckpointError: the export is damaged.
        StorageError: the disk is full or refuses.
        UsageError: the output exists, or the model does not know one of the classes.
    """
    from serenade.inference.outputs import open_output
    from serenade.inference.quick import MOST_FILES, QuickRecognizer

    if len(named) > MOST_FILES or not all(path.is_file() for path in named):
        return False
    recognizer = QuickRecognizer.of(model, classes)
    predictions = None if recognizer is None else recognizer.predict(named)
    if recognizer is None or predictions is None:
        return False
    told = recognizer.tells_attributes
    with open_output(format_name, out, recognizer.labels, overwrite=overwrite, attributes=told) as writer:
        for prediction in predictions:
            writer.write(prediction)
    return True
