"""``serenade upstream stores``: frames of upstreams that are kept in the cache folder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import say
from serenade.app.options import Quiet
from serenade.core.errors import UsageError
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.training.kept_frames import KeptStore

__all__ = ["stores"]

_GIB = 2**30


def stores(
    remove: Annotated[
        list[str] | None, typer.Option(metavar="NAME|all", help="Remove this store, or all of them; repeat.")
    ] = None,
    unused_for: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, help="Remove what no run has used for so many days.")
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(metavar="GIB", min=0, help="Remove those that were used longest ago, until no more is left."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, remove nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """List the stored frames of upstreams, and remove those that are not needed any more.

    Runs and `serenade upstream extract` keep the frames of frozen upstreams in the cache folder. Nothing there is lost
    for good: what is removed is computed again when a run needs it.
    """
    from serenade.training.kept_frames import kept_stores, remove_store

    found = kept_stores()
    if remove is None and unused_for is None and keep is None:
        for line in _table(found):
            print(line)
        return
    gone = _chosen(found, remove or [], unused_for, keep)
    for kept in gone:
        if not dry_run:
            remove_store(kept)
        say(f"{'Would remove' if dry_run else 'Removed'} {kept.name}, {kept.num_bytes / _GIB:.3f} GiB", quiet=quiet)
    left = [kept for kept in found if kept not in gone]
    say(f"Left: {counted(len(left), 'store')}, {_gib(left):.3f} GiB", quiet=quiet)


def _chosen(
    found: "Sequence[KeptStore]", named: Sequence[str], unused_for: float | None, keep: float | None
) -> "list[KeptStore]":
    """What is to go, in the order of the list.

    Raises:
        UsageError: there is no store of a name.
    """
    names = {kept.name for kept in found}
    unknown = [name for name in named if name not in names and name != "all"]
    if unknown:
        raise UsageError(
            "there is no such store of frames",
            found=unknown[0],
            expected=", ".join(sorted(names)) or "nothing: none is kept",
            hint="`serenade upstream stores` lists them",
        )
    gone = [kept for kept in found if kept.name in named or "all" in named]
    if unused_for is not None:
        gone += [kept for kept in found if kept not in gone and kept.unused_days >= unused_for]
    if keep is not None:
        left = [kept for kept in found if kept not in gone]
        while left and _gib(left) > keep:
            gone.append(left.pop())  # the last was used longest ago
    return [kept for kept in found if kept in gone]


def _gib(stores: "Sequence[KeptStore]") -> float:
    return sum(kept.num_bytes for kept in stores) / _GIB


def _table(found: "Sequence[KeptStore]") -> list[str]:
    width = max((len(kept.name) for kept in found), default=0)
    head = f"{'store':<{width}}  layers  numbers   engine       recordings      GiB  unused for"
    rows = [f"{kept.name:<{width}}  {_about(kept)}  {kept.num_bytes / _GIB:7.3f}  {_days(kept)}" for kept in found]
    total = f"{counted(len(found), 'store')}, {_gib(found):.3f} GiB"
    return [head, *rows, total] if rows else ["no frames are kept"]


def _about(kept: "KeptStore") -> str:
    if kept.store is None:
        return f"{'damaged':<40}"
    kind = kept.store.kind
    layers = str(kind.layers[0]) if len(kind.layers) == 1 else f"{len(kind.layers)} of them"
    return f"{layers:<6}  {kind.numbers:<8}  {kind.engine:<11}  {len(kept.store):>9,}"


def _days(kept: "KeptStore") -> str:
    days = kept.unused_days
    return f"{days:.0f} days" if days >= 1 else f"{24 * days:.0f} h"
