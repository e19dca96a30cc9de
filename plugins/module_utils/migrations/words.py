# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a statement, read from left to right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Name:
    """A name with its schema. text: as it stands, in lower case where it is not quoted; arguments: how many a routine
    has, where that is written."""

    text: str
    parts: tuple[str, ...]
    arguments: int | None = None

    @property
    def schema(self) -> str:
        """The schema that is meant; one that the search path decides is taken as public."""
        return self.parts[-2] if len(self.parts) > 1 else "public"

    @property
    def key(self) -> str:
        """The same for every way to write it."""
        return f"{self.schema}.{self.parts[-1]}"


class Words:
    """A place in a statement's tokens. Reading behind the end gives empty words."""

    def __init__(self, tokens: Sequence[tuple[str, int]]) -> None:
        self._tokens = tokens
        self._next = 0

    def copy(self) -> Words:
        """The same words, to be read anew."""
        return Words(self._tokens[self._next :])

    @property
    def word(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    @property
    def offset(self) -> int:
        """Position of the next word in the statement, from 0."""
        return self._tokens[self._next][1] if self._next < len(self._tokens) else 0

    @property
    def rest(self) -> list[str]:
        return [word for word, _offset in self._tokens[self._next :]]

    @property
    def outside_brackets(self) -> list[str]:
        """What is left, without what stands in brackets."""
        words, depth = [], 0
        for word in self.rest:
            depth -= word == ")"
            if depth == 0 and word != ")":
                words.append(word)
            depth += word == "("
        return words

    def take(self) -> str:
        word = self.word
        self._next += 1
        return word

    def skip(self, phrase: str) -> bool:
        """Go behind the phrase if it comes next."""
        words = phrase.split()
        if [word for word, _offset in self._tokens[self._next : self._next + len(words)]] != words:
            return False
        self._next += len(words)
        return True

    def skip_any(self, *phrases: str) -> str:
        """Go behind the first of the phrases that comes next, and return it; empty where none does."""
        return next((phrase for phrase in phrases if self.skip(phrase)), "")

    def name(self) -> Name:
        texts = [self.take()]
        while self.skip("."):
            texts.append(self.take())
        parts = [text[1:-1].replace('""', '"') if text.startswith('"') else text for text in texts]
        return Name(".".join(texts), tuple(parts))

    def routine(self) -> Name:
        return replace(self.name(), arguments=self.arguments())

    def list(self) -> Iterator[Words]:
        """What stands between commas, each part by itself; commas in brackets do not count."""
        depth, start = 0, self._next
        for index in range(self._next, len(self._tokens)):
            word = self._tokens[index][0]
            depth += (word in "([") - (word in ")]")
            if word == "," and depth == 0:
                yield Words(self._tokens[start:index])
                start = index + 1
        yield Words(self._tokens[start:])

    def arguments(self) -> int | None:
        """How many parts stand in the brackets that come next, none where none come; the place goes behind them."""
        if self.word != "(":
            return None
        depth, commas, start = 0, 0, self._next
        while self.word:
            depth += (self.word in "([") - (self.word in ")]")
            commas += self.word == "," and depth == 1
            self._next += 1
            if depth == 0:
                break
        return commas + 1 if self._next - start > 2 else 0

    def cut(self, *words: str) -> tuple[Words, Words]:
        """What comes before the first of these words, and what from it on; nothing from it on where none comes."""
        for index in range(self._next, len(self._tokens)):
            if self._tokens[index][0] in words:
                return Words(self._tokens[self._next : index]), Words(self._tokens[index:])
        return Words(self._tokens[self._next :]), Words([])
