"""The settings of a whole run: which system, on what data, under which protocol, how often."""

from pathlib import Path
from typing import Any

from pydantic import Field

from serenade.core.settings import Settings
from serenade.evaluation.splits import SplitSettings

__all__ = ["CorpusSettings", "ExperimentSettings"]


class CorpusSettings(Settings):
    """A corpus and where it lies."""

    name: str = Field(description="a name of the corpus table, such as emodb, or table for the user's own data")
    root: Path = Field(description="its folder, or the CSV file of a table")


class ExperimentSettings(Settings):
    """A run: folds × seeds of one system on one or more corpora."""

    preset: str = Field("glam", description="a preset of a published system")
    system: dict[str, Any] = Field(default_factory=dict, description="changes to the preset's settings")
    corpora: tuple[CorpusSettings, ...] = Field(min_length=1)
    labels: tuple[str, ...] | None = Field(None, description="classes used; unset: all that the corpora have")
    split: SplitSettings = SplitSettings()
    seeds: int = Field(1, ge=1, description="how many seeds; they are 0, 1, 2, ...")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(1, ge=1, description="threads per job; more jobs at once beat more threads per job")
    tensorboard: bool = Field(False, description="write TensorBoard logs beside each job's record")
