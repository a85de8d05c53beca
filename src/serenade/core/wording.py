"""Words of messages that depend on a number."""

__all__ = ["counted"]

_HISSING = ("s", "x", "ch", "sh")


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the singular for one.

    Args:
        count: how many.
        noun: what, in the singular; its last word takes the plural.

    >>> counted(1, "file"), counted(0, "class"), counted(3, "entry"), counted(2, "recording group")
    ('1 file', '0 classes', '3 entries', '2 recording groups')
    """
    return f"{count} {noun if count == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith(_HISSING):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
