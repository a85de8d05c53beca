"""`serenade serve`: the service and its page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from serenade.app.console import say
from serenade.core.errors import UsageError

__all__ = ["serve"]


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", metavar="NAME|FOLDER", help="A shipped model or a model folder; may be repeated."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; loopback if not given.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", help="Port to listen on; 0 takes a free one.")] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="API keys that are let in; see --new-key.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings, as TOML.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    new_key: Annotated[
        str | None, typer.Option("--new-key", metavar="NAME", help="Make an API key and its line for --keys; then end.")
    ] = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print every setting with what it means; then end.")
    ] = False,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Processors for each batch.")] = 1,
) -> None:
    """Answer over HTTP and WebSocket, and show a page for files and the microphone.

    Only this machine is let in unless --host says otherwise. Ctrl-C or SIGTERM ends it when work under way is done.

    Example: serenade serve --model glam-emodb
    """
    from serenade.core.settings import load_toml, make_settings
    from serenade.service.settings import LOOPBACK, ServiceSettings

    if new_key is not None:
        _print_key(new_key)
        return
    given: dict[str, Any] = {"models": model, "host": host, "port": port, "keys": keys}
    values = (load_toml(config) if config is not None else {}) | {k: v for k, v in given.items() if v is not None}
    settings = make_settings(ServiceSettings, values, set_ or (), where=str(config) if config else "settings")
    if show_settings:
        _print_settings(settings)
        return
    import torch

    from serenade.service.server import serve as run

    torch.set_num_threads(threads)
    if settings.host not in LOOPBACK and settings.keys is None:
        say("Note: everyone who reaches this machine is let in; --keys FILE asks for API keys.")
    run(settings, ready=lambda address: say(f"Serving {', '.join(settings.models)} on {address}"))


def _print_key(name: str) -> None:
    from serenade.service.gate import new_key

    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError("the name of a key has letters, digits, dots and dashes", found=repr(name))
    key, line = new_key(name)
    print(f"key, shown only once:  {key}\nline for the key file: {line}")


def _print_settings(settings: Any) -> None:
    """As TOML, ready to be a --config."""
    from serenade.core.settings import dump_toml

    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        print(f"# {field.description}")
        print(dump_toml({name: values[name]}).rstrip() or f"# {name} =")
