"""The face detector, against the code that its weights were published with."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from serenade.core.errors import CheckpointError, MissingWeightsError
from serenade.core.records import Video
from serenade.models.faces import mtcnn
from serenade.models.faces.mtcnn import Mtcnn, MtcnnSettings, mtcnn_weights, open_mtcnn
from serenade.signal.faces import FaceBox, overlap
from serenade.signal.video import sample_frames

ASTRONAUT = (181.05, 62.16, 267.75, 172.05)


@pytest.fixture(scope="module")
def detector() -> Mtcnn:
    if mtcnn_weights() is None:
        pytest.skip("needs the weights: pip install --no-deps facenet-pytorch==2.6.0")
    return open_mtcnn()


def frames(clip: Path) -> list[np.ndarray]:
    return [picture.pixels for picture in sample_frames(Video(clip))]


def test_the_published_test_picture_has_the_published_box(detector):
    data = pytest.importorskip("skimage.data", reason="needs the astronaut of scikit-image")
    (face,) = detector.find(data.astronaut())
    assert (face.left, face.top, face.right, face.bottom) == pytest.approx(ASTRONAUT, abs=0.01)
    assert face.probability == pytest.approx(0.999998, abs=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same_box():
    data = pytest.importorskip("skimage.data", reason="needs the astronaut of scikit-image")
    if mtcnn_weights() is None:
        pytest.skip("needs the weights: pip install --no-deps facenet-pytorch==2.6.0")
    (face,) = open_mtcnn().to("cuda").find(data.astronaut())
    assert (face.left, face.top, face.right, face.bottom) == pytest.approx(ASTRONAUT, abs=1.0)


def plain_nms(boxes, scores, groups, most):
    """What torchvision does, box by box; torchvision itself does not run here."""
    kept = []
    for number in scores.argsort(descending=True).tolist():
        one = FaceBox(*boxes[number].tolist())
        if all(groups[k] != groups[number] or overlap(one, FaceBox(*boxes[k].tolist())) <= most for k in kept):
            kept.append(number)
    return torch.tensor(kept, dtype=torch.int64)


@pytest.fixture
def published(monkeypatch) -> ModuleType:
    """The module of the wheel, with stand-ins for what it imports and does not need here."""
    folder = mtcnn_weights()
    if folder is None:
        pytest.skip("needs the weights: pip install --no-deps facenet-pytorch==2.6.0")
    for name in ("torchvision", "torchvision.transforms", "torchvision.ops", "torchvision.ops.boxes"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["torchvision.transforms"].functional = None
    sys.modules["torchvision.ops.boxes"].batched_nms = plain_nms
    for name, place in (("facenet_pytorch", folder.parent), ("facenet_pytorch.models", folder.parent / "models")):
        package = ModuleType(name)
        package.__path__ = [str(place)]
        monkeypatch.setitem(sys.modules, name, package)
    before = set(sys.modules)
    yield import_module("facenet_pytorch.models.mtcnn")
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_boxes_are_those_of_the_published_program(detector, published, real_clip):
    nets = [published.PNet(), published.RNet(), published.ONet()]
    rng = np.random.default_rng(0)
    pixels = frames(real_clip)[0][::3, ::3]
    crowd = np.concatenate([pixels, pixels[:, ::-1]], axis=1)  # two faces
    noisy = np.clip(crowd + rng.normal(0, 20, crowd.shape), 0, 255).astype(np.uint8)
    for picture in (crowd, noisy):
        detect = sys.modules["facenet_pytorch.models.utils.detect_face"].detect_face
        with torch.no_grad():
            expected, _ = detect(picture, 20, *nets, [0.6, 0.7, 0.7], 0.709, "cpu")
        found = np.array([[f.left, f.top, f.right, f.bottom, f.probability] for f in detector.find(picture)])
        order = np.argsort(-np.asarray(expected[0])[:, 4])
        assert found.shape == (2, 5)
        assert np.abs(found - np.asarray(expected[0])[order]).max() < 0.01


def test_a_picture_without_a_face_has_none(detector):
    assert detector.find(np.full((120, 160, 3), 127, dtype=np.uint8)) == []
    assert detector.find(np.full((8, 8, 3), 127, dtype=np.uint8)) == []


def test_faces_below_the_least_size_are_not_sought(detector, real_clip):
    small = frames(real_clip)[0][::16, ::16]  # a face of 20 to 27 pixels
    eager, content = (open_mtcnn(settings=MtcnnSettings(least_face=size)) for size in (12, 60))
    assert len(eager.find(small)) == 1
    assert content.find(small) == []
    assert eager.name != content.name


def test_networks_have_the_published_sizes():
    networks = Mtcnn()
    counts = [sum(p.numel() for p in part.parameters()) for part in networks.children()]
    assert counts == [6_632, 100_178, 389_040]
    probabilities, offsets = networks.proposal(torch.zeros(1, 3, 30, 40))
    assert (probabilities.shape, offsets.shape) == ((1, 10, 15), (1, 4, 10, 15))


def test_no_weights_and_wrong_weights_are_told(monkeypatch, tmp_path):
    with pytest.raises(CheckpointError, match="face detector"):
        open_mtcnn(tmp_path)
    (tmp_path / "pnet.pt").write_bytes(b"none")
    with pytest.raises(CheckpointError, match=r"pnet\.pt"):
        open_mtcnn(tmp_path)
    monkeypatch.setattr(mtcnn, "find_spec", lambda name: None)
    assert mtcnn_weights() is None
    with pytest.raises(MissingWeightsError, match="pip install --no-deps facenet-pytorch"):
        open_mtcnn()


def test_the_wheel_is_found_without_being_imported():
    mtcnn_weights()
    assert "facenet_pytorch" not in sys.modules
