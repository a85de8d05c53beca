"""Splits that go out to others and come back: made from corpora, taken from runs, run with the file's classes."""

from collections.abc import Callable

from serenade.core.errors import UsageError
from serenade.core.records import Listing
from serenade.evaluation.split_files import SplitDocument, make_document, read_split_file
from serenade.evaluation.splits import make_split
from serenade.experiments.data import read_corpora
from serenade.experiments.folder import RunFolder
from serenade.experiments.settings import ExperimentSettings

__all__ = ["document_of_corpora", "document_of_run", "with_file_labels", "with_labels_of"]


def with_file_labels(settings: ExperimentSettings) -> ExperimentSettings:
    """Settings with the classes, label map and conditions of the split file, where the user gave none of them.

    Without that, utterances of classes that the file does not know would take part in the run.

    Raises:
        SplitError: the split file is not valid.
    """
    given = settings.labels is not None or settings.label_map is not None or bool(settings.where)
    if settings.split.kind != "file" or settings.split.path is None or given:
        return settings
    return with_labels_of(read_split_file(settings.split.path), settings)


def with_labels_of(document: SplitDocument, settings: ExperimentSettings) -> ExperimentSettings:
    """Settings with the classes, label map and conditions of a split."""
    facts = {"labels": document.labels, "label_map": document.label_map, "where": dict(document.where)}
    return settings.model_copy(update=facts)


def document_of_corpora(
    settings: ExperimentSettings, progress: Callable[[int, int], None] | None = None
) -> tuple[SplitDocument, Listing]:
    """The split that the settings ask for, ready to be published, and the data that it is of.

    Raises:
        CorpusError: the data is not there or not usable.
        SplitError: the data cannot be divided so.
        UsageError: the protocol takes its folds from a split file, which is published already.
    """
    if settings.split.kind == "file":
        raise UsageError("this split is a file already", found=settings.split.path, hint="Publish that file")
    listing = read_corpora(settings, progress)
    split = make_split(listing.utterances, settings.split)
    document = make_document(
        split,
        listing.utterances,
        settings.split,
        [corpus.root for corpus in settings.corpora],
        label_map=settings.label_map,
        where=settings.where,
    )
    return document, listing


def document_of_run(run: RunFolder) -> SplitDocument:
    """The split of a run, ready to be published.

    Raises:
        UsageError: the folder is not a run.
    """
    settings = run.open().read_settings()
    return make_document(
        run.read_split(),
        run.read_utterances(),
        settings.split,
        [corpus.root for corpus in settings.corpora],
        label_map=settings.label_map,
        where=settings.where,
    )
