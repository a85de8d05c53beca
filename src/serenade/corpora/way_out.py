"""What to do where a corpus does not lie: which corpus lies there in its place, or where to get the one asked for."""

from collections.abc import Iterable
from pathlib import Path

from serenade.corpora.corpus import Corpus
from serenade.corpora.sources import SOURCES

__all__ = ["way_out"]


def way_out(corpus: Corpus, root: Path, corpora: Iterable[Corpus]) -> str | None:
    """A hint for somebody who gave a folder in which a corpus does not lie.

    Args:
        corpus: what was asked for.
        root: what was given.
        corpora: all that are known.
    """
    there = next((other for other in corpora if _lies_in(other, root)), None) if root.is_dir() else None
    if there is not None:
        return f"It looks like {there.title}: serenade corpus check {there.name} {root}"
    if corpus.name == "prepared":
        return "To make it: serenade corpus prepare NAME=PATH --out FOLDER"
    if corpus.name in SOURCES and SOURCES[corpus.name].archives:
        return f"To get it: serenade corpus fetch {corpus.name}"
    if not corpus.homepage:
        return None
    return f"See {corpus.homepage}" if corpus.language is None else f"To get it, see {corpus.homepage}"


def _lies_in(corpus: Corpus, root: Path) -> bool:
    try:
        return corpus.looks_right is not None and corpus.looks_right(root)
    except OSError:  # a folder that may not be entered
        return False
