"""Seeds for independent streams of one run, derived so that a resumed run draws what an unbroken one would."""

import hashlib
import json

__all__ = ["derive_seed"]


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2**63) for one purpose of a run, such as ``derive_seed(0, "epoch", 3)``."""
    text = json.dumps([seed, *purpose])  # keeps ("a", "b") and ("a/b",) apart
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
