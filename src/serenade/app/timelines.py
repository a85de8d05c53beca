"""Where timelines are written: a file, a table on stdout, or a folder with files of every format and a summary."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenade.core.errors import SerenadeError, UnknownNameError, UsageError
from serenade.core.files import locked, storage_errors, write_bytes, write_text
from serenade.core.names import did_you_mean

if TYPE_CHECKING:
    from serenade.core.records import Prediction
    from serenade.core.timelines import SpeakerTurn, Timeline
    from serenade.inference.division import TimelineSettings
    from serenade.inference.recognizer import Recognizer

__all__ = ["Following", "Output", "follow", "turns_of"]

_STREAMED = ("csv", "jsonl", "table")
_SUMMARY, _STATE = "summary.csv", ".summaries.jsonl"
_COLUMNS = ("file", "duration", "speaker", "rows", "covered", "label")


class Output:
    """What is written, and where.

    Args:
        out: a file whose suffix says the format, or a folder; None for stdout.
        formats: names separated by commas; None takes the suffix's, a page into folders.
        audio: whether pages hold the sound.
        model: the name or folder of the model, for what it attends to.
        several: whether there is more than one recording.

    Raises:
        UnknownNameError: there is no such format.
        UsageError: several formats or recordings need a folder, or the suffix is not known.
    """

    def __init__(self, out: Path | None, formats: str | None, *, audio: bool, several: bool, model: str) -> None:
        from serenade.inference.annotations import SUFFIXES

        self._suffixes, self._audio, self._model = SUFFIXES, audio, model
        names = [name.strip().lower() for name in formats.split(",") if name.strip()] if formats else []
        for name in names:
            self._require_known(name)
        into_folder = several or len(names) > 1 or (out is not None and (out.is_dir() or not out.suffix))
        self.folder = out if into_folder else None
        self.path = None if into_folder else out
        if into_folder and out is None:
            raise UsageError("several files need a folder", hint="Name one: --out FOLDER")
        if into_folder and out is not None and out.is_file():
            raise UsageError("this is a file, and a folder is needed", where=out, hint="Name another with --out")
        self.formats: tuple[str, ...] = tuple(names) or (("html", "csv") if into_folder else (self._by_suffix(out),))

    def _require_known(self, name: str) -> None:
        known = [*self._suffixes, "table"]
        if name not in known:
            raise UnknownNameError(
                f"there is no timeline format called {name!r}",
                expected=f"one of {', '.join(known)}",
                hint=did_you_mean(name, known),
            )

    def _by_suffix(self, out: Path | None) -> str:
        if out is None:
            return "table"
        for name, suffix in sorted(self._suffixes.items(), key=lambda pair: -len(pair[1])):
            if out.name.lower().endswith(suffix.lower()):
                return name
        raise UsageError(
            "this suffix stands for no format",
            where=out,
            expected=", ".join(self._suffixes.values()),
            hint="Or name it with --format",
        )

    @property
    def streams(self) -> bool:
        """Whether rows are written one by one, at constant memory."""
        return self.formats[0] in _STREAMED

    def require_free(self, *, overwrite: bool) -> None:
        """Make sure that nothing is overwritten.

        Raises:
            UsageError: the file exists.
        """
        if self.path is not None and self.path.exists() and not overwrite:
            raise UsageError("the output exists already", where=self.path, hint="Replace it with --overwrite")

    def stream(self, rows: "Iterator[Prediction]", recognizer: "Recognizer") -> int:
        """Write rows as they come; gives their number."""
        from serenade.inference.outputs import open_output

        count = 0
        with open_output(
            self.formats[0],
            self.path,
            recognizer.labels,
            overwrite=True,
            attributes=recognizer.tells_attributes,
        ) as writer:
            for row in rows:
                writer.write(row)
                count += 1
        return count

    def write(self, timeline: "Timeline", path: Path | None, name: str | None = None) -> None:
        """Write one timeline in one format; to stdout without a path."""
        chosen = self.formats[0] if name is None else name
        if chosen == "html":
            self._write_page(timeline, path)
            return
        from serenade.inference.annotations import TIMELINE_FORMATS

        data = TIMELINE_FORMATS.resolve(chosen)(timeline)
        if path is not None:
            write_bytes(path, data)
            return
        sys.stdout.buffer.write(data)

    def _write_page(self, timeline: "Timeline", path: Path | None) -> None:
        from serenade.app.timeline_page import make_page

        if path is None:
            raise UsageError("a page needs a file", hint="Name it: --out timeline.html")
        assert timeline.file is not None
        write_text(path, make_page(timeline, Path(timeline.file), model=self._model, audio=self._audio))

    def is_done(self, below: Path) -> bool:
        """Whether all files of a recording are there."""
        return all(self._place(below, name).is_file() for name in self.formats)

    def write_all(self, timeline: "Timeline", below: Path) -> None:
        """Write the files of a recording; the last one last."""
        assert self.folder is not None
        self._note(timeline)
        for name in self.formats:
            self.write(timeline, self._place(below, name), name)

    def _place(self, below: Path, name: str) -> Path:
        assert self.folder is not None
        return self.folder / below.with_name(below.name + self._suffixes[name])

    def _note(self, timeline: "Timeline") -> None:
        """Keep the summaries of a recording beside what was kept before."""
        assert self.folder is not None
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        entry = {
            "file": timeline.file,
            "duration": timeline.duration_s,
            "labels": list(timeline.labels),
            "summaries": [summary.to_json() for summary in timeline.summaries],
        }
        # Several processes write here, each a whole line.
        state = self.folder / _STATE
        with storage_errors(state), locked(state) as handle, open(handle, "ab", closefd=False) as file:
            file.write(json.dumps(entry).encode() + b"\n")

    def summarise(self) -> None:
        """Write summary.csv: a row for every recording and speaker."""
        assert self.folder is not None
        entries = _entries(self.folder / _STATE)
        if not entries:
            return
        labels = list(dict.fromkeys(label for entry in entries.values() for label in entry["labels"]))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*_COLUMNS, *labels, *(f"{label}_s" for label in (*labels, "uncertain"))])
        for _, entry in sorted(entries.items()):  # whichever was done first
            for row in _summary_rows(entry, labels):
                writer.writerow(row)
        write_text(self.folder / _SUMMARY, text.getvalue())


@dataclass(frozen=True, slots=True)
class Following:
    """A recording to be followed, whichever process does it.

    Args:
        path: the recording.
        below: where under the output folder its files go.
        output: what is written.
        settings: of the timeline.
        speakers: who talks when: a file, or a folder of them; None for nobody.
        model: a shipped name or a folder.
        classes: the only classes to choose from; None for all.
        device: auto, cpu, cuda or cuda:N.
        threads: batches that are scored at the same time.
    """

    path: Path
    below: Path
    output: Output
    settings: "TimelineSettings"
    speakers: Path | None
    model: str
    classes: tuple[str, ...] | None
    device: str
    threads: int


def follow(work: Following) -> None:
    """Make the timeline of a recording and write its files.

    Raises:
        SerenadeError: it cannot be read, or its files not be written.
    """
    import torch

    from serenade.inference.shards import load_once

    torch.set_num_threads(1)
    recognizer = load_once(work.model, work.device, work.classes)
    try:
        turns = turns_of(work.speakers, work.path)
        made = recognizer.timeline(work.path, settings=work.settings, speakers=turns, threads=work.threads)
        work.output.write_all(made, work.below)
    except SerenadeError as error:
        error.where = error.where if error.where is not None else work.path
        raise


def turns_of(speakers: Path | None, path: Path) -> "tuple[SpeakerTurn, ...]":
    """Who talks when in a recording.

    Args:
        speakers: an RTTM file, or a folder where NAME.rttm is that of NAME.wav; None where nobody told.
        path: the recording.

    Raises:
        UsageError: it cannot be read, or tells of other recordings only.
    """
    if speakers is None:
        return ()
    from serenade.inference.annotations.rttm import read_rttm

    return read_rttm(speakers / f"{path.stem}.rttm" if speakers.is_dir() else speakers, path.stem)


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    """What was kept of each recording, the last word on it; a line that was cut off is passed over."""
    entries: dict[str, dict[str, Any]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        entries[entry["file"]] = entry
    return entries


def _summary_rows(entry: dict[str, Any], labels: Sequence[str]) -> Iterator[list[object]]:
    head = [entry["file"], round(entry["duration"], 3)]
    if not entry["summaries"]:
        yield [*head, None, 0, 0.0, None, *([None] * (2 * len(labels) + 1))]
    for summary in entry["summaries"]:
        shares = [_rounded(summary["scores"].get(label)) for label in labels]
        seconds = [round(summary["seconds"].get(label, 0.0), 3) for label in (*labels, "uncertain")]
        told = [summary["speaker"], summary["rows"], round(summary["covered_s"], 3), summary["label"]]
        yield [*head, *told, *shares, *seconds]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
