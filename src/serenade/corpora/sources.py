"""Where corpora are published: official homes only, with the checksums that these publish.

A checksum stands here only if the home publishes it and it could be confirmed: Zenodo and OpenSLR give an MD5, Git LFS
a SHA-256. Where there is none (archives that GitHub or Dataverse pack on demand, plain web servers), what was fetched
is hashed and noted beside the data. Corpora that one must ask for are listed too, with the place to ask.
"""

from dataclasses import dataclass

from serenade.core.errors import FetchError, UnknownNameError, UsageError
from serenade.core.names import did_you_mean, nearest

__all__ = ["SOURCES", "Archive", "Notice", "Source", "choose", "find_source", "notice"]


@dataclass(frozen=True, slots=True)
class Archive:
    """One file of a corpus's home.

    Args:
        url: where it is.
        name: what to call it here; also its name on a mirror.
        size: its bytes, where its home publishes them.
        checksum: ``md5:...`` or ``sha256:...`` as its home publishes it; None where none is known.
        part: the part of the corpus it holds, for corpora of several; empty where all belongs together.
        strip: leading folders to take off the names in it.
        keep: files and folders (ending in ``/``) to take out of it; everything if empty.
        nested: whether archives lie in it that must be unpacked too.
        pointers: where the files lie of which it holds Git LFS pointers only; None where it holds files.
    """

    url: str
    name: str
    size: int | None = None
    checksum: str | None = None
    part: str = ""
    strip: int = 0
    keep: tuple[str, ...] = ()
    nested: bool = False
    pointers: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a user must know before taking a corpus.

    Args:
        title: the name people use.
        licence: under which it is published.
        citation: whom to cite.
        homepage: where it is published.
        commercial_use: whether the licence permits commercial use; None where nothing is said.
    """

    title: str
    licence: str
    citation: str
    homepage: str
    commercial_use: bool | None


@dataclass(frozen=True, slots=True)
class Source:
    """How to get a corpus.

    Args:
        name: the name in `SOURCES`.
        archives: the files of its home; empty where one must ask for it.
        about: bytes in all, roughly, where not every archive says its size.
        terms: what else one agrees to, or should know before fetching, in a sentence.
        request: where and how to get it by hand, in a sentence; empty where it can be fetched.
        must_choose: whether to ask for parts instead of fetching everything.
        own_notice: title, licence and citation; None where the corpus's loader says them.
        loader: the name in `CORPORA` of what reads it, where that is another.
    """

    name: str
    archives: tuple[Archive, ...] = ()
    about: int | None = None
    terms: str = ""
    request: str = ""
    must_choose: bool = False
    own_notice: Notice | None = None
    loader: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts one may choose from; empty where all belongs together."""
        return tuple(archive.part for archive in self.archives if archive.part)

    @property
    def reader(self) -> str | None:
        """The name in `CORPORA` of what reads it; None where nothing does."""
        from serenade.corpora import CORPORA

        name = self.loader or self.name
        return name if name in CORPORA else None

    @property
    def size(self) -> int | None:
        """Bytes to fetch in all, exact or about; None where nobody knows."""
        sizes = [archive.size for archive in self.archives]
        known = [size for size in sizes if size is not None]
        return sum(known) if known and len(known) == len(sizes) else self.about


def find_source(name: str) -> Source:
    """How to get a corpus.

    Raises:
        UnknownNameError: no home of such a corpus is known.
    """
    if name not in SOURCES:
        close = nearest(name, SOURCES)
        raise UnknownNameError(
            f"no home of a corpus called {name!r} is known",
            expected=f"one of {', '.join(SOURCES)}",
            hint=f"Did you mean {close!r}?" if close else "See: serenade corpus fetch --list",
        )
    return SOURCES[name]


def notice(source: Source) -> Notice:
    """Title, licence and citation: those of the corpus's loader, where it is one of this corpus alone."""
    from serenade.corpora import CORPORA

    if source.name not in CORPORA:
        assert source.own_notice is not None, f"nobody says the licence of {source.name}"
        return source.own_notice
    corpus = CORPORA.resolve(source.name)
    return Notice(corpus.title, corpus.licence, corpus.citation, corpus.homepage, corpus.commercial_use)


def choose(source: Source, parts: tuple[str, ...] = ()) -> tuple[Archive, ...]:
    """The archives of these parts, or all.

    Raises:
        UsageError: there is no such part, or one must choose.
        FetchError: the corpus is not free to fetch; the message says how to get it.
    """
    if not source.archives:
        about = notice(source)
        then = "" if source.reader is None else f". When you have it: serenade corpus check {source.reader} FOLDER"
        raise FetchError(
            f"{about.title} cannot be fetched by a program", where=about.homepage, hint=source.request + then
        )
    unknown = [part for part in parts if part not in source.parts]
    if unknown:
        raise UsageError(
            f"{source.name} has no part {unknown[0]!r}",
            expected=f"one of {', '.join(source.parts)}" if source.parts else "no part: it is fetched whole",
            hint=did_you_mean(unknown[0], source.parts),
        )
    if source.must_choose and not parts:
        raise UsageError(
            f"{source.name} is large: choose what to fetch",
            expected=f"--part with one or more of {','.join(source.parts)}",
        )
    return tuple(archive for archive in source.archives if not parts or archive.part in parts)


