"""Folders of any size in shards: some files each, done on all processors or on a cluster, kept as soon as done.

The rows of a shard are written whole or not at all into ``OUT.parts/``. A killed job goes on with the files that have
no rows there yet; once all are done, the parts are joined, in the order of the files, into the output that was asked
for. So no row is lost, and none is there twice.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenade.core.errors import SerenadeError, UsageError
from serenade.core.executor import Engine, run_all
from serenade.core.files import read_json, write_bytes, write_json
from serenade.core.records import Attributes, Prediction
from serenade.inference.transcripts import Words

if TYPE_CHECKING:
    from serenade.inference.recognizer import Recognizer

__all__ = ["SHARD_FILES", "Finished", "Parts", "Shard", "Work", "load_once", "predict_in_shards", "predict_shard"]

SHARD_FILES = 64
"""Files of a shard: some seconds of work, so that little is done twice after a kill."""
_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Work:
    """What is done to every file; two jobs with the same work give the same rows.

    Args:
        model: folder or shipped name; on a cluster every machine must find it there.
        classes: the only classes to choose from; None for all.
        window_s: length of a window; None for one row per file.
        hop_s: from window to window.
        device: auto, cpu, cuda or cuda:N.
        threads: processors for each shard.
        words: where the words come from, for a model that reads them.
    """

    model: str
    classes: tuple[str, ...] | None = None
    window_s: float | None = None
    hop_s: float | None = None
    device: str = "auto"
    threads: int = 1
    words: Words = field(default_factory=Words)

    def identity(self) -> dict[str, Any]:
        """What the rows depend on.

        Raises:
            CheckpointError: there is no such model.
        """
        from serenade.inference.shipped import find_model

        digest = hashlib.sha256()
        for path in sorted(find_model(self.model).iterdir()):
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
        classes = None if self.classes is None else list(self.classes)
        words = {name: str(place) for name, place in asdict(self.words).items() if place is not None}
        rows = {"classes": classes, "window_s": self.window_s, "hop_s": self.hop_s}
        return {"model": digest.hexdigest()[:32], **rows, **({"words": words} if words else {})}


@dataclass(frozen=True, slots=True)
class Shard:
    """Some files, small enough to be sent anywhere.

    Args:
        number: its place among all.
        files: paths.
        work: what is done to them.
    """

    number: int
    files: tuple[str, ...]
    work: Work


def predict_shard(shard: Shard) -> tuple[list[Prediction], list[SerenadeError]]:
    """The rows of a shard's files, and the errors of those that failed."""
    import torch

    torch.set_num_threads(1)
    work = shard.work
    results = load_once(work.model, work.device, work.classes).predict_files(
        shard.files, window_s=work.window_s, hop_s=work.hop_s, threads=work.threads, words=work.words.of
    )
    rows: list[Prediction] = []
    failures: list[SerenadeError] = []
    for result in results:
        if isinstance(result, SerenadeError):
            failures.append(result)
        else:
            rows.append(result)
    return rows, failures


@lru_cache(maxsize=1)
def load_once(model: str, device: str, classes: tuple[str, ...] | None) -> "Recognizer":
    """A recogniser, loaded once in each worker process.

    Args:
        model: a shipped name or a folder.
        device: auto, cpu, cuda or cuda:N.
        classes: the only classes to choose from; None for all.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        UsageError: there is no such device or class.
    """
    from serenade.inference.recognizer import Recognizer

    return Recognizer.load(model, device=device, classes=classes)


def predict_in_shards(
    files: Iterable[Path],
    work: Work,
    parts: "Parts",
    *,
    workers: int | None,
    engine: Engine = "processes",
    shard_files: int = SHARD_FILES,
    on_tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, list[SerenadeError]]]:
    """Predict files and keep the rows in parts.

    A shard whose process dies twice is taken apart, so that the one file that kills it is found and the others done.

    Args:
        files: what is to be done, without what the parts hold already.
        work: what is done to them.
        parts: where the rows go.
        workers: shards at a time; None for one per processor.
        engine: processes of this machine or Ray.
        shard_files: files of a shard.
        on_tick: called about twice a second.

    Yields:
        For every shard that is done and kept: how many files it had, and the errors of those that failed.

    Raises:
        StorageError: the disk is full or refuses; what was kept stays.
    """
    lost: list[Shard] = []
    shards = _shards(files, work, parts.next_number, shard_files)
    for shard, outcome in run_all(
        predict_shard, shards, workers=workers, engine=engine, threads=work.threads, on_tick=on_tick
    ):
        if isinstance(outcome, SerenadeError):
            lost.append(shard)
            continue
        parts.keep(shard.number, outcome[0])
        yield len(shard.files), outcome[1]
    single = (replace(shard, files=(name,)) for shard in lost for name in shard.files)
    for place, (shard, outcome) in enumerate(
        run_all(predict_shard, single, workers=workers, engine=engine, threads=work.threads, on_tick=on_tick)
    ):
        if isinstance(outcome, SerenadeError):
            yield 1, [_placed(outcome, shard.files[0])]
            continue
        parts.keep(shard.number, outcome[0], piece=place)
        yield 1, outcome[1]


