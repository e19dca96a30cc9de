# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody may have meant who wrote a word that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(word: str, words: Iterable[str], otherwise: str = "") -> str:
    """The remedy for a word that is none of the given ones. otherwise: what to do where none of them is close."""
    known = sorted(words)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if otherwise:
        return otherwise
    return f"choose one of {', '.join(known)}" if 0 < len(known) <= 25 else "remove it, or add what it stands for"
