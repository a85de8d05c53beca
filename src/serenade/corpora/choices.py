"""What a user adds to a corpus's path where rules alone cannot choose: ``PATH#NAME=VALUE,NAME=VALUE``."""

from collections.abc import Mapping
from pathlib import Path

from serenade.core.errors import UsageError
from serenade.core.names import nearest
from serenade.corpora.layout import is_there

__all__ = ["split_choices"]


def split_choices(root: Path, known: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """The path without what was added to it, and the choices by name.

    >>> split_choices(Path("lists#audio=/data/emodb"), {"audio": "the folder of the recordings"})
    (PosixPath('lists'), {'audio': '/data/emodb'})

    Args:
        root: as the user wrote it; what lies there under this name, mark and all, is a path without choices.
        known: names that the corpus knows, and what each means.

    Raises:
        UsageError: a choice is not NAME=VALUE, or the corpus knows no such name.
    """
    path, mark, text = str(root).partition("#")
    if not mark or is_there(root):
        return root, {}
    choices: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or name not in known:
            close = nearest(name, known)
            unknown = f"there is no choice {name!r} for this corpus"
            raise UsageError(
                unknown if equals and value else "a choice is given as NAME=VALUE",
                where=root,
                found=repr(part),
                expected=", ".join(f"{known_name}=... ({meaning})" for known_name, meaning in known.items()) or "none",
                hint=f"Did you mean {close}=...?" if close and close != name else None,
            )
        choices[name] = value
    return Path(path), choices
