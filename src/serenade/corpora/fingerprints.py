"""The acoustic fingerprints of recordings, from the memo where `validate` left them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serenade.core.devices import cpu_budget
from serenade.core.errors import AudioError
from serenade.corpora.corpus import Examine, Facts
from serenade.corpora.memo import FactsMemo

__all__ = ["recall_fingerprints"]


def recall_fingerprints(
    paths: Sequence[Path],
    *,
    examine: Examine,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> dict[Path, bytes]:
    """The fingerprint of every recording that has one, as `examine` makes it.

    After a corpus was read they lie in the memo; where there is no memo, or it is older than fingerprints are, the
    recordings are decoded again. What cannot be decoded any more is left out.

    Args:
        paths: the recordings.
        examine: decodes one recording, the same function that the corpus was read with.
        progress: called with the number of fingerprints at hand so far and in all.
        workers: threads that decode; None takes what the process may use.
    """
    wanted = sorted(set(paths))
    with FactsMemo(examine) as memo, ThreadPoolExecutor(cpu_budget() if workers is None else max(1, workers)) as pool:
        known = memo.recall_fingerprints(wanted)
        absent = [path for path in wanted if path not in known]
        states = {path: memo.state(path) for path in absent}
        made: dict[Path, Facts] = {}
        try:
            for path, facts in zip(absent, pool.map(lambda path: _try(examine, path), absent), strict=True):
                if facts is not None and facts.fingerprint is not None:
                    made[path] = facts
                if progress is not None:
                    progress(len(known) + len(made), len(wanted))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            found = [(path, states[path], facts) for path, facts in made.items()]
            memo.remember((path, state, facts) for path, state, facts in found if state is not None)
    return known | {path: facts.fingerprint for path, facts in made.items() if facts.fingerprint is not None}


def _try(examine: Examine, path: Path) -> Facts | None:
    try:
        return examine(path)
    except AudioError:
        return None
