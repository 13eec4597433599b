"""Text for terminals and reports: the multiplication sign, and file names made safe to print."""

from __future__ import annotations

from pathlib import Path

TIMES = "\N{MULTIPLICATION SIGN}"


def printable(name: Path | str) -> str:
    """Escapes what would control a terminal or can't be encoded as UTF-8, because file names are untrusted input.

    A byte of a file name that is not UTF-8 becomes `\\xff`, a control character `\\x1b` or `\\u202e`.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in str(name))


def _escaped(character: str) -> str:
    # Python decodes each byte of a file name that is not UTF-8 to a lone surrogate.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
