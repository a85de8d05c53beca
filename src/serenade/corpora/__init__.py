"""One file per corpus, `table` for the user's own data, `synthetic` for generated voices, and their validation.

A corpus is read where it lies and never modified. ``read_corpus`` gives the utterances that can be used, sorted by id,
and everything that was left out, with the reason.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from serenade.core.errors import CorpusError
from serenade.core.names import NameTable
from serenade.core.records import Listing
from serenade.corpora.corpus import Corpus, Examine
from serenade.corpora.selection import Selection

if TYPE_CHECKING:
    from serenade.core.stored_listing import StoredListing

__all__ = ["CORPORA", "Corpus", "Selection", "read_corpus", "store_corpus"]

CORPORA: NameTable[Corpus] = NameTable(
    "corpus",
    [
        ("emodb", "serenade.corpora.emodb:CORPUS"),
        ("ravdess", "serenade.corpora.ravdess:CORPUS"),
        ("nemo", "serenade.corpora.nemo:CORPUS"),
        ("turevdb", "serenade.corpora.turevdb:CORPUS"),
        ("emotiontts-ko", "serenade.corpora.emotiontts_ko:CORPUS"),
        ("cremad", "serenade.corpora.cremad:CORPUS"),
        ("savee", "serenade.corpora.savee:CORPUS"),
        ("tess", "serenade.corpora.tess:CORPUS"),
        ("emovo", "serenade.corpora.emovo:CORPUS"),
        ("urdu", "serenade.corpora.urdu:CORPUS"),
        ("shemo", "serenade.corpora.shemo:CORPUS"),
        ("aesdd", "serenade.corpora.aesdd:CORPUS"),
        ("cafe", "serenade.corpora.cafe:CORPUS"),
        ("iemocap", "serenade.corpora.iemocap:CORPUS"),
        ("msp-improv", "serenade.corpora.msp_improv:CORPUS"),
        ("librispeech", "serenade.corpora.librispeech:CORPUS"),
        ("unlabelled", "serenade.corpora.unlabelled:CORPUS"),
        ("noise", "serenade.corpora.noise:CORPUS"),
        ("audformat", "serenade.corpora.audformat:CORPUS"),
        ("lhotse", "serenade.corpora.lhotse:CORPUS"),
        ("kaldi", "serenade.corpora.kaldi:CORPUS"),
        ("audiofolder", "serenade.corpora.audiofolder:CORPUS"),
        ("emobox", "serenade.corpora.emobox:CORPUS"),
        ("msp-podcast", "serenade.corpora.msp_podcast:CORPUS"),
        ("meld", "serenade.corpora.meld:CORPUS"),
        ("cmu-mosei", "serenade.corpora.cmu_mosei:CORPUS"),
        ("prepared", "serenade.corpora.prepared:CORPUS"),
        ("table", "serenade.corpora.table:CORPUS"),
        ("synthetic", "serenade.corpora.synthetic:CORPUS"),
        ("synthetic-av", "serenade.corpora.synthetic_av:CORPUS"),
    ],
)


def read_corpus(
    name: str,
    root: Path,
    *,
    examine: Examine | None,
    selection: Selection | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    soundless: bool = False,
) -> Listing:
    """The usable utterances of a corpus, and what was left out and why.

    Args:
        name: a name of `CORPORA`.
        root: where the corpus lies, as its page says.
        examine: decodes one recording: `serenade.signal.audio.examine`; None lists names and labels and opens nothing.
        selection: which utterances are asked for; None keeps everything, also unlabelled speech.
        progress: called with the number of recordings examined so far and in all.
        workers: threads that decode; None takes what the process may use.
        soundless: whether utterances without usable sound stay where they have a picture or words, as `NO_RECORDING`.

    Raises:
        UnknownNameError: there is no such corpus.
        CorpusError: the corpus does not lie there, or its table cannot be read.
        UsageError: the selection names a class, fact or value that the corpus does not have.
    """
    from serenade.corpora.selection import select
    from serenade.corpora.validation import validate

    corpus = CORPORA.resolve(name)
    with _reading(corpus, root):
        listing = _lister(corpus, examine)(root)
    if selection is not None:
        listing = select(listing, selection, root)
    if examine is None:
        return listing
    return validate(listing, examine=examine, root=root, progress=progress, workers=workers, soundless=soundless)


def store_corpus(
    name: str,
    root: Path,
    *,
    examine: Examine | None,
    selection: Selection | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> "StoredListing":
    """The same as `read_corpus` in a temporary file: for counting and comparing utterances, of which there may be many.

    Memory does not grow with the rows of a table; of other corpora the files are listed in memory first. The listing
    must be closed. Arguments and errors are those of `read_corpus`.
    """
    from serenade.core.stored_listing import StoredListing
    from serenade.corpora.selection import select_stored
    from serenade.corpora.validation import validate_stored

    corpus = CORPORA.resolve(name)
    listing = StoredListing()
    try:
        with _reading(corpus, root):
            _store(corpus, root, listing, examine)
        if selection not in (None, Selection()):
            listing = listing.replaced(select_stored(listing, selection, root))
        if examine is not None:
            validated = validate_stored(listing, examine=examine, root=root, progress=progress, workers=workers)
            listing = listing.replaced(validated)
    except BaseException:
        listing.close()
        raise
    return listing


def _store(corpus: Corpus, root: Path, into: "StoredListing", examine: Examine | None) -> None:
    if corpus.store is not None:
        corpus.store(root, into, recordings_needed=examine is not None)
        return
    found = _lister(corpus, examine)(root)
    into.add(found.left_out)
    into.add(found.utterances)


@contextmanager
def _reading(corpus: Corpus, root: Path) -> Iterator[None]:
    """Says of a corpus that does not lie where it is looked for where else it may lie."""
    from serenade.corpora.collector import collector_paused
    from serenade.corpora.way_out import way_out

    try:
        with collector_paused():
            yield
    except CorpusError as error:
        if error.hint is not None or error.expected != corpus.layout:
            raise
        hint = way_out(corpus, root, map(CORPORA.resolve, CORPORA))  # it lies neither there nor near
        raise CorpusError(
            error.what, where=error.where, found=error.found, expected=corpus.layout, hint=hint
        ) from error
    except OSError as error:
        where = root if error.filename is None else error.filename
        raise CorpusError("the corpus cannot be read", where=where, found=error.strerror) from error


def _lister(corpus: Corpus, examine: Examine | None) -> Callable[[Path], Listing]:
    return corpus.list_labels if examine is None and corpus.list_labels is not None else corpus.list_files
