"""Timelines as ELAN annotation files, EAF 3.0 (Max Planck Institute for Psycholinguistics, The Language Archive)."""

import mimetypes
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from serenade import __version__
from serenade.core.timelines import UNCERTAIN, Timeline
from serenade.inference.annotations.lanes import Lane, lanes_of
from serenade.inference.formats import ATTRIBUTES

__all__ = ["to_eaf"]

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_EMOTION, _NUMBER, _VOCABULARY = "emotion", "number", "emotions"
_FORBIDDEN = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])  # XML has no way to write these


def to_eaf(timeline: Timeline) -> bytes:
    """A tier of emotions for each speaker, whose values are a controlled vocabulary, and tiers of numbers beside it."""
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": f"Serenade {__version__}",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _XSI,
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    _header(root, timeline)
    tiers = [tier for lane in lanes_of(timeline) for tier in _tiers(lane)]
    times = sorted({time for _, _, _, marks in tiers for start, end, _ in marks for time in (start, end)})
    order = ElementTree.SubElement(root, "TIME_ORDER")
    slots = {time: f"ts{number}" for number, time in enumerate(times, 1)}
    for time, slot in slots.items():
        ElementTree.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(time)})
    count = 0
    for name, kind, speaker, marks in tiers:
        tier = ElementTree.SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": kind, "TIER_ID": _legal(name)})
        if speaker is not None:
            tier.set("PARTICIPANT", _legal(speaker))
        for start, end, text in marks:
            count += 1
            _annotation(tier, f"a{count}", (slots[start], slots[end]), text)
    _types(root)
    _vocabulary(root, timeline.labels)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


def _header(root: ElementTree.Element, timeline: Timeline) -> None:
    header = ElementTree.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if timeline.file is not None:
        path = Path(timeline.file)
        media = {
            "MEDIA_URL": path.absolute().as_uri(),
            "MIME_TYPE": mimetypes.guess_type(path.name)[0] or "audio/x-wav",
            "RELATIVE_MEDIA_URL": f"./{_legal(path.name)}",
        }
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", media)
    for name in ("model", "temperature", "uncertain_below"):
        if name in timeline.about:
            ElementTree.SubElement(header, "PROPERTY", {"NAME": f"serenade.{name}"}).text = str(timeline.about[name])


_Marked = tuple[int, int, str]


def _tiers(lane: Lane) -> Iterator[tuple[str, str, str | None, list[_Marked]]]:
    marks = lane.marks
    yield lane.named("emotion"), _EMOTION, lane.speaker, [(m.start_ms, m.end_ms, m.text) for m in marks]
    numbers = [(m.start_ms, m.end_ms, f"{m.row.score:.3f}") for m in marks]
    yield lane.named("probability"), _NUMBER, lane.speaker, numbers
    for name in ATTRIBUTES:
        told = [(m, getattr(m.row.attributes, name)) for m in marks if m.row.attributes is not None]
        values = [(m.start_ms, m.end_ms, f"{value:.3f}") for m, value in told if value is not None]
        if values:
            yield lane.named(name), _NUMBER, lane.speaker, values


def _annotation(tier: ElementTree.Element, name: str, slots: tuple[str, str], text: str) -> None:
    holder = ElementTree.SubElement(tier, "ANNOTATION")
    references = {"ANNOTATION_ID": name, "TIME_SLOT_REF1": slots[0], "TIME_SLOT_REF2": slots[1]}
    annotation = ElementTree.SubElement(holder, "ALIGNABLE_ANNOTATION", references)
    ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = _legal(text)


def _types(root: ElementTree.Element) -> None:
    shared = {"GRAPHIC_REFERENCES": "false", "TIME_ALIGNABLE": "true"}
    emotion = {**shared, "LINGUISTIC_TYPE_ID": _EMOTION, "CONTROLLED_VOCABULARY_REF": _VOCABULARY}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", emotion)
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", {**shared, "LINGUISTIC_TYPE_ID": _NUMBER})


def _vocabulary(root: ElementTree.Element, labels: Sequence[str]) -> None:
    """So that a person who corrects an annotation chooses from the classes."""
    language = {"LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001", "LANG_ID": "und", "LANG_LABEL": "undetermined"}
    ElementTree.SubElement(root, "LANGUAGE", language)
    vocabulary = ElementTree.SubElement(root, "CONTROLLED_VOCABULARY", {"CV_ID": _VOCABULARY})
    ElementTree.SubElement(vocabulary, "DESCRIPTION", {"LANG_REF": "und"}).text = "what the model tells apart"
    for number, label in enumerate([*labels, UNCERTAIN], 1):
        entry = ElementTree.SubElement(vocabulary, "CV_ENTRY_ML", {"CVE_ID": f"cve{number}"})
        ElementTree.SubElement(entry, "CVE_VALUE", {"DESCRIPTION": "", "LANG_REF": "und"}).text = _legal(label)


def _legal(text: str) -> str:
    """Text that XML can hold."""
    return text.translate(_FORBIDDEN).encode("utf-8", errors="replace").decode()
