"""The table of homes: well-formed, official, and honest about what is known."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from serenade.core.errors import FetchError, UnknownNameError, UsageError
from serenade.corpora import CORPORA
from serenade.corpora.sources import SOURCES, choose, find_source, notice
from serenade.corpora.unpacking import is_archive

# The servers of the publishers themselves; a copy on somebody else's account does not belong in the table.
HOMES = {
    "borealisdata.ca",
    "emodb.bilderbar.info",
    "github.com",
    "media.githubusercontent.com",
    "web.eecs.umich.edu",
    "www.openslr.org",
    "zenodo.org",
}
PUBLISHES_SUMS = {"www.openslr.org": "md5", "zenodo.org": "md5", "github.com": "sha256"}
ARCHIVES = [(source.name, archive) for source in SOURCES.values() for archive in source.archives]
every_archive = pytest.mark.parametrize(("name", "archive"), ARCHIVES, ids=lambda value: getattr(value, "name", value))
every_source = pytest.mark.parametrize("name", SOURCES)


@every_archive
def test_addresses_lead_to_official_homes(name: str, archive: object) -> None:
    for url in filter(None, (archive.url, archive.pointers)):
        parts = urlsplit(url)
        assert parts.hostname in HOMES
        assert parts.scheme == "https" or parts.hostname == "emodb.bilderbar.info"  # which has no certificate


@every_archive
def test_sums_are_whole_and_of_the_kind_their_home_publishes(name: str, archive: object) -> None:
    if archive.checksum is None:
        return
    assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", archive.checksum)
    assert PUBLISHES_SUMS[urlsplit(archive.url).hostname] == archive.checksum.partition(":")[0]
    assert archive.size is not None


@every_archive
def test_names_can_be_files_and_archives(name: str, archive: object) -> None:
    assert re.fullmatch(r"[\w.-]+", archive.name)
    assert is_archive(Path(archive.name)) or (archive.name.endswith(".json") and not archive.strip)
    assert archive.pointers is None or archive.strip == 1  # pointers are addressed from the repository's root


@every_source
def test_names_and_parts_within_a_corpus_are_its_own(name: str) -> None:
    source = SOURCES[name]
    assert source.name == name
    assert len({archive.name for archive in source.archives}) == len(source.archives)
    assert len(set(source.parts)) == len(source.parts)
    assert source.parts == () or len(source.parts) == len(source.archives)
    assert not source.must_choose or source.parts


@every_source
def test_licence_citation_and_home_are_known(name: str) -> None:
    about = notice(SOURCES[name])
    assert about.title
    assert about.licence
    assert re.search(r"\d{4}", about.citation)
    assert about.homepage.startswith("http")


def test_what_the_loader_says_goes_first() -> None:
    ravdess = CORPORA.resolve("ravdess")
    assert notice(SOURCES["ravdess"]).licence == ravdess.licence
    assert notice(SOURCES["ravdess"]).commercial_use is False


def test_noise_is_read_by_the_loader_of_noise() -> None:
    assert SOURCES["demand"].reader == "noise"
    assert all(source.loader is None or source.loader in CORPORA for source in SOURCES.values())


def test_sizes_add_up() -> None:
    assert SOURCES["ravdess"].size == 208_468_073  # as its record on Zenodo shows it: 208.5 MB
    assert round(SOURCES["librispeech"].size / 1e9, 1) == 61.4
    assert len(SOURCES["demand"].archives) == 17  # SCAFE is published in 48 kHz only
    assert SOURCES["turevdb"].size is None


def test_parts_are_chosen() -> None:
    chosen = choose(SOURCES["librispeech"], ("test-other", "dev-clean"))
    assert [archive.name for archive in chosen] == ["dev-clean.tar.gz", "test-other.tar.gz"]
    with pytest.raises(UsageError, match=r"librispeech is large.*--part with one or more of dev-clean,dev-other"):
        choose(SOURCES["librispeech"])
    with pytest.raises(UsageError, match="Did you mean 'dev-clean'"):
        choose(SOURCES["librispeech"], ("devclean",))
    with pytest.raises(UsageError, match="no part: it is fetched whole"):
        choose(SOURCES["ravdess"], ("video",))


@pytest.mark.parametrize("name", [name for name in SOURCES if not SOURCES[name].archives])
def test_corpora_that_one_must_ask_for_say_where(name: str) -> None:
    with pytest.raises(FetchError, match=r"cannot be fetched by a program: http") as caught:
        choose(SOURCES[name])
    assert SOURCES[name].request in str(caught.value)
    assert (f"serenade corpus check {name} FOLDER" in str(caught.value)) is (name in CORPORA)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ravdess'"):
        find_source("ravdes")
