"""Media as a browser records them."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest


def webm(samples: np.ndarray[Any, Any], cluster_ms: int = 100) -> bytes:
    """Opus in WebM, in clusters that are complete at once, as MediaRecorder writes them; samples at 48 kHz."""
    av = pytest.importorskip("av", reason="needs the extra media")
    file = BytesIO()
    with av.open(file, "w", format="webm", options={"live": "1", "cluster_time_limit": str(cluster_ms)}) as container:
        track = container.add_stream("libopus", rate=48_000)
        track.layout = "mono"
        for start in range(0, len(samples), 960):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], format="flt", layout="mono")
            frame.rate, frame.pts = 48_000, start
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return file.getvalue()
