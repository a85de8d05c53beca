"""Which face is meant, how it is cut, and the light detector."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from serenade.core.errors import MissingExtraError, VideoError
from serenade.signal.cascade import Cascade, CascadeSettings
from serenade.signal.face_files import read_faces, write_faces
from serenade.signal.faces import (
    FaceBox,
    FaceSettings,
    crop_face,
    crop_faces,
    fallback_crop,
    follow_face,
    largest_face,
    no_faces,
    normalise_faces,
    overlap,
)
from serenade.signal.video import Picture


class Told:
    """A detector that is told what to find, picture by picture."""

    name = "told"

    def __init__(self, *answers: list[FaceBox]) -> None:
        self.answers = list(answers)

    def find(self, pixels):
        return self.answers.pop(0)


def pictures(count: int, height: int = 100, width: int = 120) -> list[Picture]:
    rng = np.random.default_rng(3)
    return [Picture(k / 2, rng.integers(0, 255, (height, width, 3), dtype=np.uint8)) for k in range(count)]


def box(left: float, top: float, size: float) -> FaceBox:
    return FaceBox(left, top, left + size, top + size)


def test_the_crop_is_the_mean_of_the_pixels_it_covers():
    pixels = pictures(1)[0].pixels
    crop = crop_face(pixels, FaceBox(10, 20, 56, 66), FaceSettings(size=48))
    # 46 pixels grow by 2 * 46 / 46: a square of 48 from (9, 19), not scaled at all
    assert torch.equal(crop, torch.from_numpy(pixels[19:67, 9:57].copy()).permute(2, 0, 1))
    halved = crop_face(pixels, FaceBox(2, 2, 94, 94), FaceSettings(size=48))  # 96 pixels from (0, 0)
    expected = pixels[:96, :96].astype(float).reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved.permute(1, 2, 0).numpy() - expected).max() <= 0.5


def test_a_face_at_the_border_is_cut_there():
    pixels = pictures(1)[0].pixels
    crop = crop_face(pixels, FaceBox(-30, -30, 40, 40), FaceSettings(size=48, margin=0))
    inside = crop_face(pixels, FaceBox(0, 0, 40, 40), FaceSettings(size=48, margin=0))
    assert torch.equal(crop, inside)


def test_without_a_face_the_true_middle_is_taken():
    pixels = np.zeros((100, 200, 3), dtype=np.uint8)
    pixels[50, 100] = 255
    crop = fallback_crop(pixels, FaceSettings())
    assert crop.shape == (3, 48, 48)
    assert crop[0].argmax() == 24 * 48 + 24
    # rows from (100 - 48) // 2, columns 24 further left
    released = fallback_crop(pixels, FaceSettings(released_crop=True))
    assert torch.equal(released, torch.from_numpy(pixels[26:74, 2:50].copy()).permute(2, 0, 1))


def test_pictures_without_a_face_are_marked_or_left_out():
    answers = [box(10, 10, 50)], [], [box(20, 20, 30), box(5, 5, 60)]
    crops = crop_faces(pictures(3), Told(*answers))
    assert crops.found.tolist() == [True, False, True]
    assert crops.boxes[2, :4].tolist() == [5, 5, 65, 65]
    assert crops.times_s.tolist() == [0, 0.5, 1]
    fewer = crop_faces(pictures(3), Told(*answers), FaceSettings(without_face="leave_out"))
    assert fewer.times_s.tolist() == [0, 1]
    assert (fewer.pictures, len(fewer.pixels)) == (3, 2)
    none = crop_faces(pictures(2), Told([], []), FaceSettings(without_face="leave_out"))
    assert none.pixels.shape == (0, 3, 48, 48)


def test_boxes_outside_the_picture_are_no_faces():
    crops = crop_faces(pictures(1), Told([box(-50, 0, 40), box(500, 0, 40)]))
    assert not crops.found.any()


def test_the_largest_face_may_jump_and_the_tracked_one_stays():
    here, there = [box(10 + k, 10, 40) for k in range(4)], [box(70, 50, size) for size in (20, 60, 20, 20)]
    found = [[there[0], here[0]], [there[1], here[1]], [here[2]], [here[3], there[3]]]
    assert [largest_face(boxes) for boxes in found] == [1, 0, 0, 0]
    assert follow_face(found) == [1, 1, 0, 0]
    assert follow_face([[here[0]], [], [here[2]]]) == [0, None, 0]
    assert follow_face([[], []]) == [None, None]
    assert largest_face([]) is None


def test_overlap_is_intersection_over_union():
    assert overlap(FaceBox(0, 0, 2, 2), FaceBox(1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap(FaceBox(0, 0, 2, 2), FaceBox(2, 0, 3, 2)) == 0
    assert overlap(FaceBox(0, 0, 2, 2), FaceBox(0, 0, 2, 2)) == 1


def test_channels_are_normalised_by_the_published_means():
    pixels = torch.tensor([159, 111, 102], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 2, 2)
    assert normalise_faces(pixels).abs().max() == 0
    assert normalise_faces(torch.full((1, 3, 1, 1), 255))[0, :, 0, 0].tolist() == pytest.approx(
        [96 / 37, 144 / 33, 153 / 32]
    )


def test_faces_come_back_from_their_file(tmp_path):
    crops = crop_faces(pictures(3), Told([box(1, 1, 50)], [], [box(3, 3, 50)]))
    write_faces(tmp_path / "a.safetensors", crops)
    copy = read_faces(tmp_path / "a.safetensors")
    assert torch.equal(copy.pixels, crops.pixels)
    assert torch.equal(copy.boxes.nan_to_num(-1), crops.boxes.nan_to_num(-1))
    assert copy.pictures == 3
    write_faces(tmp_path / "none.safetensors", no_faces(FaceSettings()))
    assert len(read_faces(tmp_path / "none.safetensors").pixels) == 0
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(VideoError, match="cannot be read"):
        read_faces(tmp_path / "a.safetensors")
    with pytest.raises(VideoError, match="not there"):
        read_faces(tmp_path / "b.safetensors")


def test_the_cascade_finds_the_face_of_a_real_clip_and_none_in_grey(real_clip: Path):
    pytest.importorskip("cv2", reason="needs the extra faces")
    from serenade.core.records import Video
    from serenade.signal.video import sample_frames

    cascade = Cascade()
    pixels = next(iter(sample_frames(Video(real_clip)))).pixels
    (face,) = cascade.find(pixels)
    assert overlap(face, FaceBox(488, 112, 796, 541)) > 0.6  # eyes, nose and mouth
    assert cascade.find(np.full((200, 200, 3), 128, dtype=np.uint8)) == []
    assert cascade.name != Cascade(CascadeSettings(factor=1.2)).name


def test_the_error_names_the_extra_of_the_cascade(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"serenade\[faces\]"):
        Cascade()
