"""``serenade study clip``: what MESM looked at in one clip."""

from pathlib import Path

import typer

from serenade.app.console import say

__all__ = ["clip"]


def clip(
    file: Path = typer.Argument(..., metavar="CLIP", help="A video."),
    model: str = typer.Option(..., "--model", "-m", help="A model folder of mesm.", show_default=False),
    out: Path = typer.Option(..., help="Folder of the drawing.", show_default=False),
    transcript: Path | None = typer.Option(
        None, metavar="FILE", help="Its words, as text or subtitles; NAME.srt or .txt beside it if not given."
    ),
    asr: str | None = typer.Option(None, metavar="MODULE:FUNCTION", help="A function of yours that writes them down."),
    detector: str | None = typer.Option(None, help="What finds faces: auto, mtcnn, cascade, middle."),
    device: str = typer.Option("auto", help="auto, cpu, cuda or cuda:N."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say nothing."),
) -> None:
    """Draw the cells that the blocks of MESM keep over faces and spectrogram, and its attention over the words."""
    from serenade.inference.clips import ClipRecognizer
    from serenade.inference.transcripts import Words
    from serenade.reports.clip_view import write_clip_view

    recognizer = ClipRecognizer.load(model, device=device, detector=detector)
    view = recognizer.view(file, words=Words(transcript, asr).of(file))
    written = write_clip_view(view, out)
    for name, shares in view.shares().items():
        say(f"{name}: kept {', '.join(f'{share:.0%}' for share in shares)} of the area", quiet=quiet)
    say(f"Written: {', '.join(str(path) for path in written)}", quiet=quiet)
