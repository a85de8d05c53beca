"""Models passed on: packed into one file with checksums, opened from that file or from its address, and verified.

A packed model is a zip of the model folder beside ``manifest.json``: names, sizes and SHA-256 of all files. Nothing in
it is ever run or unpickled: settings are TOML, weights safetensors, the card Markdown.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urldefrag, urlsplit

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import CheckpointError, SerenadeError, UsageError
from serenade.core.files import cache_folder, read_json, storage_errors
from serenade.core.labels import LabelSet
from serenade.corpora.downloading import digest_file, download
from serenade.corpora.unpacking import unpack
from serenade.signal.audio import SAMPLE_RATE

__all__ = ["Finding", "describe", "fetch", "is_address", "open_packed", "pack", "verify"]

_MANIFEST = "manifest.json"
_FORMAT = 1
_PICKLES = frozenset((".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".npy", ".npz", ".h5"))
_MODEL_FILES = ("model.toml", "weights.safetensors")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of all members, so that the same model gives the same file
_PARTS = ("Data", "What it is worth", "What it is not for")
_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at in a model, and how it is.

    Args:
        state: "good"; "warning": it works, but something that should be there is not; "bad".
        what: what was looked at, and what was found.
    """

    state: Literal["good", "warning", "bad"]
    what: str


