"""What a peer said, made safe to show: printable ASCII, bounded, everything else as a backslash escape."""

SHOWN = 200
"""Longest excerpt shown by default, in characters."""


def visible(said: bytes | str, limit: int = SHOWN) -> str:
    """Return `said` with control characters, non-ASCII and backslashes escaped, cut after `limit` characters.

    A cut is marked with "..." on top of the limit.
    """
    # An escape is never shorter than what it stands for, so nothing past `limit` can be shown.
    excerpt = said[: limit + 1]
    text = excerpt.decode("latin-1") if isinstance(excerpt, bytes) else excerpt
    if len(text) <= limit and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    shown = "".join(
        character
        if " " <= character <= "~" and character != "\\"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    return shown if len(shown) <= limit else shown[:limit] + "..."
