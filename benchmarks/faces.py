"""What it costs to find faces: CPU time of one processor per picture, and the memory of a whole clip.

    python benchmarks/faces.py CLIP [--pictures 8] [--seconds 60]

CLIP is a video with a face, such as a clip of RAVDESS. Each detector looks at its first pictures several times over,
and the best pass counts: the machine may be shared. Decoding is the time from one picture to the next, 500 ms apart.
The memory is the largest that this process had after it read a clip of SECONDS, made by playing CLIP again and again.

Last results (2026-11-21, torch 2.13.0, one core of an AMD EPYC with AVX-512, load 11, the clip of RAVDESS):

    7 pictures of 1280 x 720, CPU seconds per picture
    decoding  0.056
    mtcnn     0.193  a face in 7 of 7
    cascade   0.049  a face in 7 of 7
    60 s of video, 120 pictures: 421 MB at most
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch

from serenade.core.records import Video
from serenade.models.faces.detectors import DetectorName, open_detector
from serenade.signal.faces import crop_faces
from serenade.signal.video import Picture, sample_frames

_PASSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    video = Video(options.clip)
    pictures = list(islice(sample_frames(video), options.pictures))
    height, width = pictures[0].pixels.shape[:2]
    print(f"{len(pictures)} pictures of {width} x {height}, CPU seconds per picture")
    print(f"decoding  {_best(lambda: sum(1 for _ in sample_frames(video))) / sum(1 for _ in sample_frames(video)):.3f}")
    for name in ("mtcnn", "cascade"):
        _look(name, pictures)
    _long_clip(video, options.seconds)


def _look(name: DetectorName, pictures: list[Picture]) -> None:
    detector = open_detector(name)
    seconds = _best(lambda: [detector.find(picture.pixels) for picture in pictures]) / len(pictures)
    found = int(crop_faces(pictures, detector).found.sum())
    print(f"{name:<8}  {seconds:.3f}  a face in {found} of {len(pictures)}")


def _long_clip(video: Video, seconds: int) -> None:
    def again() -> Iterator[Picture]:
        wanted = 2 * seconds
        while wanted > 0:
            for picture in islice(sample_frames(video), wanted):
                wanted -= 1
                yield picture

    crops = crop_faces(again(), open_detector())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds} s of video, {crops.pictures} pictures: {peak:.0f} MB at most")


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_PASSES):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


if __name__ == "__main__":
    main()
