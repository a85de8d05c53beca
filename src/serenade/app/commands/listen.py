"""`serenade listen`: emotions while somebody talks."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

import typer

from serenade.app.console import say
from serenade.core.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from serenade.app.timelines import Output
    from serenade.core.records import Prediction
    from serenade.inference.timeline import TimelineStream
    from serenade.signal.live import LiveSound, PcmFormat

__all__ = ["listen"]

_BAR = 20
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_PCM = ("s16le", "s32le", "f32le")


def listen(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL|FILE|-]",
            help="What FFmpeg opens, or - for raw samples on stdin; the microphone if not given.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME|FOLDER", help="A shipped model or a model folder.")
    ] = "glam-emodb",
    window: Annotated[float, typer.Option("--window", metavar="SECONDS", help="What each row has heard.")] = 2.0,
    hop: Annotated[float, typer.Option("--hop", metavar="SECONDS", help="From row to row.")] = 0.5,
    turns: Annotated[bool, typer.Option("--turns", help="A row when a turn of speech is over, not every hop.")] = False,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="detector, smoothing_s, uncertain_below, ...; repeat."),
    ] = None,
    microphone: Annotated[
        str | None, typer.Option("--mic", metavar="NAME|NUMBER", help="Which microphone; the default one if not given.")
    ] = None,
    rate: Annotated[int, typer.Option("--rate", help="Samples per second of raw samples.")] = 16_000,
    channels: Annotated[int, typer.Option("--channels", min=1, help="Channels of raw samples.")] = 1,
    pcm: Annotated[str, typer.Option("--pcm", metavar="s16le|s32le|f32le", help="Kind of raw samples.")] = "s16le",
    container: Annotated[
        str | None,
        typer.Option("--container", metavar="NAME", help="FFmpeg's name of the format or device: alsa, pulse, mpegts."),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", "-f", metavar="bars|jsonl|csv", help="How rows are printed.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write the timeline there at the end; the suffix says how."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Stop after so much sound; with Ctrl-C if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")] = False,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda or cuda:N: where the network runs.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No words on stderr.")] = False,
) -> None:
    """Follow the emotions of live sound: the microphone, a stream, or raw samples on stdin.

    Every hop one row, as soon as its window is heard. The rows are those that `serenade timeline` gives for the
    recording with the same window and hop.

    Example: ffmpeg -i rtsp://camera/1 -ac 1 -ar 16000 -f s16le - | serenade listen -
    """
    from serenade.app.loading import load_recognizer
    from serenade.core.settings import make_settings
    from serenade.inference.division import TimelineSettings

    values = {} if turns else {"window_s": window, "hop_s": hop}
    settings = make_settings(TimelineSettings, values, change or [], where="the options of listening")
    kind = _printed(format_)
    output = None if out is None else _live_output(out, model, overwrite=overwrite)
    recognizer, _ = load_recognizer(model, device, None, 1)
    name = "microphone" if source is None else "stdin" if source == "-" else source
    rows: list[Prediction] = []
    with _sound(source, microphone, container, rate, channels, pcm) as sound:
        stream = recognizer.stream(settings, sample_rate=sound.sample_rate, file=name)
        say(f"Listening to {name}. Ctrl-C ends it.", quiet=quiet)
        try:
            with (
                _writer(kind, recognizer.labels, attributes=recognizer.tells_attributes) as write,
                _Ending() as ending,
            ):
                for row in _rows(stream, ending.blocks(sound), seconds):
                    if output is not None:
                        rows.append(row)
                    write(row)
        finally:  # also when the source broke off, or nobody reads what is printed: what was heard is kept
            if output is not None:
                from serenade.core.timelines import Timeline

                about = recognizer.about(settings)
                made = Timeline(name, stream.position_s, recognizer.labels, tuple(rows), stream.summaries, about)
                output.write(made, out)
    _conclude(stream, quiet=quiet)


def _live_output(out: Path, model: str, *, overwrite: bool) -> "Output":
    """Where the whole timeline goes at the end."""
    from serenade.app.timelines import Output

    output = Output(out, None, audio=False, several=False, model=model)
    if output.path is None or "html" in output.formats:
        raise UsageError("a live timeline is written as one file of data", where=out, hint="Such as --out live.csv")
    output.require_free(overwrite=overwrite)
    return output


def _printed(name: str | None) -> str:
    chosen = name if name is not None else "bars"
    if chosen not in ("bars", "jsonl", "csv"):
        raise UsageError("live rows are not printed so", found=chosen, expected="bars, jsonl or csv")
    return chosen


@contextmanager
def _sound(
    source: str | None, microphone: str | None, container: str | None, rate: int, channels: int, pcm: str
) -> "Iterator[LiveSound]":
    """The sound, whatever its kind."""
    from serenade.signal.live import open_microphone, open_pcm, open_url

    if source is None:
        number = int(microphone) if microphone is not None and microphone.isdigit() else microphone
        with open_microphone(number) as sound:
            yield sound
    elif source == "-":
        yield open_pcm(sys.stdin.buffer, sample_rate=rate, channels=channels, kind=_kind(pcm))
    else:
        with open_url(source, container=container) as sound:
            yield sound


def _kind(name: str) -> "PcmFormat":
    if name not in _PCM:
        raise UsageError("there is no such kind of raw samples", found=name, expected=", ".join(_PCM))
    return cast("PcmFormat", name)


class _Ending:
    """Lets Ctrl-C, SIGTERM and the closing of the terminal end the sound and not the work, so that the rows of what
    was heard last are told; a second time ends it all."""

    def __init__(self) -> None:
        self._asked = self._waiting = False
        self._others: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread may
            for number in _SIGNALS:
                self._others[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *why: object) -> None:
        for number, handler in self._others.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        again, self._asked = self._asked, True
        if self._waiting or again:
            raise KeyboardInterrupt

    def blocks(self, sound: "LiveSound") -> "Iterator[NDArray[np.float32]]":
        """The sound, until it is over or an end is asked for."""
        source = iter(sound.blocks)
        while not self._asked:
            try:
                self._waiting = True
                block = next(source, None)
            except KeyboardInterrupt:
                return
            finally:
                self._waiting = False
            if block is None:
                return
            yield block


def _rows(
    stream: "TimelineStream", blocks: "Iterator[NDArray[np.float32]]", seconds: float | None
) -> "Iterator[Prediction]":
    for block in blocks:
        yield from stream.add(block)
        if seconds is not None and stream.position_s >= seconds:
            break
    yield from stream.finish()


@contextmanager
def _writer(kind: str, labels: tuple[str, ...], *, attributes: bool) -> "Iterator[Callable[[Prediction], None]]":
    if kind == "bars":
        width = max(map(len, (*labels, "uncertain")))

        def write(row: "Prediction") -> None:
            print(_line(row, width), flush=True)

        yield write
        return
    from serenade.inference.outputs import open_output

    with open_output(kind, None, labels, attributes=attributes) as writer:
        yield writer.write


def _line(row: "Prediction", width: int) -> str:
    from serenade.core.timelines import shown_label

    minutes, seconds = divmod(row.end_s, 60)
    full = round(_BAR * row.score)
    guess = f"  ({row.label}?)" if row.uncertain else ""
    bar = "█" * full + "·" * (_BAR - full)
    return f"{int(minutes):3d}:{seconds:04.1f}  {shown_label(row):{width}}  {bar} {100 * row.score:3.0f} %{guess}"


def _conclude(stream: "TimelineStream", *, quiet: bool) -> None:
    """What all of it sounded like."""
    if not stream.summaries:
        say(f"There was no speech in {stream.position_s:.1f} s.", quiet=quiet)
        return
    summary = stream.summaries[0]
    shares = sorted(summary.seconds.items(), key=lambda pair: -pair[1])
    told = ", ".join(f"{label} {100 * s / summary.covered_s:.0f} %" for label, s in shares if s > 0)
    say(f"{stream.position_s:.0f} s heard, {summary.covered_s:.0f} s of speech: {told}", quiet=quiet)
