"""A recording as one vector: statistics of a front end's bands, and the functionals of openSMILE.

F. Eyben, M. Woellmer, B. Schuller, "openSMILE", ACM Multimedia 2010, doi 10.1145/1873951.1874246.

openSMILE is a package that the user installs: its licence permits research and other non-commercial use only.
"""

from functools import cache
from importlib import metadata
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from serenade.core.errors import MissingPluginError
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.features import FrontEnd

__all__ = [
    "OPENSMILE_LICENCE",
    "QUANTILES",
    "STATISTICS",
    "FeatureSet",
    "opensmile_functionals",
    "opensmile_version",
    "opensmile_width",
    "recording_statistics",
    "statistics_of_batch",
    "statistics_over_time",
]

FeatureSet = Literal["eGeMAPSv02", "ComParE_2016"]

OPENSMILE_LICENCE = (
    "openSMILE's licence (audEERING) permits research and other non-commercial use only, also of the features and "
    "models made with it."
)
_WIDTHS: dict[FeatureSet, int] = {"eGeMAPSv02": 88, "ComParE_2016": 6373}
_OPENSMILE_SAMPLES = 960  # its longest window, 60 ms; it has no features of less, so zeros are put behind
_STATISTICS_SAMPLES = 2048  # a shorter waveform is padded with zeros to a whole analysis window
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

STATISTICS = 5 + len(QUANTILES)
"""How many statistics of each band `statistics_over_time` gives."""


def recording_statistics(front_end: FrontEnd, waveform: Tensor) -> Tensor:
    """(10 F,) statistics over time of each band that a front end makes of a (T,) waveform, T at least 1."""
    padded = nn.functional.pad(waveform, (0, max(0, _STATISTICS_SAMPLES - len(waveform))))
    return statistics_over_time(front_end(padded.unsqueeze(0))[0])


def statistics_over_time(bands: Tensor) -> Tensor:
    """Ten statistics of each band.

    Args:
        bands: (F, L) frames of a recording, L at least 1.

    Returns:
        (10 F,): means, deviations, minima, maxima, deviations of the differences of neighbouring frames (0 for a single
        frame), and five quantiles.
    """
    levels = torch.tensor(QUANTILES, device=bands.device)
    steps = bands.diff(dim=1) if bands.shape[1] > 1 else torch.zeros_like(bands)
    return torch.cat(
        [
            bands.mean(dim=1),
            bands.std(dim=1, correction=0),
            bands.amin(dim=1),
            bands.amax(dim=1),
            steps.std(dim=1, correction=0),
            torch.quantile(bands, levels, dim=1).flatten(),
        ]
    )


def statistics_of_batch(front_end: FrontEnd, waveforms: Tensor) -> Tensor:
    """(B, 10 F) `recording_statistics` of (B, T) by operations that `torch.export` and other engines have.

    Args:
        front_end: exportable.
        waveforms: none of it padding; T may be a symbol.
    """
    most: Any = torch.sym_max  # untyped in torch
    samples = waveforms.shape[1]
    filled = nn.functional.pad(waveforms, (0, _STATISTICS_SAMPLES))[:, : most(samples, _STATISTICS_SAMPLES)]
    bands = front_end(filled)  # (B, F, L)
    ordered = bands.sort(dim=2).values
    places = torch.tensor(QUANTILES) * (bands.shape[2] - 1)
    below = places.floor()
    low, high = ordered[:, :, below.long()], ordered[:, :, places.ceil().long()]
    quantiles = low + (places - below)[None, None] * (high - low)  # (B, F, Q)
    steps = bands[:, :, 1:] - bands[:, :, :-1]
    parts = [bands.mean(2), _deviation(bands), ordered[:, :, 0], ordered[:, :, -1], _deviation(steps)]
    return torch.cat([*parts, quantiles.transpose(1, 2).flatten(1)], dim=1)


def _deviation(values: Tensor) -> Tensor:
    return (values - values.mean(2, keepdim=True)).square().mean(2).sqrt()


def opensmile_functionals(waveform: Tensor, feature_set: FeatureSet) -> Tensor:
    """(D,) functionals of a (T,) waveform at 16 kHz; those without a value (a quotient of two zeros) are 0.

    Raises:
        MissingPluginError: openSMILE is not installed.
    """
    padded = nn.functional.pad(waveform, (0, max(0, _OPENSMILE_SAMPLES - len(waveform))))
    features = _smile(feature_set).process_signal(padded.cpu().numpy(), SAMPLE_RATE).to_numpy(np.float32)[0]
    return torch.nan_to_num(torch.tensor(features), nan=0.0, posinf=0.0, neginf=0.0)


def opensmile_width(feature_set: FeatureSet) -> int:
    """D, functionals of a set."""
    return _WIDTHS[feature_set]


def opensmile_version() -> str:
    """Version of the installed openSMILE.

    Raises:
        MissingPluginError: openSMILE is not installed.
    """
    try:
        return metadata.version("opensmile")
    except metadata.PackageNotFoundError as error:
        raise _missing() from error


@cache
def _smile(feature_set: FeatureSet) -> Any:
    """The extractor of a feature set: it takes 0.2 s to make."""
    try:
        import opensmile
    except ImportError as error:
        raise _missing() from error
    return opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)


def _missing() -> MissingPluginError:
    return MissingPluginError("opensmile", purpose="computing openSMILE functionals", licence=OPENSMILE_LICENCE)
