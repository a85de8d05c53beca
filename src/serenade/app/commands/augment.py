"""``serenade augment``: recordings through a chain of augmentations, to be heard and seen."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.core.errors import AudioError, PartialFailure, SerenadeError, UsageError
from serenade.core.files import storage_errors, write_text
from serenade.core.wording import counted
from serenade.signal.augmentation import AUGMENTATIONS

if TYPE_CHECKING:
    from torch import Tensor

    from serenade.reports.augmentation_page import AugmentedExample
    from serenade.signal.augmentation.chain import AugmentationChain, AugmentationSettings, Augmented

__all__ = ["augment"]

_RECORDS = "augmented.jsonl"
_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_MOST_SHOWN = 12  # recordings on a page
_MOST_SHOWN_S = 30.0  # of each


def augment(
    input_: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="A recording, or a folder of recordings.")],
    with_: Annotated[
        str,
        typer.Option(
            "--with",
            "-w",
            metavar="CHAIN",
            help=f"Steps with commas between them, such as speed:0.9,noise:5..20. Steps: {', '.join(AUGMENTATIONS)}.",
        ),
    ],
    noise: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Recordings of noise for the step noise, else pink noise.")
    ] = None,
    environment: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Use only this environment of the noise; may be repeated.")
    ] = None,
    rir: Annotated[
        Path | None,
        typer.Option(metavar="FILE|FOLDER", help="Impulse responses for the step reverb, else synthesised ones."),
    ] = None,
    partner: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The recording that the step mixup mixes in.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn; the same gives the same.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.wav|FILE.flac|FOLDER",
            help="Where to write; NAME-augmented.wav or NAME-augmented/ in this folder if not given.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE.html|FIGURE.svg|FIGURE.png",
            help="Also show both spectrograms: as a page with the sound, or those of the first recording as a figure.",
        ),
    ] = None,
    keep_length: Annotated[
        bool, typer.Option("--keep-length", help="Cut or fill with zeros what became longer or shorter.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a folder: recordings done are skipped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no list of steps.")] = False,
) -> None:
    """Change recordings as training and tests of robustness do: speed, noise, rooms, telephones, codecs and more.

    What was drawn for each is printed, and for a folder written to augmented.jsonl in it. Recordings that cannot be
    read are named at the end, the others are done; the exit code is 3 then.

    Example: serenade augment interview.wav --with speed:0.9,noise:10 --out slower.wav --page slower.html
    """
    from serenade.core.settings import make_settings
    from serenade.experiments.augmentation import build_chain
    from serenade.signal.augmentation.chain import AugmentationSettings

    draw = None if page is None else _drawer(page, with_)
    values: dict[str, object] = {"steps": with_, "noise": noise, "environments": environment or (), "responses": rir}
    values |= {"keep_length": keep_length, "on_silence": "refuse"}
    settings = make_settings(AugmentationSettings, values)
    target = _Target.of(input_, out, page, overwrite=overwrite, resume=resume)
    chain = build_chain(settings, note=say)
    job = _Job(
        chain, with_, seed, _read_partner(partner, settings), target, quiet, shown=0 if page is None else _MOST_SHOWN
    )
    job.run()
    if draw is not None and job.examples:
        draw(job.examples)
        say(f"Page: {page}")
    job.conclude()


def _drawer(page: Path, chain: str) -> "Callable[[Sequence[AugmentedExample]], None]":
    """What writes the page or figure, told by its suffix; what is missing for it is missed before the work.

    Raises:
        UsageError: the suffix is none that is written.
        MissingExtraError: a package is missing.
    """
    from serenade.core.files import write_bytes
    from serenade.reports.augmentation_page import augmentation_figure, write_augmentation_page
    from serenade.reports.page import template_environment
    from serenade.reports.raster import require_pillow, standalone_svg, svg_to_png

    suffix = page.suffix.lower()
    if suffix == ".html":
        template_environment()
        return lambda examples: write_augmentation_page(examples, chain, page)
    if suffix == ".svg":
        return lambda examples: write_text(page, standalone_svg(augmentation_figure(examples[0])))
    if suffix == ".png":
        require_pillow()
        return lambda examples: write_bytes(page, svg_to_png(augmentation_figure(examples[0])))
    raise UsageError("this kind of page is not known", where=page, expected=".html, .svg or .png")


@dataclass(frozen=True)
class _Target:
    """Where results go.

    Args:
        input_: the file or folder that is read.
        out: the file or folder that is written.
        resume: skip what the records in the folder name.
    """

    input_: Path
    out: Path
    resume: bool

    @classmethod
    def of(cls, input_: Path, out: Path | None, page: Path | None, *, overwrite: bool, resume: bool) -> "_Target":
        """The place asked for, or the usual one.

        Raises:
            AudioError: there is no input.
            UsageError: the output exists, is of a kind that is not written, or cannot be resumed.
        """
        if not input_.exists():
            raise AudioError("there is no such file or folder", reason="missing", where=input_)
        folder = input_.is_dir()
        if out is None:
            out = Path(f"{input_.resolve().name}-augmented" if folder else f"{input_.stem}-augmented.wav")
        if not folder and out.suffix.lower() not in _FORMATS:
            raise UsageError("this kind of sound is not written", where=out, expected=" or ".join(_FORMATS))
        if not folder and resume:
            raise UsageError("--resume continues a folder", found=f"the file {input_}")
        if out.resolve() == input_.resolve():
            raise UsageError("the result would replace what is read", where=out, hint="Name another with --out")
        for path in (out, *([] if page is None else [page])):
            in_the_way = path.is_file() or (path.is_dir() and any(path.iterdir()))
            if in_the_way and not (overwrite or resume):
                raise UsageError("the output exists already", where=path, hint="Name another, or say --overwrite")
        if folder and not resume:
            (out / _RECORDS).unlink(missing_ok=True)
        return cls(input_, out, resume)

    @property
    def is_folder(self) -> bool:
        """Whether there may be several recordings."""
        return self.input_.is_dir()

    def place(self, recording: Path) -> Path:
        """Where the result of a recording goes: beneath the output as the recording lies beneath the input.

        The suffix is replaced, but where two recordings differ in nothing else it is kept in the name.
        """
        if not self.is_folder:
            return self.out
        inside = self.out / recording.relative_to(self.input_)
        twins = [path for path in recording.parent.glob(f"{_escaped(recording.stem)}.*") if path.is_file()]
        return inside.with_suffix(".wav") if len(twins) < 2 else inside.with_name(f"{inside.name}.wav")

    def done(self, chain: str, seed: int) -> set[str]:
        """Recordings that the records of an earlier call name; a record that was cut off is removed.

        Raises:
            UsageError: the earlier call had another chain or seed.
        """
        path = self.out / _RECORDS
        if not (self.resume and path.is_file()):
            return set()
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # a line without an end was cut off
        write_text(path, "".join(f"{line}\n" for line in lines))
        records = [json.loads(line) for line in lines]
        for record in records:
            if (record["chain"], record["seed"]) != (chain, seed):
                raise UsageError(
                    "what is there was made by another chain or seed",
                    where=path,
                    found=f"--with {record['chain']} --seed {record['seed']}",
                    expected=f"--with {chain} --seed {seed}",
                )
        return {str(record["recording"]) for record in records}


def _escaped(name: str) -> str:
    from glob import escape

    return escape(name)


def _read_partner(partner: Path | None, settings: "AugmentationSettings") -> "Tensor | None":
    mixes = any(step.kind == "mixup" for step in settings.steps)
    if mixes and partner is None:
        raise UsageError("the step 'mixup' needs a second recording", hint="Name it with --partner")
    if partner is None:
        return None
    from serenade.signal.audio import read_audio

    return read_audio(partner)


@dataclass
class _Job:
    """What is to be augmented, and what became of it.

    Args:
        chain: what is done.
        text: the chain as the user wrote it.
        seed: of what is drawn; each recording has a stream of its own, whatever else lies in the folder.
        partner: what mixup mixes in.
        target: where results go.
        quiet: print nothing but failures.
        shown: how many recordings the page shows.
    """

    chain: "AugmentationChain"
    text: str
    seed: int
    partner: "Tensor | None"
    target: _Target
    quiet: bool
    shown: int
    examples: "list[AugmentedExample]" = field(default_factory=list)
    failures: list[SerenadeError] = field(default_factory=list)
    done: int = 0
    skipped: int = 0

    def run(self) -> None:
        """Go through the recordings; those that fail are kept for the end."""
        from serenade.inference.files import find_recordings

        finished = self.target.done(self.text, self.seed)
        found = list(find_recordings([self.target.input_]))
        with Progress("Augmenting", total=len(found), quiet=self.quiet or not self.target.is_folder) as progress:
            for item in found:
                if isinstance(item, Path) and self._name(item) in finished:
                    self.skipped += 1
                elif isinstance(item, Path):
                    self._try(item)
                else:
                    self.failures.append(item)
                progress.advance()

    def _name(self, recording: Path) -> str:
        root = self.target.input_ if self.target.is_folder else recording.parent
        return recording.relative_to(root).as_posix()

    def _try(self, recording: Path) -> None:
        try:
            with _named(recording):
                self._augment(recording)
            self.done += 1
        except AudioError as error:
            self.failures.append(error)

    def _augment(self, recording: Path) -> None:
        from torch import Generator

        from serenade.core.seeding import derive_seed
        from serenade.signal.audio import read_audio

        waveform, name = read_audio(recording), self._name(recording)
        generator = Generator().manual_seed(derive_seed(self.seed, "augment", name))
        batch = [waveform] if self.partner is None else [waveform, self.partner]
        result, record = self.chain.augment(0, batch, generator)
        out = self.target.place(recording)
        scale = _write(out, result)
        notes = [*record.left_out]
        if scale < 1:
            notes.append(f"Made {1 / scale:.2f} times softer, so that no sample lies beyond full scale.")
        if self.target.is_folder:
            line: dict[str, object] = {"recording": name, "written": out.relative_to(self.target.out).as_posix()}
            line |= {"chain": self.text, "seed": self.seed, "scale": scale, **record.to_json()}
            _append(self.target.out / _RECORDS, line)
        elif not self.quiet:
            _show(record, notes)
            say(f"Written: {out}")
        if len(self.examples) < self.shown:
            self.examples.append(_example(name, waveform, scale * result, record, notes))

    def conclude(self) -> None:
        """Tell what was done and name what failed.

        Raises:
            PartialFailure: some recordings failed; a single one that was all there was to do fails as itself.
            UsageError: there was nothing to do.
        """
        if self.skipped:
            say(f"Skipped, because they were done before: {self.skipped}.", quiet=self.quiet)
        if len(self.failures) == 1 and self.done + self.skipped == 0:
            raise self.failures[0]
        if self.failures:
            for failure in self.failures:
                say(f"Failed: {failure}")
            raise PartialFailure("augmenting", failures=self.failures, done=self.done)
        if self.done + self.skipped == 0:
            raise UsageError("no recording was found", where=self.target.input_)
        if self.target.is_folder:
            say(f"Written: {counted(self.done, 'recording')} to {self.target.out}", quiet=self.quiet)


@contextmanager
def _named(recording: Path) -> Iterator[None]:
    """Name the recording in errors that know it only as audio in memory."""
    try:
        yield
    except AudioError as error:
        if error.where != "audio in memory":
            raise
        raise AudioError(
            error.what,
            reason=error.reason,
            where=recording,
            found=error.found,
            expected=error.expected,
            hint=error.hint,
        ) from error


def _write(out: Path, waveform: "Tensor") -> float:
    """Write 16-bit sound; what lies beyond full scale is scaled down as a whole, by the factor given back."""
    import io

    import soundfile

    from serenade.core.files import write_bytes
    from serenade.signal.audio import SAMPLE_RATE

    scale = 1 / max(1.0, float(waveform.abs().max()))
    buffer = io.BytesIO()
    kind = _FORMATS[out.suffix.lower()]
    soundfile.write(buffer, (scale * waveform).numpy(), SAMPLE_RATE, format=kind, subtype="PCM_16")
    write_bytes(out, buffer.getvalue())
    return scale


def _append(path: Path, record: dict[str, object]) -> None:
    with storage_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _show(record: "Augmented", notes: list[str]) -> None:
    for step in record.steps:
        print(f"{step.kind:<13}" + "  ".join(f"{name} {_text(value)}" for name, value in step.parameters.items()))
    for note in notes:
        print(note)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(f"{start}-{start + width - 1}" for start, width in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _example(name: str, before: "Tensor", after: "Tensor", record: "Augmented", notes: list[str]) -> "AugmentedExample":
    """One recording for the page; of a long one the beginning."""
    from serenade.app.sound import encode
    from serenade.reports.augmentation_page import AugmentedExample
    from serenade.signal.audio import SAMPLE_RATE
    from serenade.signal.pictures import level_picture

    most = round(_MOST_SHOWN_S * SAMPLE_RATE)
    told = [*notes, f"The first {_MOST_SHOWN_S:g} s are shown."] if max(len(before), len(after)) > most else notes
    before, after = before[:most], after[:most]
    return AugmentedExample(
        name,
        level_picture(before, "before"),
        level_picture(after, "after"),
        [(step.kind, step.parameters) for step in record.steps],
        told,
        encode(before.numpy(), SAMPLE_RATE),
        encode(after.numpy(), SAMPLE_RATE),
    )
