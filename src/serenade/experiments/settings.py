"""The settings of a whole run: which system, on what data, under which protocol, how often."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from serenade.core.label_maps import parse_label_map
from serenade.core.settings import Settings
from serenade.evaluation.splits import SplitSettings

__all__ = ["CorpusSettings", "ExperimentSettings", "UnlabelledSettings"]


class CorpusSettings(Settings):
    """A corpus and where it lies."""

    name: str = Field(description="a name of the corpus table, such as emodb, or table for the user's own data")
    root: Path = Field(description="its folder, or the CSV file of a table")


class UnlabelledSettings(Settings):
    """Speech without emotion labels, which every fold of a run learns from besides its own training part."""

    corpora: tuple[CorpusSettings, ...] = Field(
        (), description="corpora whose labels are not looked at; unlabelled takes any folder of sound"
    )
    hours: float | None = Field(
        None, gt=0, description="take recordings at random, always the same, until so many hours are there; unset: all"
    )
    shortest_s: float = Field(1.0, ge=0, description="shorter recordings are left out")
    # 480 frames of 16 ms: what MTL-AUG sees at once; the 100 hours of train-clean-100 are some 57,000 such pieces.
    piece_s: float = Field(
        7.68, ge=0.1, description="longer recordings are cut into equal pieces of this length at most"
    )


class ExperimentSettings(Settings):
    """A run: folds × seeds of one system on one or more corpora."""

    preset: str = Field("glam", description="a preset of a published system")
    system: dict[str, Any] = Field(default_factory=dict, description="changes to the preset's settings")
    corpora: tuple[CorpusSettings, ...] = Field(min_length=1)
    labels: tuple[str, ...] | None = Field(
        None, description="classes used, after the label map; unset: all that the corpora have"
    )
    label_map: str | None = Field(
        None, description="what counts as which class: a name such as merge, or pairs such as excited=happy,other=-"
    )
    where: dict[str, str] = Field(
        default_factory=dict,
        description="facts that utterances must have, such as part = improvised; several values separated by |",
    )
    unlabelled: UnlabelledSettings = UnlabelledSettings()
    split: SplitSettings = SplitSettings()
    grid: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="with nested folds: values of the system's settings to choose among, by key such as "
        "training.learning_rate",
    )
    seeds: int = Field(1, ge=1, description="how many seeds; they are 0, 1, 2, ...")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(1, ge=1, description="threads per job; more jobs at once beat more threads per job")
    ranks: int = Field(
        1, ge=1, description="processes that train each network together, each on a GPU of its own where there are GPUs"
    )
    tensorboard: bool = Field(False, description="write TensorBoard logs beside each job's record")

    @field_validator("label_map")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            parse_label_map(text)  # raises with what a map is
        return text
