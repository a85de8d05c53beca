"""``serenade upstream extract``: frames of a frozen upstream for whole corpora, stored once."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.app.experiment import corpus_option
from serenade.app.options import AutoDevice, Quiet
from serenade.core.errors import PartialFailure, SerenadeError, StorageError, UsageError
from serenade.core.wording import counted

if TYPE_CHECKING:
    import torch

    from serenade.core.records import LeftOut, Utterance
    from serenade.models.upstreams.upstream import Upstream
    from serenade.training.extraction import Extraction
    from serenade.training.frame_store import FrameNumbers, FrameStore

__all__ = ["extract", "read_corpora"]

_GIB = 2**30
_TRIAL_S = 3.0  # of measuring, before the cost is told


def extract(
    upstream: Annotated[str, typer.Option(help="A folder, or a name such as filter-bank.", show_default=False)],
    corpus: Annotated[
        list[str], typer.Option(help="NAME=PATH, such as emodb=/data/emodb; repeat for several.", show_default=False)
    ],
    layers: Annotated[str, typer.Option(help="last; all, for a weighted sum; or the number of one.")] = "last",
    numbers: Annotated[str, typer.Option(help="float16 or bfloat16.")] = "float16",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the frames; where runs find them, in the cache, if not given.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(help="auto (the one `upstream check --measure` chose), float32, bfloat16, onnxruntime, openvino."),
    ] = "auto",
    batch: Annotated[float, typer.Option(min=0.1, help="Most seconds of padded sound computed at a time.")] = 20.0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; as torch chooses if not given.")] = None,
    device: AutoDevice = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost.")] = False,
    quiet: Quiet = False,
) -> None:
    """Compute the frames of whole corpora with a frozen upstream, and store them in 16 bits.

    The cost in hours and GiB is told before. What is stored already is not computed again, so the same command goes on
    after an interruption; runs that use the same upstream take the frames from the cache.
    """
    import torch

    from serenade.core.devices import choose_device
    from serenade.systems.upstreams import named_upstream
    from serenade.training.extraction import extract_frames, store_kind
    from serenade.training.frame_store import FrameStore

    if threads is not None:
        torch.set_num_threads(threads)
    place = choose_device(device)
    opened = named_upstream(upstream).to(place)
    chosen, engine_name = _engine(opened, engine, place)
    kind = store_kind(chosen, _layers(layers, opened.num_layers), engine=engine_name, numbers=_numbers(numbers))
    utterances, left_out = read_corpora(corpus, quiet)
    store = FrameStore(out if out is not None else kind.folder, kind)
    missing_s = _tell_cost(chosen, utterances, store, engine_name, quiet)
    if dry_run:
        return
    total = len(utterances) if chosen.modality == "text" else round(missing_s)
    unit = "transcripts" if chosen.modality == "text" else "s of sound"
    with Progress("Extracting", total=total or None, unit=unit, quiet=quiet) as progress:
        done = extract_frames(
            chosen,
            utterances,
            store,
            device=place,
            batch_s=batch,
            progress=lambda far, _: progress.advance(round(far) - progress.done),
        )
    _report(done, store, left_out, chosen.modality == "text")


def _numbers(text: str) -> "FrameNumbers":
    from serenade.training.frame_store import NUMBERS

    for known in NUMBERS:
        if text == known:
            return known
    raise UsageError("unknown type of numbers", found=text, expected=" or ".join(NUMBERS))


def _layers(text: str, num_layers: int) -> list[int]:
    from serenade.nn.layer_mix import layers_needed

    if text in ("last", "all"):
        return layers_needed("last" if text == "last" else "weighted", num_layers)
    if not text.isdigit():
        raise UsageError("unknown layer", found=text, expected="last, all, or the number of a layer")
    return layers_needed(int(text), num_layers)


def _engine(upstream: "Upstream", name: str, place: "torch.device") -> tuple["Upstream", str]:
    from serenade.models.upstreams.engine_choice import quick_upstream
    from serenade.models.upstreams.engines import ENGINES, with_engine

    if name == "auto":
        return quick_upstream(upstream, place)
    for known in ENGINES:
        if name == known:
            return with_engine(upstream, known), known
    raise UsageError("unknown engine", found=name, expected=f"auto, {', '.join(ENGINES)}")


def read_corpora(corpora: Sequence[str], quiet: bool) -> tuple[list["Utterance"], list["LeftOut"]]:
    """The utterances of several corpora, their recordings examined, and what was left out.

    Args:
        corpora: each as NAME=PATH.
        quiet: show no progress.

    Raises:
        CorpusError: a corpus cannot be read.
        UsageError: a text is not of this form.
    """
    from serenade.corpora import read_corpus
    from serenade.signal.audio import examine

    utterances: list[Utterance] = []
    left_out: list[LeftOut] = []
    for text in corpora:
        option = corpus_option(text)
        with Progress(f"Reading {option['name']}", quiet=quiet) as progress:

            def show(done: int, total: int, bar: Progress = progress) -> None:
                bar.set_total(total)
                bar.advance(done - bar.done)

            listing = read_corpus(option["name"], Path(option["root"]), examine=examine, progress=show)
        utterances += listing.utterances
        left_out += listing.left_out
    return utterances, left_out


def _tell_cost(
    upstream: "Upstream", utterances: Sequence["Utterance"], store: "FrameStore", engine: str, quiet: bool
) -> float:
    """Say what is still to be computed, what it costs and where it goes; return the seconds of sound."""
    from serenade.inference.upstream_cost import expected_frames, trial_speed
    from serenade.training.extraction import frame_key

    if upstream.modality == "text":
        say(f"{counted(len(utterances), 'transcript')}, to {store.folder}", quiet=quiet)
        return 0.0
    missing = {key: u for u in utterances if (key := frame_key(u, "speech")) not in store}
    seconds = sum(u.duration_s or 0.0 for u in missing.values())
    if not missing:
        say(f"all {len(utterances)} recordings are in {store.folder}", quiet=quiet)
        return 0.0
    num_bytes = store.kind.num_bytes(expected_frames(upstream, list(missing.values())))
    speed = trial_speed(upstream, list(missing.values()), budget_s=_TRIAL_S)
    say(
        f"{len(missing)} of {len(utterances)} recordings, {_hours(seconds)} of sound, are to be computed: about "
        f"{_hours(seconds / speed)} at {speed:.1f} x real time ({engine}), {num_bytes / _GIB:.3f} GiB in "
        f"{store.folder}",
        quiet=quiet,
    )
    free = shutil.disk_usage(
        next(path for path in (store.folder, *store.folder.absolute().parents) if path.exists())
    ).free
    if num_bytes > free:
        raise StorageError(
            "the frames do not fit on the disk",
            where=store.folder,
            found=f"{free / _GIB:.2f} GiB free",
            expected=f"{num_bytes / _GIB:.2f} GiB",
            hint="Choose another folder, or store one layer",
        )
    return seconds


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _report(done: "Extraction", store: "FrameStore", left_out: Sequence["LeftOut"], is_text: bool) -> None:
    unit = "transcripts" if is_text else "recordings"
    print(f"{'new':<14}{done.new} {unit}")
    print(f"{'known':<14}{counted(done.known, 'utterance')}, stored before or the same as another one")
    print(f"{'left out':<14}{len(done.left_out)}, and {len(left_out)} by the corpus")
    if done.new_s:
        print(f"{'speed':<14}{done.new_s / done.seconds:.1f} x real time, reading included")
    print(f"{'padding':<14}{100 * done.waste:.1f} % of the batches")
    print(f"{'store':<14}{len(store)} {unit}, {store.num_bytes / _GIB:.3f} GiB in {store.folder}")
    if done.left_out:
        failures = [SerenadeError(f"{item.reason}: {item.detail}", where=item.where) for item in done.left_out]
        raise PartialFailure("extracting frames", failures=failures, done=done.new + done.known)
