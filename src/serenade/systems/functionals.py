"""openSMILE's functionals and a plain classifier: the acoustic features that most of the field compares with.

F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and Affective Computing",
IEEE Trans. Affective Computing 2016, doi 10.1109/TAFFC.2015.2457417 (eGeMAPS: 88 features).
B. Schuller et al., "The INTERSPEECH 2016 Computational Paralinguistics Challenge", Interspeech 2016, doi
10.21437/Interspeech.2016-129 (ComParE: 6,373 features).
F. Eyben, M. Woellmer, B. Schuller, "openSMILE", ACM Multimedia 2010, doi 10.1145/1873951.1874246.

The features are computed by the package ``opensmile``, which the user installs: its licence permits research and other
non-commercial use only, also of features and models made with it, so no extra of Serenade brings it. Standardisation
and classifier are fitted on the training part of the fold (`training.classifiers`) and stored as tensors; only a
recording's features need openSMILE, the classifier needs neither it nor scikit-learn.

Target numbers (UA, leave one speaker out): EMO-DB without disgust 70 (eGeMAPS) and 79 (ComParE).
"""

from functools import cache
from importlib import metadata
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from serenade.core.errors import MissingPluginError
from serenade.core.labels import LabelSet
from serenade.signal.audio import SAMPLE_RATE
from serenade.training.one_vector import OneVectorSettings, OneVectorSystem

__all__ = ["LICENCE", "FunctionalsSettings", "FunctionalsSystem"]

_FeatureSet = Literal["eGeMAPSv02", "ComParE_2016"]
LICENCE = (
    "openSMILE's licence (audEERING) permits research and other non-commercial use only, also of the features and "
    "models made with it."
)
_WIDTHS: dict[_FeatureSet, int] = {"eGeMAPSv02": 88, "ComParE_2016": 6373}
_MIN_SAMPLES = 960  # openSMILE's longest window, 60 ms; it has no features of less, so zeros are put behind


class FunctionalsSettings(OneVectorSettings):
    """Settings of openSMILE functionals with a classifier."""

    feature_set: _FeatureSet = "eGeMAPSv02"


class FunctionalsSystem(OneVectorSystem):
    """Functionals and a classifier as the training loop and the recogniser see them.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings_class = FunctionalsSettings

    def __init__(self, settings: FunctionalsSettings, labels: LabelSet) -> None:
        self.feature_set: _FeatureSet = settings.feature_set
        super().__init__(settings, labels, _WIDTHS[settings.feature_set])
        self.notes = (f"Its features ({self.feature_set}) are openSMILE's. {LICENCE}",)

    def cache_key(self, *, training: bool) -> str:
        """Version and feature set; training and scoring see the same.

        Raises:
            MissingPluginError: openSMILE is not installed.
        """
        return f"opensmile {_version()}|{self.feature_set}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (1, D)``: the functionals of a (T,) waveform.

        Raises:
            MissingPluginError: openSMILE is not installed.
        """
        padded = nn.functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))
        features = _smile(self.feature_set).process_signal(padded.cpu().numpy(), SAMPLE_RATE).to_numpy(np.float32)
        # A functional without a value (a quotient of two zeros) is not told from 0.
        return {"audio": torch.nan_to_num(torch.tensor(features), nan=0.0, posinf=0.0, neginf=0.0)}


def _version() -> str:
    try:
        return metadata.version("opensmile")
    except metadata.PackageNotFoundError as error:
        raise _missing() from error


@cache
def _smile(feature_set: _FeatureSet) -> Any:
    """The extractor of a feature set: it takes 0.2 s to make."""
    try:
        import opensmile
    except ImportError as error:
        raise _missing() from error
    return opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)


def _missing() -> MissingPluginError:
    return MissingPluginError("opensmile", purpose="computing openSMILE functionals", licence=LICENCE)
