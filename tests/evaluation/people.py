"""Made-up utterances for splits and the leak check."""

import random
from pathlib import Path

from serenade.core.records import Utterance

CLASSES = ("angry", "happy", "neutral", "sad")


def say(name: str, speaker: str = "s1", emotion: str | None = "happy", **facts: object) -> Utterance:
    """An utterance with a file of its own."""
    return Utterance(name, Path(f"/data/{name}.wav"), "table", speaker, emotion, duration_s=1.0).with_(**facts)


def crowd(speakers: int, each: int = 8, **facts: object) -> list[Utterance]:
    """Speakers s01, s02, ..., women and men in turn, with utterances in all classes."""
    return [
        say(
            f"s{n:02d}-{k:03d}",
            f"s{n:02d}",
            CLASSES[k % len(CLASSES)],
            gender="female" if n % 2 else "male",
            **facts,
        )
        for n in range(1, speakers + 1)
        for k in range(each)
    ]


def uneven_crowd(seed: int, speakers: int = 12) -> list[Utterance]:
    """Speakers with very different numbers of utterances and shares of classes."""
    rng = random.Random(seed)
    found = []
    for n in range(speakers):
        weights = [rng.random() + 0.05 for _ in CLASSES]
        for k in range(rng.randint(10, 60)):
            emotion = rng.choices(CLASSES, weights)[0]
            found.append(say(f"s{n:02d}-{k:03d}", f"s{n:02d}", emotion))
    return found
