"""Choosing a face detector by name."""

import sys
from pathlib import Path

import pytest
import torch

from serenade.core.errors import MissingExtraError, MissingWeightsError, UsageError
from serenade.models.faces import detectors
from serenade.models.faces.detectors import open_detector
from serenade.models.faces.mtcnn import Mtcnn


def test_the_cascade_stands_in_where_there_are_no_weights(monkeypatch):
    pytest.importorskip("cv2", reason="needs the extra faces")
    monkeypatch.setattr(detectors, "mtcnn_weights", lambda: None)
    assert open_detector().name == open_detector("cascade").name


def test_mtcnn_comes_first(monkeypatch):
    opened = Mtcnn()
    monkeypatch.setattr(detectors, "open_mtcnn", lambda: opened)
    monkeypatch.setattr(detectors, "mtcnn_weights", lambda: Path())
    assert open_detector() is opened
    assert open_detector("mtcnn") is opened


def test_where_nothing_is_installed_both_ways_are_told(monkeypatch):
    monkeypatch.setattr(detectors, "mtcnn_weights", lambda: None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingWeightsError, match=r"facenet-pytorch.*serenade\[faces\]"):
        open_detector()
    with pytest.raises(MissingExtraError, match="cv2"):
        open_detector("cascade")


def test_mtcnn_goes_to_the_device_and_the_cascade_does_not(monkeypatch):
    monkeypatch.setattr(detectors, "open_mtcnn", Mtcnn)
    monkeypatch.setattr(detectors, "choose_device", torch.device)
    opened = open_detector("mtcnn", "meta")
    assert isinstance(opened, Mtcnn)
    assert {parameter.device.type for parameter in opened.parameters()} == {"meta"}
    with pytest.raises(UsageError, match="processor only"):
        open_detector("cascade", "cuda")
