# SPDX-License-Identifier: MIT
"""The little that the checkers need to know of C: where comments and strings are."""

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<comment>/\*.*?\*/|//(?:\\\n|[^\n])*)
    | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    """,
    re.S | re.X,
)


class Comment(NamedTuple):
    first: int  # line numbers, from 1, both included
    last: int
    text: str


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip_comments(text, strings=True):
    """Blank comments, and the contents of strings if asked; lines and columns stay."""

    def replace(match):
        token = match[0]
        if match["comment"] is not None:
            return _blank(token)
        return token[0] + _blank(token[1:-1]) + token[-1] if strings else token

    return _TOKEN.sub(replace, text)


def comments(text):
    """All comments, in order."""
    found = []
    for match in _TOKEN.finditer(text):
        if match["comment"] is not None:
            first = text.count("\n", 0, match.start()) + 1
            found.append(Comment(first, first + match[0].count("\n"), match[0]))
    return found