def _github(repository: str, *, keep: tuple[str, ...] = (), strip: int = 1, pointers: str | None = None) -> Archive:
    """A repository as GitHub packs it on demand: of unknown size, without a checksum."""
    name = repository.rpartition("/")[2]
    url = f"https://github.com/{repository}/archive/HEAD.zip"
    return Archive(url, f"{name}.zip", strip=strip, keep=keep, pointers=pointers)


def _zenodo(record: int, name: str, size: int | None = None, md5: str | None = None, *, part: str = "") -> Archive:
    url = f"https://zenodo.org/records/{record}/files/{name}?download=1"
    return Archive(url, name, size, None if md5 is None else f"md5:{md5}", part=part)


# name, bytes, MD5: openslr.org/resources/12/md5sum.txt
_LIBRISPEECH = (
    ("dev-clean", 337_926_286, "42e2234ba48799c1f50f24a7926300a1"),
    ("dev-other", 314_305_928, "c8d0bcc9cca99d4f8b62fcc847357931"),
    ("test-clean", 346_663_984, "32fa31d27d2e1cad72775fee3f4849a9"),
    ("test-other", 328_757_843, "fb5a50374b501bb3bac4815ee91d3135"),
    ("train-clean-100", 6_387_309_499, "2a93770f6d5c6c964bc36631d331a522"),
    ("train-clean-360", 23_049_477_885, "c0e676e450a7ff2f54aeade5171606fa"),
    ("train-other-500", 30_593_501_606, "d1a0fd59409feb2c614ce4d30c387708"),
)

# environment, bytes, MD5 of the 16 kHz archive: zenodo.org/records/1227121 (SCAFE is published in 48 kHz only)
_DEMAND = (
    ("DKITCHEN", 110_501_049, "7ffbf52d7f4699f96927846103dc8788"),
    ("DLIVING", 80_170_627, "46741384d9e434a0bd8b3ec1830b6052"),
    ("DWASHING", 102_343_250, "7e5ee9437ce9409c5f9a779b6212a240"),
    ("NFIELD", 86_536_782, "a740046c6f4e174e16f5d568aaec5024"),
    ("NPARK", 86_029_332, "80f1385a34d7f1705758926b57f138ce"),
    ("NRIVER", 98_689_565, "54264db61d3fe073fb81f2e40e0d19b5"),
    ("OHALLWAY", 77_941_854, "fe918bbb0e63e73d09ba7f4843ef33f1"),
    ("OMEETING", 82_703_355, "62f7cfe7fe6d30b7d8a215fe37c2dfd2"),
    ("OOFFICE", 88_995_191, "7b61cc2d182d5a654cb9c3101ddd4041"),
    ("PCAFETER", 107_431_494, "99927d148128254141a9417d051510bb"),
    ("PRESTO", 111_292_815, "b98d2e6854eeebb397f29a8ad7457092"),
    ("PSTATION", 119_441_094, "d7448009f6c2aeb6ba570375df1750a3"),
    ("SPSQUARE", 110_928_528, "205d0e7b8fe74504a2f8d252fc414b9e"),
    ("STRAFFIC", 118_572_691, "2efa87262f272bbf9ba578088e81939c"),
    ("TBUS", 128_916_709, "706b11b0d8504f9f3b3f3211e91b3863"),
    ("TCAR", 130_045_975, "4d930012796bd298932245a26189f973"),
    ("TMETRO", 126_589_090, "95daf4df678e13b120e14211e6d89571"),
)

_SHEMO = "https://github.com/mansourehk/ShEMO/raw/master"
_CREMAD = "CheyneyComputerScience/CREMA-D"
_BOREALIS = "https://borealisdata.ca/api/access/dataset/:persistentId/?persistentId="

