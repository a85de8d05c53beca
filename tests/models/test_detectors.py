"""Choosing a face detector by name."""

import sys
from pathlib import Path

import pytest

from serenade.core.errors import MissingExtraError, MissingWeightsError
from serenade.models.faces import detectors
from serenade.models.faces.detectors import open_detector


def test_the_cascade_stands_in_where_there_are_no_weights(monkeypatch):
    pytest.importorskip("cv2", reason="needs the extra faces")
    monkeypatch.setattr(detectors, "mtcnn_weights", lambda: None)
    assert open_detector().name == open_detector("cascade").name


def test_mtcnn_comes_first(monkeypatch):
    opened = object()
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
