"""Errors: their messages, their exit codes, and that they survive a process boundary."""

import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from serenade.core import errors
from serenade.core.errors import (
    AudioError,
    MissingExtraError,
    MissingPluginError,
    MissingWeightsError,
    PartialFailure,
    SerenadeError,
    UsageError,
    VideoError,
)

EXIT_CODES = {
    "SerenadeError": 1,
    "UsageError": 2,
    "SettingsError": 2,
    "UnknownNameError": 2,
    "MissingExtraError": 2,
    "MissingPluginError": 2,
    "MissingWeightsError": 2,
    "AudioError": 1,
    "VideoError": 1,
    "CorpusError": 1,
    "FetchError": 1,
    "SplitError": 1,
    "LeakError": 1,
    "CheckpointError": 1,
    "StorageError": 1,
    "TrainingError": 1,
    "PartialFailure": 3,
}
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SerenadeError)]


def an_error(kind: type[SerenadeError]) -> SerenadeError:
    if kind is MissingExtraError:
        return MissingExtraError("av", extra="media", purpose="reading m4a")
    if kind is MissingPluginError:
        return MissingPluginError("smile", purpose="a feature", licence="Not for products.")
    if kind is MissingWeightsError:
        return MissingWeightsError("facenet", purpose="finding faces", install="pip install facenet")
    if kind is PartialFailure:
        return PartialFailure("predicting", failures=[AudioError("no sound", reason="empty", where="a.wav")], done=2)
    extra = {"reason": "empty"} if kind in (AudioError, VideoError) else {}
    return kind("it failed", where=Path("x/y.wav"), found=0, expected="1", hint="Do that", **extra)


def test_every_kind_has_its_exit_code() -> None:
    assert {kind.__name__: kind.exit_code for kind in KINDS} == EXIT_CODES


def test_tree_in_the_docstring_holds_every_kind_with_its_code() -> None:
    rows = [line.split() for line in (errors.__doc__ or "").splitlines()]
    drawn = {word: int(row[row.index(word) + 1]) for row in rows for word in row if word in EXIT_CODES}
    assert drawn == EXIT_CODES


def test_message_says_what_where_found_expected_and_the_way_out() -> None:
    assert str(an_error(UsageError)) == "it failed: x/y.wav. Found: 0. Expected: 1. Do that."


def test_message_leaves_out_what_is_not_known() -> None:
    assert str(SerenadeError("it failed")) == "it failed."


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SerenadeError("it failed", hint="Did you mean 'b'?"), "it failed. Did you mean 'b'?"),
        (SerenadeError("It failed."), "It failed."),
        (SerenadeError("no corpus", where=".."), "no corpus: .."),
    ],
)
def test_sentences_end_once(error: SerenadeError, message: str) -> None:
    assert str(error) == message


def test_missing_extra_names_what_to_install() -> None:
    message = str(MissingExtraError("av", extra="media", purpose="reading m4a"))
    assert message == (
        "reading m4a needs the package 'av', which is not installed. Install it with: pip install \"serenade[media]\"."
    )


def test_missing_plugin_names_its_licence_before_the_way_to_install_it() -> None:
    message = str(MissingPluginError("smile", purpose="a feature", licence="Not for products."))
    assert message == (
        "a feature needs the package 'smile', which is not installed. Serenade does not bring it because of its "
        "licence: Not for products. If that suits you, install it with: pip install smile."
    )


def test_partial_failure_names_five_inputs_and_counts_the_rest() -> None:
    lost = [AudioError("no sound", reason="empty", where=f"{number}.wav") for number in range(7)]
    message = str(PartialFailure("predicting", failures=lost, done=3))
    assert message.startswith("predicting: 7 failed, 3 done. Found: 0.wav: no sound; 1.wav")
    assert "5.wav" not in message
    assert message.endswith("and 2 more.")
    many = PartialFailure("checking", failures=lost, done=3, failed=100_000)
    assert str(many).startswith("checking: 100000 failed, 3 done.")
    assert str(many).endswith("and 99995 more.")


@pytest.mark.parametrize("kind", KINDS)
def test_pickled_error_is_the_same(kind: type[SerenadeError]) -> None:
    error = an_error(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), repr(copy), copy.args) == (str(error), repr(error), error.args)
    assert set(vars(copy)) == set(vars(error))


def fail_in_the_worker() -> None:
    raise AudioError("no sound", reason="silent", where="a.wav")


def test_error_crosses_a_process_boundary() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(AudioError, match=r"no sound: a\.wav") as caught,
    ):
        pool.submit(fail_in_the_worker).result()
    assert caught.value.reason == "silent"
