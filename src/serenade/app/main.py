"""The `serenade` command: the table of commands, and what a user sees when something goes wrong.

A command's module is imported when the command is named, so ``serenade --help`` stays fast and loads no torch.
"""

import errno
import os
import select
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from serenade import __version__
from serenade.core.errors import SerenadeError, UsageError
from serenade.core.names import NameTable, nearest

__all__ = ["COMMANDS", "main"]

# name, target, the line that `serenade --help` shows. A target is a function, or a `typer.Typer` of several.
_ROWS = (
    ("demo", "serenade.app.commands.demo:demo", "Do the main job once on synthesised voices: train, report, predict."),
    ("run", "serenade.app.commands.run:run", "Train and test a system over folds and seeds; resumes where it stopped."),
    ("train", "serenade.app.commands.train:train", "Train a model for use on everything a corpus holds."),
    ("report", "serenade.app.commands.report:report", "Make one self-contained HTML page from finished runs."),
    ("compare", "serenade.app.commands.compare:compare", "Compare two runs: paired differences, intervals and a test."),
    ("evaluate", "serenade.app.commands.evaluate:evaluate", "Test stored models under noise, attacks, bad channels."),
    ("table", "serenade.app.commands.table:app", "Make the result table of a paper, ours beside the published."),
    ("study", "serenade.app.commands.study:app", "Answer a question with a sweep of runs: filter shapes."),
    ("predict", "serenade.app.commands.predict:predict", "Predict the emotion of files and folders."),
    ("timeline", "serenade.app.commands.timeline:timeline", "Follow emotions over time: long recordings, speakers."),
    ("serve", "serenade.app.commands.serve:serve", "Answer over HTTP and WebSocket, and show a page."),
    ("listen", "serenade.app.commands.listen:listen", "Follow emotions live: microphone, stream, raw samples."),
    ("export", "serenade.app.commands.export:export", "Write a model as ONNX, front end inside; int8 too."),
    ("bench", "serenade.app.commands.bench:bench", "Measure a model here: speed, latency, memory by threads."),
    ("explain", "serenade.app.commands.explain:explain", "Show why a model says what it says of a recording."),
    ("augment", "serenade.app.commands.augment:augment", "Change recordings: speed, noise, rooms, telephones, codecs."),
    ("models", "serenade.app.commands.models:models", "List the models that ship with Serenade, or show one's card."),
    ("model", "serenade.app.commands.model:app", "Show a model, verify it, pack it for others."),
    ("pretrain", "serenade.app.commands.pretrain:pretrain", "Make an upstream of your own from unlabelled speech."),
    ("upstream", "serenade.app.commands.upstream:app", "Check a pretrained network: weights, speed, cost."),
    ("split", "serenade.app.commands.split:app", "Make a split as a file, check it for leaks, show and export it."),
    ("labels", "serenade.app.commands.labels:labels", "List known emotions and maps between label sets."),
    ("corpus", "serenade.app.commands.corpus:app", "Fetch a corpus, check it and show what is in it."),
)
COMMANDS: NameTable[Any] = NameTable("command", ((name, target) for name, target, _ in _ROWS))

# The base of all errors of the option parser. Old typer takes it from click, new typer has its own; the public
# BadParameter leads to both.
_ShownError: type[Exception] = typer.BadParameter.__mro__[2]

_INTERRUPTED = 130
_BROKEN_PIPE = 141
_BUG = 70


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments without the program's name; those of the process if None.

    Returns:
        0 done; 1 failed; 2 the call is off; 3 done but for the inputs named; 70 a bug in Serenade; 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    arguments, debug = _take_debug(arguments)
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return _fail("Interrupted; what was finished is kept.", _INTERRUPTED, debug)
    except Exception as error:  # noqa: BLE001 - the last line before the user: a bug is named as one
        if isinstance(error, BrokenPipeError) and _reader_left():
            # As in `serenade predict ... | head`. Point stdout at nothing, so that the interpreter's last flush does
            # not complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return _BROKEN_PIPE
        message, code = _explain(error)
        return _fail(message, code, debug)


def _reader_left() -> bool:
    """Whether nobody reads what we print; pipes to other processes break too, and that is another matter."""
    if not hasattr(select, "poll"):
        return True  # there is no way to tell on Windows
    poll = select.poll()
    for handle in (1, 2):
        poll.register(handle, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Take --debug out wherever it stands before a ``--``: it belongs to every command."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return kept + arguments[end:], len(kept) < end


def _dispatch(arguments: list[str]) -> int:
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    if named is not None:
        COMMANDS.target(named)  # raises with the nearest name
    command = typer.main.get_command(_assemble(named))
    if "_SERENADE_COMPLETE" in os.environ:
        command.main(arguments, prog_name="serenade")
    try:
        with command.make_context("serenade", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as error:
        return error.exit_code
    except _ShownError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error)
            return 2
        raise _usage_error(error) from error
    finally:
        sys.stdout.flush()
    return 0


def _assemble(named: str | None) -> typer.Typer:
    """The command line with the named command in place and the others as a name and a line of help."""
    app = typer.Typer(name="serenade", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
    app.callback(help="Emotion recognition from speech, with honest protocols.", epilog=_EPILOG)(_global_options)
    for name, _, line in _ROWS:
        if name != named:
            app.command(name, help=line)(_absent)
            continue
        target = COMMANDS.resolve(name)
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name)
        else:
            app.command(name)(target)
    return app


_EPILOG = (
    "Every command explains itself: serenade COMMAND --help. With --debug an error shows where in the code it arose."
)


def _absent() -> None:
    """Stands for a command that was not named; only its line of help is ever read."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"serenade {__version__}")
        raise typer.Exit


def _global_options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
    debug: bool = typer.Option(False, "--debug", help="Show where in the code an error arose."),
) -> None:
    """Options before the command; `main` has taken --debug out already, here it is only listed."""


def _usage_error(error: Any) -> UsageError:
    """An error of the option parser in our words, with the nearest option for a misspelt one."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "serenade"
    message = error.format_message().strip().rstrip(".")
    hint = f"See: {path} --help"
    name = getattr(error, "option_name", None)
    if name is not None and type(error).__name__ == "NoSuchOption":
        message = f"there is no option {name}"
        close = nearest(name, _options(context))
        hint = f"Did you mean {close}? {hint}" if close else hint
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _options(context: Any) -> Iterable[str]:
    if context is None:
        return []
    return [option for parameter in context.command.params for option in (*parameter.opts, *parameter.secondary_opts)]


def _explain(error: BaseException) -> tuple[str, int]:
    """The paragraph and the exit code for an error."""
    if isinstance(error, SerenadeError):
        return f"Error: {error}", error.exit_code
    if isinstance(error, typer.Abort):
        return "Stopped.", 1
    if isinstance(error, MemoryError) or "not enough memory" in str(error) or "out of memory" in str(error):
        return "Error: the memory of this machine is used up. Close other programs or give the command less at once.", 1
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f": {error.filename}" if error.filename else ""
        return (
            f"Error: the disk is full{where}. What was finished is kept. Free some space and run the command again.",
            1,
        )
    kind = f"{type(error).__name__}: {error}".rstrip(": ")
    return (
        f"Error: this is a bug in Serenade, please report it: {kind}. "
        "Run the command again with --debug to see where it arose.",
        _BUG,
    )


def _fail(message: str, code: int, debug: bool) -> int:
    """Say what happened on stderr, in one paragraph; with debug the traceback stands before it."""
    if debug:
        import traceback

        traceback.print_exc()
    print(" ".join(message.split()), file=sys.stderr)
    return code
