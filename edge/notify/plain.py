"""Names as a message has them: nothing in them is markup, a link, an address or a mention.

What stands in the store is a stranger's, and every service reads text in its own way: HTML,
Markdown, `@everyone`, `:smile:`, a link out of any word with a dot. So a name keeps letters, marks,
digits and few signs, and no dot within a word.
"""

from __future__ import annotations

import re
import unicodedata

from edge.errors import one_line

__all__ = ["plain"]

SIGNS = " '’(),.-"
MOST = 80  # characters
WITHIN_A_WORD = re.compile(r"\.(?=\S)")
FROM_THE_MARGIN = re.compile(r"^[\s'’(),.-]+")  # a list, a heading, a quotation, a number


def plain(text: str, most: int = MOST) -> str:
    """Return text as a name that no service takes for anything else; "" where nothing is left."""
    kept = "".join(c if c in SIGNS or _is_word(c) else " " for c in one_line(text))
    spaced = " ".join(WITHIN_A_WORD.sub(". ", kept).split())
    return FROM_THE_MARGIN.sub("", spaced)[:most].rstrip(" ,-'’(")


def _is_word(c: str) -> bool:
    return unicodedata.category(c)[0] in "LMN"
