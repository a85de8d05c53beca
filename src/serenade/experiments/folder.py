"""A run as a folder: what is in it, under which name, read and written in one place (drawn in CONTRIBUTING.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from serenade.core.errors import UsageError
from serenade.core.files import read_json, read_json_lines, write_json, write_json_lines, write_text
from serenade.core.records import LeftOut, Listing, RunRecord, Split, Utterance
from serenade.core.settings import dump_toml, load_toml, make_settings, merge
from serenade.experiments.settings import ExperimentSettings

__all__ = ["JobKey", "RunFolder"]


@dataclass(frozen=True, slots=True)
class JobKey:
    """One fold with one seed."""

    fold: str
    seed: int

    @property
    def folder(self) -> str:
        """A name that is safe on any file system and differs for different folds."""
        return f"{quote(self.fold, safe=' +,=@')}-seed{self.seed}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Reads and writes the files of a run.

    Args:
        path: the run's folder.
    """

    path: Path

    @property
    def settings_file(self) -> Path:
        """Resolved settings of the run."""
        return self.path / "experiment.toml"

    def job(self, key: JobKey) -> Path:
        """The folder of a job."""
        return self.path / "jobs" / key.folder

    def is_done(self, key: JobKey) -> bool:
        """Whether the job's record is written, which is the last thing a job does."""
        return (self.job(key) / "record.json").is_file()

    def open(self) -> "RunFolder":
        """Itself, after making sure that it is a run.

        Raises:
            UsageError: the folder is not a run.
        """
        if not self.settings_file.is_file():
            raise UsageError("this folder is not a run", where=self.path, expected="a folder that `serenade run` wrote")
        return self

    def read_settings(self) -> ExperimentSettings:
        """The run's settings.

        Raises:
            SettingsError: they are not valid.
        """
        return make_settings(ExperimentSettings, load_toml(self.settings_file), where=str(self.settings_file))

    def read_settings_of(self, fold: str) -> ExperimentSettings:
        """The run's settings, with what the fold has chosen on its inner folds.

        Raises:
            SettingsError: they are not valid.
        """
        settings = self.read_settings()
        changes = self.read_choices().get(fold, {}).get("changes", {})
        return settings.model_copy(update={"system": merge(settings.system, changes)}) if changes else settings

    def read_choices(self) -> dict[str, Any]:
        """What every outer fold has chosen on its inner folds; empty where there was nothing to choose."""
        path = self.path / "choices.json"
        return dict(read_json(path)) if path.is_file() else {}

    def write_choices(self, choices: Any) -> None:
        """Write what every outer fold has chosen.

        Raises:
            StorageError: the disk is full or refuses.
        """
        write_json(self.path / "choices.json", choices)

    def candidate(self, number: int) -> "RunFolder":
        """The run of one candidate over all inner folds, from 1."""
        return RunFolder(self.path / "candidates" / str(number))

    def read_utterances(self) -> list[Utterance]:
        """The utterances used, sorted by id."""
        return [Utterance.from_json(values) for values in read_json_lines(self.path / "utterances.jsonl")]

    def read_unlabelled(self) -> list[Utterance]:
        """The unlabelled speech used, sorted by id; empty where there is none."""
        path = self.path / "unlabelled.jsonl"
        return [Utterance.from_json(values) for values in read_json_lines(path)] if path.is_file() else []

    def read_unlabelled_left_out(self) -> list[LeftOut]:
        """What was left out of the unlabelled speech."""
        path = self.path / "unlabelled_left_out.jsonl"
        return [LeftOut(**values) for values in read_json_lines(path)] if path.is_file() else []

    def read_split(self) -> Split:
        """The run's split."""
        return Split.from_json(read_json(self.path / "split.json"))

    def read_record(self, key: JobKey) -> RunRecord:
        """A finished job's record."""
        return RunRecord.from_json(read_json(self.job(key) / "record.json"))

    def epochs_done(self, key: JobKey) -> int:
        """Epochs that a job has finished so far."""
        log = self.job(key) / "log.jsonl"
        return log.read_text(encoding="utf-8").count("\n") if log.is_file() else 0

    def write_setup(
        self,
        settings: ExperimentSettings,
        utterances: Sequence[Utterance],
        left_out: Iterable[LeftOut],
        split: Split,
        leaks: Any,
        unlabelled: Listing | None = None,
    ) -> None:
        """Write all that the jobs need; the settings last, as they make the folder a run.

        Raises:
            StorageError: the disk is full or refuses.
        """
        write_json_lines(self.path / "utterances.jsonl", (u.to_json() for u in utterances))
        write_json_lines(self.path / "left_out.jsonl", (asdict(item) for item in left_out))
        if unlabelled is not None and unlabelled.utterances:
            write_json_lines(self.path / "unlabelled.jsonl", (u.to_json() for u in unlabelled.utterances))
            write_json_lines(self.path / "unlabelled_left_out.jsonl", (asdict(item) for item in unlabelled.left_out))
        write_json(self.path / "split.json", split.to_json())
        write_json(self.path / "leaks.json", leaks)
        write_text(self.settings_file, dump_toml(settings.model_dump(mode="json")))