_FETCHED = (
    Source(
        "emodb",
        (Archive("http://emodb.bilderbar.info/download/download.zip", "emodb.zip"),),
        about=40_000_000,
        terms="These are the original 535 recordings; a later release, EMO-DB 2.0, lies at zenodo.org/records/17651657",
    ),
    Source(
        "ravdess",
        (_zenodo(1188976, "Audio_Speech_Actors_01-24.zip", 208_468_073, "bc696df654c87fed845eb13823edef8a"),),
        terms="The authors sell licences for commercial use",
    ),
    Source("nemo", (_github("amu-cai/nEMO", keep=("samples/", "data.tsv", "README.md")),), about=500_000_000),
    Source(
        "turevdb",
        (_github("Xeonen/TurEV-DB", keep=("Sound Source/", "README.md", "LICENSE")),),
        terms="Its README says CC BY-NC-ND 4.0, its LICENSE file GPL 3: keep to the stricter one",
    ),
    Source(
        "emotiontts-ko",
        (_github("emotiontts/emotiontts_open_db", strip=3, keep=("Emotional/",)),),
        terms="The repository is fetched whole and the emotional part kept",
    ),
    Source(
        "cremad",
        (
            _github(
                _CREMAD,
                keep=(
                    "AudioWAV/",
                    "processedResults/",
                    "SentenceFilenames.csv",
                    "VideoDemographics.csv",
                    "finishedResponses.csv",
                    "LICENSE.txt",
                    "README.md",
                ),
                pointers=f"https://media.githubusercontent.com/media/{_CREMAD}/master",
            ),
        ),
        about=630_000_000,
        terms="The 7442 recordings lie in Git LFS and are fetched one by one, each verified by its SHA-256",
    ),
    Source(
        "tess",
        (Archive(f"{_BOREALIS}doi:10.5683/SP2/E8H2MF", "tess.zip"),),
        about=270_000_000,
    ),
    Source(
        "urdu",
        (_github("siddiquelatif/URDU-Dataset"),),
        terms="Cut from talk shows; the authors permit research only",
    ),
    Source(
        "shemo",
        (
            Archive(
                f"{_SHEMO}/female.zip",
                "female.zip",
                374_368_830,
                "sha256:663d8d7dceb44adbbf87d84be3a080fb691d169fbd972f6941e6302bc39f71e6",
            ),
            Archive(
                f"{_SHEMO}/male.zip",
                "male.zip",
                496_606_401,
                "sha256:747670d0d918e59d5e5020cf66610242890b093d42968c467c4f02eb5e6a6b1a",
            ),
            Archive(  # the words, on the page of the second author
                "https://github.com/pariajm/sharif-emotional-speech-dataset/raw/HEAD/shemo.json", "shemo.json"
            ),
        ),
        about=872_000_000,
        terms="Free for academic purposes; the repository's Git LFS is at times over its quota and then refuses",
    ),
    Source(
        "cafe",
        (_zenodo(1478765, "CaFE_48k.zip"),),
    ),
    Source(
        "meld",
        (
            Archive(
                "https://web.eecs.umich.edu/~mihalcea/downloads/MELD.Raw.tar.gz",
                "MELD.Raw.tar.gz",
                strip=1,
                nested=True,
            ),
        ),
        about=10_900_000_000,
        terms="Video clips of a television series: the annotations are under GPL 3, the clips belong to others",
    ),
    Source(
        "librispeech",
        tuple(
            Archive(
                f"https://www.openslr.org/resources/12/{part}.tar.gz",
                f"{part}.tar.gz",
                size,
                f"md5:{md5}",
                part=part,
                strip=1,
            )
            for part, size, md5 in _LIBRISPEECH
        ),
        must_choose=True,
    ),
    Source(
        "demand",
        tuple(_zenodo(1227121, f"{part}_16k.zip", size, md5, part=part) for part, size, md5 in _DEMAND),
        own_notice=Notice(
            "DEMAND (noise, 16 kHz)",
            "CC BY-SA 3.0",
            "J. Thiemann, N. Ito, E. Vincent: The Diverse Environments Multi-channel Acoustic Noise Database (DEMAND). "
            "Proceedings of Meetings on Acoustics 19, 2013.",
            "https://zenodo.org/records/1227121",
            True,
        ),
        loader="noise",
    ),
)

_BY_REQUEST = (
    Source(
        "aesdd",
        request="Its home links to a shared folder that only a browser can open: follow the link there and unpack it",
    ),
    Source(
        "emovo",
        request="Its home is down at times and has no lasting address for the archive: ask the first author",
    ),
    Source(
        "savee",
        request="Register at http://kahlan.eps.surrey.ac.uk/savee/Download.html; a password comes by mail",
    ),
    Source(
        "iemocap",
        request="Fill in the release form at https://sail.usc.edu/iemocap/iemocap_release.htm; a link comes by mail",
    ),
    Source(
        "msp-improv",
        request="A university signs the academic licence of the MSP Lab, which the homepage has; others ask for a "
        "commercial one",
    ),
    Source(
        "msp-podcast",
        request="A university signs the academic licence of the MSP Lab, which the homepage has; others ask for a "
        "commercial one",
    ),
    Source(
        "cmu-mosei",
        request="Its home gives features and labels through an SDK of its own and the videos by link: follow the page",
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in (*_FETCHED, *_BY_REQUEST)}
