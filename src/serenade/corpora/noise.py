"""Recordings of noise, to be mixed with speech at a chosen level: DEMAND, or any folder.

Noise is no speech and nobody speaks in it, but it has to be split as honestly: a system that is tested in a kitchen
must not have been trained in the same kitchen. So a recording of noise is an `Utterance` too, with

* ``emotion`` None: training and testing leave it out by themselves;
* ``extra["environment"]`` where or what it is: ``DKITCHEN``, ``001 - Dog bark``. Mixing chooses by this;
* ``speaker`` the environment again, so that every split by speaker keeps environments apart.

DEMAND (Diverse Environments Multichannel Acoustic Noise Database, 2013): 18 environments, recorded by 16 microphones at
once, five minutes each. ``extra`` has the ``channel`` (01 to 16) and the ``place`` that the first letter tells
(domestic, nature, office, public, street, transport). Its channels are one take: the environment is the group. The
archives ``<ENV>_16k.zip`` and ``<ENV>_48k.zip`` unpack to ``<ENV>/``, so these all open: ``<ENV>/ch01.wav``,
``<ENV>_16k/ch01.wav``, ``<ENV>_16k/<ENV>/ch01.wav``, and the same with 48k. The rate is read from the file, never from
the name. Of two copies of a channel the one at 16 kHz by its folder is used. SCAFE was never published at 16 kHz.
Its metadata say CC BY 4.0, its text CC BY-SA 3.0; the stricter is named here.

In any other folder the environment is the name of the folder in which a recording lies.

Citation: J. Thiemann, N. Ito, E. Vincent, "The Diverse Environments Multi-channel Acoustic Noise Database", ICA 2013.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, is_sound, require_root, walk_files

__all__ = ["CORPUS", "DEMAND_ENVIRONMENTS", "list_files"]

DEMAND_ENVIRONMENTS = (
    *("DKITCHEN", "DLIVING", "DWASHING", "NFIELD", "NPARK", "NRIVER", "OHALLWAY", "OMEETING", "OOFFICE"),
    *("PCAFETER", "PRESTO", "PSTATION", "SCAFE", "SPSQUARE", "STRAFFIC", "TBUS", "TCAR", "TMETRO"),
)
"""The environments of DEMAND; the first letter tells the kind of place."""

_PLACES = {"D": "domestic", "N": "nature", "O": "office", "P": "public", "S": "street", "T": "transport"}
_CHANNELS = tuple(f"{number:02d}" for number in range(1, 17))
_CHANNEL = re.compile(r"ch(?P<channel>0[1-9]|1[0-6])", re.IGNORECASE)
_ENVIRONMENT = re.compile(rf"(?P<environment>{'|'.join(DEMAND_ENVIRONMENTS)})(?P<rate>_16k|_48k)?", re.IGNORECASE)
_PREFERENCE = {"_16k": 0, "": 1, "_48k": 2}


def list_files(root: Path) -> Listing:
    """Every recording of noise below ``root``, by name alone.

    Raises:
        CorpusError: there is no folder, or no sound in it.
    """
    # Sound lies near every folder: no neighbour is looked at.
    require_root(root, lambda path: path == root and _has_sound(path), title=CORPUS.title, expected=CORPUS.layout)
    base = root.absolute()
    files = sorted(walk_files(root), key=lambda path: (_preference(base, path), path))
    # An environment may be given by itself; its name is then the root's.
    listing = gather(root, files, lambda path, where: _read_name(base, path, where))
    left_out = sorted((*listing.left_out, *_absent(listing.utterances)), key=lambda item: item.where)
    return Listing(listing.utterances, tuple(left_out))


def _has_sound(folder: Path) -> bool:
    return any(is_sound(path) for path in walk_files(folder))


def _folders(base: Path, path: Path) -> list[str]:
    """The folders that a recording lies in, the nearest first, up to the root."""
    inside = path.absolute().relative_to(base).parts[:-1]
    return [*reversed(inside), base.name]


def _demand(base: Path, path: Path) -> tuple[str, str, str] | None:
    """Environment, channel and rate (``_16k``, ``_48k`` or nothing) of a recording of DEMAND."""
    channel = _CHANNEL.fullmatch(path.stem)
    found = [_ENVIRONMENT.fullmatch(name) for name in _folders(base, path)[:2]]
    named = [match for match in found if match is not None]
    if channel is None or not found or found[0] is None:
        return None
    rates = [match["rate"].lower() for match in named if match["rate"]]
    return found[0]["environment"].upper(), channel["channel"], rates[0] if rates else ""


def _preference(base: Path, path: Path) -> int:
    demand = _demand(base, path)
    return 0 if demand is None else _PREFERENCE[demand[2]]


def _read_name(base: Path, path: Path, where: str) -> Utterance | LeftOut:
    if not is_sound(path):
        return LeftOut(where, "other material", "not a sound file")
    demand = _demand(base, path)
    if demand is None:
        environment = _folders(base, path)[0]
        return _noise(where, path, environment, None, {"environment": environment})
    environment, channel, _ = demand
    facts = {"environment": environment, "channel": channel, "place": _PLACES[environment[0]]}
    return _noise(f"{environment}/ch{channel}", path, environment, environment, facts)


def _noise(name: str, path: Path, environment: str, group: str | None, facts: dict[str, str]) -> Utterance:
    return Utterance(name, path, "noise", environment, None, group=group, extra=facts)


def _absent(utterances: Iterable[Utterance]) -> Iterator[LeftOut]:
    """Channels that an environment of DEMAND lacks: it was unpacked halfway."""
    present: dict[str, set[str]] = {}
    for utterance in utterances:
        if "channel" in utterance.extra:
            present.setdefault(utterance.speaker, set()).add(utterance.extra["channel"])
    for environment, channels in sorted(present.items()):
        absent = [channel for channel in _CHANNELS if channel not in channels]
        if absent:
            yield LeftOut(environment, "missing", f"{len(absent)} of 16 channels: {', '.join(absent)}")


CORPUS = Corpus(
    name="noise",
    title="noise",
    language=None,
    licence="DEMAND: CC BY-SA 3.0 (its metadata say CC BY 4.0); other folders: yours to know",
    citation=(
        "J. Thiemann, N. Ito, E. Vincent: The Diverse Environments Multi-channel Acoustic Noise Database. ICA 2013."
    ),
    homepage="https://zenodo.org/record/1227121",
    commercial_use=None,
    list_files=list_files,
    layout="DEMAND's folders such as DKITCHEN/ch01.wav, or any folder of noise, one folder per environment",
    notes="No speech: to be mixed with a corpus. The environment stands where other corpora have the speaker.",
)