def _placed(error: SerenadeError, file: str) -> SerenadeError:
    return SerenadeError(error.what, where=file, hint="Look at this file, or leave it out")


def _shards(files: Iterable[Path], work: Work, first: int, size: int) -> Iterator[Shard]:
    names = map(str, files)
    number = first
    while some := tuple(islice(names, size)):
        yield Shard(number, some, work)
        number += 1


class Parts:
    """The rows of finished shards beside the output that they will be joined into.

    Args:
        out: the output.
        identity: of the work, see `Work.identity`.
        resumed: go on with parts that are there.
        overwrite: throw them away.

    Raises:
        UsageError: the output or parts are there, and neither is said; or the parts are of other work.
        StorageError: the disk is full or refuses.
    """

    def __init__(self, out: Path, identity: dict[str, Any], *, resumed: bool, overwrite: bool) -> None:
        self.folder = out.with_name(f"{out.name}.parts")
        about = self.folder / "work.json"
        if overwrite:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif out.is_file() and not (resumed and about.is_file()):
            raise UsageError(
                "the output exists already, and is complete" if resumed else "the output exists already",
                where=out,
                hint="Replace it with --overwrite, or choose another --out",
            )
        if about.is_file():
            self._require_same(read_json(about), identity, resumed=resumed)
        else:
            write_json(about, identity)
        numbers = [int(path.name.split("-")[1]) for path in self._files()]
        self.next_number = max(numbers, default=-1) + 1

    def _require_same(self, found: object, identity: dict[str, Any], *, resumed: bool) -> None:
        if not resumed:
            raise UsageError(
                "an interrupted job has left its parts",
                where=self.folder,
                hint="Continue it with --resume, or begin anew with --overwrite",
            )
        if found != identity:
            raise UsageError(
                "the parts there cannot be continued, they were made with another model or other windows",
                where=self.folder,
                hint="Choose another --out, or begin anew with --overwrite",
            )

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.jsonl"))

    def keep(self, number: int, rows: Iterable[Prediction], piece: int = 0) -> None:
        """Write the rows of a shard, whole or not at all.

        Args:
            number: of the shard.
            rows: predictions.
            piece: of a shard that was taken apart.
        """
        lines = "".join(json.dumps(row.to_json()) + "\n" for row in rows)  # in ASCII: names need not be UTF-8
        if lines:
            write_bytes(self.folder / f"part-{number:09d}-{piece:06d}.jsonl", lines.encode())

    def finished(self) -> "Finished":
        """The files that have rows."""
        return Finished(str(row.file) for row in self.rows())

    def rows(self) -> Iterator[Prediction]:
        """All rows, in the order of the files."""
        for path in self._files():
            with path.open(encoding="ascii") as lines:
                for line in lines:
                    yield _from_json(json.loads(line))

    def remove(self) -> None:
        """Once they are joined."""
        with suppress(OSError):
            shutil.rmtree(self.folder)


class Finished:
    """Files that are done: 8 bytes each, as there may be millions.

    Args:
        files: paths.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._digests = {_digest(file) for file in files}

    def __contains__(self, file: object) -> bool:
        return _digest(str(file)) in self._digests

    def __len__(self) -> int:
        return len(self._digests)


def _digest(file: str) -> bytes:
    return hashlib.blake2b(file.encode(errors="surrogateescape"), digest_size=_DIGEST_BYTES).digest()


def _from_json(value: dict[str, Any]) -> Prediction:
    attributes = value.pop("attributes", None)
    return Prediction(**value, attributes=None if attributes is None else Attributes(**attributes))
