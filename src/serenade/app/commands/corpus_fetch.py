"""``serenade corpus fetch``: a public corpus from its official home, its licence first; resumed, verified, unpacked."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from serenade.app.options import Quiet
from serenade.core.wording import counted

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from serenade.app.console import Progress
    from serenade.corpora.fetching import Fetched
    from serenade.corpora.sources import Notice, Source

__all__ = ["fetch"]

_COMMERCIAL = {True: "commercial use permitted", False: "no commercial use", None: "nothing said of commercial use"}
_MEGABYTE = 1_000_000


def fetch(
    name: str | None = typer.Argument(None, help="what to fetch; see --list", show_default=False),
    folder: Path | None = typer.Argument(None, help="where to; ./corpora/NAME if not given", show_default=False),
    part: str | None = typer.Option(None, "--part", help="Fetch these parts only, such as dev-clean,test-clean."),
    accept_licence: bool = typer.Option(
        False, "--accept-licence", "--accept-license", help="Accept the licence without being asked, for scripts."
    ),
    mirror: str | None = typer.Option(None, "--from", metavar="URL", help="Take the archives from a mirror."),
    keep_archives: bool = typer.Option(False, "--keep-archives", help="Keep the archives in FOLDER/.serenade-fetch."),
    show_list: bool = typer.Option(False, "--list", help="List what can be fetched; with NAME, its files."),
    as_json: bool = typer.Option(False, "--json", help="With --list: print JSON."),
    quiet: Quiet = False,
) -> None:
    """Fetch a public corpus from its official home: licence first, resumed, verified, unpacked.

    May be interrupted at any time: the same command goes on where it stopped, and does nothing when all is there.
    """
    from serenade.core.errors import UsageError
    from serenade.corpora.sources import find_source

    if show_list:
        _list(name, as_json=as_json)
        return
    if as_json:
        raise UsageError("--json is for --list")
    if name is None:
        raise UsageError("no corpus is named", hint="See what can be fetched: serenade corpus fetch --list")
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        raise UsageError("a mirror is the address of a folder on the web", where="--from", found=mirror)
    source = find_source(name)
    parts = () if part is None else tuple(one.strip() for one in part.split(",") if one.strip())
    target = Path("corpora") / name if folder is None else folder
    _fetch(source, target, parts, mirror, accepted=accept_licence, keep_archives=keep_archives, quiet=quiet)


def _fetch(
    source: "Source",
    folder: Path,
    parts: tuple[str, ...],
    mirror: str | None,
    *,
    accepted: bool,
    keep_archives: bool,
    quiet: bool,
) -> None:
    from serenade.corpora.downloading import Network
    from serenade.corpora.fetching import fetch, missing_archives
    from serenade.corpora.sources import notice

    about = notice(source)
    missing = missing_archives(source, folder, parts)
    if not missing:
        print(f"{about.title} is complete in {folder}: nothing to fetch.")
        _print_next(source, folder)
        return
    sizes = [archive.size for archive in missing]
    size = sum(one for one in sizes if one is not None) if None not in sizes else source.size
    _print_notice(source, about, folder, size)
    if not accepted:
        _ask(about)
    with _Bars(quiet=quiet) as bars:
        done = fetch(
            source,
            folder,
            parts=parts,
            mirror=mirror,
            network=Network(say=bars.say),
            progress=bars.show,
            keep_archives=keep_archives,
        )
    _print_done(about, done)
    _print_next(source, folder)


def _print_notice(source: "Source", about: "Notice", folder: Path, size: int | None) -> None:
    rows = [
        ("Licence", f"{about.licence} ({_COMMERCIAL[about.commercial_use]})"),
        ("Cite", about.citation),
        ("Home", about.homepage),
        ("To fetch", f"{_size(source, size)}, into {folder}"),
        *([("Note", source.terms)] if source.terms else []),
    ]
    print(about.title)
    for label, text in rows:
        print(f"  {label + ':':<10}{text}")
    sys.stdout.flush()


def _size(source: "Source", size: int | None) -> str:
    from serenade.corpora.downloading import size_in_words

    if size is None:
        return "size unknown"
    return ("" if source.about is None else "about ") + size_in_words(size)


def _ask(about: "Notice") -> None:
    """Go on if the user accepts the licence."""
    from serenade.core.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(
            f"the licence of {about.title} must be accepted before anything is fetched",
            where=about.homepage,
            hint="Read it, then run the command again with --accept-licence",
        )
    typer.confirm("Do you accept this licence and want to fetch the corpus?", abort=True)


def _print_done(about: "Notice", done: "Fetched") -> None:
    from serenade.corpora.downloading import size_in_words
    from serenade.corpora.layout import FETCH_RECORD

    print(f"{about.title} lies in {done.folder}: {counted(done.files, 'file')}, {size_in_words(done.size)}.")
    names = ", ".join(done.unverified)
    if done.unverified:
        print(
            f"Not verified, because no checksum of the home is known: {names}. "
            f"The SHA-256 of what came stands in {done.folder / FETCH_RECORD}."
        )
    else:
        print("Verified against the checksums that the home publishes.")


def _print_next(source: "Source", folder: Path) -> None:
    if source.reader is not None:
        print(f"Check it: serenade corpus check {source.reader} {shlex.quote(str(_root(source.reader, folder)))}")


def _root(reader: str, folder: Path) -> Path:
    """The folder that the loader wants; some archives have everything below a folder of their own."""
    from serenade.core.errors import SerenadeError
    from serenade.corpora import CORPORA

    list_files = CORPORA.resolve(reader).list_files
    for root in (folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")):
        try:
            list_files(root)
        except SerenadeError:
            continue
        return root
    return folder


class _Bars:
    """A progress bar for each thing that is done, one after the other, in megabytes."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)

    def show(self, what: str, done: int, total: int | None) -> None:
        """Show the bytes done; a new bar where something else is being done."""
        from serenade.app.console import Progress

        whole = None if total is None else -(-total // _MEGABYTE)
        if self._bar is None or self._bar.title != what:
            self.__exit__(None, None, None)
            self._bar = Progress(what, total=whole, unit="MB", quiet=self._quiet).__enter__()
        if whole is not None and whole != self._bar.total:
            self._bar.set_total(whole)
        self._bar.advance(-(-done // _MEGABYTE) - self._bar.done)

    def say(self, message: str) -> None:
        """Say what went wrong and is tried again."""
        from serenade.app.console import say

        if self._bar is None:
            say(message, quiet=self._quiet)
        else:
            self._bar.say(message)


def _list(name: str | None, *, as_json: bool) -> None:
    from serenade.corpora.sources import SOURCES, find_source

    chosen = list(SOURCES.values()) if name is None else [find_source(name)]
    if as_json:
        print(json.dumps([_as_json(source) for source in chosen], indent=1, ensure_ascii=False))
    elif name is None:
        _print_sources(chosen)
    else:
        _print_archives(chosen[0])


def _as_json(source: "Source") -> dict[str, Any]:
    from dataclasses import asdict

    from serenade.corpora.sources import notice

    archives = [
        {key: getattr(archive, key) for key in ("name", "part", "url", "size", "checksum")}
        for archive in source.archives
    ]
    return {
        "name": source.name,
        **asdict(notice(source)),
        "size": source.size,
        "terms": source.terms,
        "request": source.request,
        "archives": archives,
    }


def _print_sources(sources: "list[Source]") -> None:
    from serenade.app.commands.corpus import print_table
    from serenade.corpora.sources import notice

    free = [source for source in sources if source.archives]
    rows = [["name", "corpus", "size", "verified by", "licence"]]
    for source in free:
        about = notice(source)
        rows.append([source.name, about.title, _size(source, source.size), _verified_by(source), about.licence])
    print_table(rows, right=False)
    print("\nOne must ask for these:")
    for source in sources:
        if not source.archives:
            about = notice(source)
            print(f"  {source.name:<12}{about.homepage}\n  {'':<12}{source.request}.")


def _verified_by(source: "Source") -> str:
    """The kinds of checksum that are known of a home's archives, in capitals."""
    kinds = {archive.checksum.partition(":")[0].upper() for archive in source.archives if archive.checksum is not None}
    if any(archive.pointers is not None for archive in source.archives):
        kinds.add("SHA256")
    return " and ".join(sorted(kinds)) or "no checksum known"


def _print_archives(source: "Source") -> None:
    from serenade.corpora.downloading import size_in_words
    from serenade.corpora.sources import notice

    about = notice(source)
    _print_notice(source, about, Path("corpora") / source.name, source.size)
    if not source.archives:
        print(f"  {'By hand:':<10}{source.request}.")
    for archive in source.archives:
        size = "size unknown" if archive.size is None else size_in_words(archive.size)
        checksum = archive.checksum or "no checksum known"
        print(f"  {archive.part or archive.name}: {size}, {checksum}\n    {archive.url}")
