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

from torch import Tensor

from serenade.core.labels import LabelSet
from serenade.signal.functionals import (
    OPENSMILE_LICENCE,
    FeatureSet,
    opensmile_functionals,
    opensmile_version,
    opensmile_width,
)
from serenade.training.one_vector import OneVectorSettings, OneVectorSystem

__all__ = ["FunctionalsSettings", "FunctionalsSystem"]


class FunctionalsSettings(OneVectorSettings):
    """Settings of openSMILE functionals with a classifier."""

    feature_set: FeatureSet = "eGeMAPSv02"


class FunctionalsSystem(OneVectorSystem):
    """Functionals and a classifier as the training loop and the recogniser see them.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings_class = FunctionalsSettings

    def __init__(self, settings: FunctionalsSettings, labels: LabelSet) -> None:
        self.feature_set: FeatureSet = settings.feature_set
        super().__init__(settings, labels, opensmile_width(settings.feature_set))
        self.notes = (f"Its features ({self.feature_set}) are openSMILE's. {OPENSMILE_LICENCE}",)

    def cache_key(self, *, training: bool) -> str:
        """Version and feature set; training and scoring see the same.

        Raises:
            MissingPluginError: openSMILE is not installed.
        """
        return f"opensmile {opensmile_version()}|{self.feature_set}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (1, D)``: the functionals of a (T,) waveform.

        Raises:
            MissingPluginError: openSMILE is not installed.
        """
        return {"audio": opensmile_functionals(waveform, self.feature_set).unsqueeze(0)}
