"""Chains of augmentations with the recordings that their settings name."""

from collections.abc import Callable
from pathlib import Path

from serenade.core.errors import AudioError, SerenadeError, UsageError
from serenade.corpora import read_corpus
from serenade.inference.files import find_recordings
from serenade.signal.augmentation.chain import AugmentationChain, AugmentationSettings
from serenade.signal.augmentation.step import Sources
from serenade.signal.mixing import NoiseBank
from serenade.signal.responses import ResponseBank

__all__ = ["build_chain", "open_noise", "open_responses"]

_Note = Callable[[str], None]
"""Told what was left out, as a sentence."""


def _unheard(note: str) -> None:
    """Nobody listens."""


def build_chain(settings: AugmentationSettings, *, note: _Note = _unheard) -> AugmentationChain:
    """A chain, its noise and impulse responses opened.

    Args:
        settings: the steps, and where the recordings lie.
        note: told of recordings that cannot be used.

    Raises:
        AudioError: of the noise or the responses not one can be used.
        CorpusError: there is no folder of noise, or no sound in it.
        MissingExtraError: a step needs a package that is not installed.
        UsageError: a step needs recordings that there are none of, or an environment is not known.
    """
    noise = None if settings.noise is None else open_noise(settings.noise, settings.environments, note=note)
    responses = None if settings.responses is None else open_responses(settings.responses, note=note)
    return AugmentationChain(settings, Sources(noise, responses))


def open_noise(folder: Path, environments: tuple[str, ...] = (), *, note: _Note = _unheard) -> NoiseBank:
    """The recordings of a folder of noise, all read once; broken and silent ones are left out.

    Raises:
        AudioError: not one can be used.
        CorpusError: there is no such folder, or no sound in it.
        UsageError: an environment is not known.
    """
    bank = NoiseBank(read_corpus("noise", folder, examine=None).utterances, environments=environments)
    _tell(bank.drop_unusable(), "noise", note)
    return bank


def open_responses(path: Path, *, note: _Note = _unheard) -> ResponseBank:
    """The impulse responses of a file or of a folder, all read once; broken and silent ones are left out.

    Raises:
        AudioError: not one can be used, or there is no such file or folder.
        UsageError: there is no sound in the folder.
    """
    found = list(find_recordings([path]))
    wrong = [item for item in found if isinstance(item, SerenadeError)]
    files = [item for item in found if isinstance(item, Path)]
    if wrong and not files:
        raise wrong[0]
    if not files:
        raise UsageError("there are no impulse responses", where=path, expected="sound files")
    bank = ResponseBank(files)
    _tell(bank.drop_unusable(), "impulse response", note)
    return bank


def _tell(failures: tuple[AudioError, ...], what: str, note: _Note) -> None:
    for failure in failures:
        note(f"Left out of the {what} recordings: {failure}")