def pack(folder: Path, out: Path) -> str:
    """Pack a model folder into one file.

    Args:
        folder: the model; see `find_model` in `serenade.inference.shipped`.
        out: the file, ``NAME.zip``.

    Returns:
        The SHA-256 of the file: what goes behind ``#sha256=`` of its address.

    Raises:
        CheckpointError: there is something in the folder that is no part of a model.
        StorageError: the disk is full or refuses.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST)
    for path in files:
        if path.suffix.lower() in _PICKLES:
            raise CheckpointError("this file is no part of a model, and could run code", where=path)
    names = {path.relative_to(folder).as_posix(): path for path in files}
    digests = {name: digest_file(path) for name, path in names.items()}
    listed = {name: {"size": found.size, "sha256": found.sha256} for name, found in digests.items()}
    manifest = json.dumps({"format": _FORMAT, "files": listed}, indent=1) + "\n"
    new = out.with_name(f".{out.name}.new")
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(new, "w", zipfile.ZIP_STORED) as archive:  # weights hardly shrink
                archive.writestr(zipfile.ZipInfo(_MANIFEST, _EPOCH), manifest)
                for name, path in names.items():
                    with archive.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as member:
                        member.writelines(_blocks(path))
            new.replace(out)
        finally:
            new.unlink(missing_ok=True)
    return digest_file(out).sha256


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def open_packed(archive: Path) -> Path:
    """The folder of a packed model, unpacked once into the cache and checked against its manifest.

    Raises:
        CheckpointError: it is no packed model, or what is in it is not what its manifest says.
        FetchError: it is no archive, or damaged.
        StorageError: the disk is full or refuses.
    """
    folder = cache_folder() / "models" / digest_file(archive).sha256
    if (folder / _MANIFEST).is_file():
        return folder
    coming = folder.with_name(f".{folder.name}.coming")
    unpack(archive, coming)
    if not (coming / _MANIFEST).is_file():
        raise CheckpointError(
            "this is no packed model",
            where=archive,
            expected=f"{_MANIFEST} in it",
            hint="Make one: serenade model pack",
        )
    faults = list(_faults(coming))
    if faults:
        raise CheckpointError("the packed model is not what its manifest says", where=archive, found="; ".join(faults))
    with storage_errors(folder):
        if not folder.exists():
            coming.rename(folder)
    return folder


def is_address(model: str) -> bool:
    """Whether a model is named by where it lies on the net."""
    return model.startswith(("https://", "http://"))


def fetch(address: str) -> Path:
    """The folder of a packed model from the net, fetched once; it must be what its checksum says.

    Args:
        address: ``https://HOME/NAME.zip#sha256=HEX``; plain http only from this machine.

    Raises:
        UsageError: there is no checksum behind the address, or it is not https.
        FetchError: no network, the server refuses, or the file is another one.
        CheckpointError: it is no packed model.
        StorageError: the disk is full or refuses.
    """
    url, fragment = urldefrag(address)
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise UsageError("models are fetched over https only", found=url)
    checksum = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if checksum is None:
        raise UsageError(
            "a model from the net needs its checksum, so that it is the one you were told of",
            found=address,
            expected=f"{url}#sha256=64 hexadecimal digits",
            hint="serenade model pack prints it",
        )
    wanted = checksum[1].lower()
    name = Path(unquote(parts.path)).name or "model.zip"
    target = cache_folder() / "models" / f"{wanted[:16]}-{name}"
    download(url, target, checksum=f"sha256:{wanted}")
    return open_packed(target)


def _faults(folder: Path) -> Iterator[str]:
    """In what the files of a folder differ from its manifest."""
    try:
        manifest: Mapping[str, Any] = read_json(folder / _MANIFEST)
        listed = {str(name): (int(of["size"]), str(of["sha256"])) for name, of in manifest["files"].items()}
        known = manifest.get("format") == _FORMAT
    except (ValueError, KeyError, TypeError, AttributeError):
        yield f"{_MANIFEST} is damaged"
        return
    if not known:
        yield f"{_MANIFEST} is of format {manifest.get('format')!r}, not {_FORMAT}"
        return
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    there.pop(_MANIFEST, None)
    yield from (f"{name} is missing" for name in listed if name not in there)
    yield from (f"{name} is not in the manifest" for name in there if name not in listed)
    for name, (size, sha256) in listed.items():
        if name in there:
            found = digest_file(there[name])
            if (found.size, found.sha256) != (size, sha256):
                yield f"{name} was changed"


def verify(folder: Path) -> list[Finding]:
    """Look at everything in a model folder that can be looked at without recordings.

    Args:
        folder: see `find_model` in `serenade.inference.shipped`.
    """
    findings = [*_verify_files(folder), *_verify_card(folder)]
    try:
        findings += _verify_network(folder)
    except SerenadeError as error:
        findings.append(Finding("bad", f"it does not load: {error}"))
    return findings


def _verify_files(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _PICKLES:
            yield Finding("bad", f"{path.name} is no part of a model, and could run code if it were loaded")
    missing = [name for name in _MODEL_FILES if not (folder / name).is_file()]
    yield from (Finding("bad", f"{name} is missing") for name in missing)
    if not (folder / _MANIFEST).is_file():
        yield Finding("warning", "no manifest: nobody can tell whether files were changed (serenade model pack)")
        return
    faults = list(_faults(folder))
    yield from (Finding("bad", fault) for fault in faults)
    if not faults:
        yield Finding("good", "every file is what the manifest says")


def _verify_card(folder: Path) -> Iterator[Finding]:
    from serenade.inference.shipped import read_card

    card = read_card(folder)
    if not card:
        yield Finding("warning", "no card: nobody knows what it was trained on, and how good it is")
        return
    for part in _PARTS:
        if f"## {part}" not in card:
            yield Finding("warning", f"the card does not say: {part.lower()}")
    if all(f"## {part}" in card for part in _PARTS):
        yield Finding("good", "the card tells data, worth and limits")


def _verify_network(folder: Path) -> Iterator[Finding]:
    import torch

    from serenade.inference.recognizer import Recognizer
    from serenade.training.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(folder)
    broken = [name for name, value in checkpoint.weights.items() if not bool(torch.isfinite(value.float()).all())]
    if broken:
        yield Finding("bad", f"weights that are not finite: {', '.join(broken[:3])}")
    recognizer = Recognizer.load(folder, device="cpu")
    yield Finding("good", "every weight has its place")
    noise = 0.1 * torch.randn(3 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0)).numpy()
    scores = recognizer(noise, SAMPLE_RATE).scores
    if abs(sum(scores.values()) - 1) < 1e-4:
        yield Finding("good", f"probabilities of {len(scores)} classes that sum to 1")
    else:
        yield Finding("bad", f"probabilities sum to {sum(scores.values())}")
    yield from _verify_export(folder, noise.astype(np.float32), scores)
    if checkpoint.calibration is None:
        yield Finding("warning", "not calibrated: its probabilities may be too sure")
    else:
        yield Finding("good", f"calibrated on {checkpoint.calibration.fitted_on}")


def _verify_export(folder: Path, noise: NDArray[np.float32], scores: Mapping[str, float]) -> Iterator[Finding]:
    """Whether the export beside the weights, where there is one, answers as they do."""
    from serenade.inference.answers import Answers
    from serenade.inference.onnx_session import EXPORT_FILE, export_beside
    from serenade.training.description import read_calibration

    if not (folder / EXPORT_FILE).is_file():
        return
    export = export_beside(folder)
    if export is None:
        yield Finding("warning", f"{EXPORT_FILE} is of other weights, or ONNX Runtime is not installed to look at it")
        return
    answers = Answers(LabelSet(tuple(export.facts["labels"])), None, read_calibration(folder))
    logits = export.logits(noise[None])[0].tolist()
    found = answers.prediction(None, 0.0, len(noise) / SAMPLE_RATE, logits).scores
    if found.keys() == scores.keys() and max(abs(found[name] - scores[name]) for name in scores) < 1e-3:
        yield Finding("good", f"{EXPORT_FILE} answers as the weights do")
    else:
        yield Finding("bad", f"{EXPORT_FILE} answers otherwise than the weights do")


def describe(folder: Path) -> dict[str, str]:
    """What a model is, as names and values for people.

    Raises:
        CheckpointError: there is no model, or it is damaged.
    """
    from serenade.training.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(folder)
    weights = checkpoint.weights.values()
    numbers, size = sum(value.numel() for value in weights), sum(v.numel() * v.element_size() for v in weights)
    about = checkpoint.about
    facts = {
        "system": f"{about.get('preset', checkpoint.system)}",
        "classes": ", ".join(checkpoint.labels.names),
        "trained on": ", ".join(about.get("corpora", ())),
        "utterances": str(about.get("utterances", "")),
        "speakers": str(about.get("speakers", "")),
        "weights": f"{numbers:,} numbers, {size:,} bytes",
        "made with": ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items()),
        "folder": str(folder),
    }
    return {name: value for name, value in facts.items() if value}
