# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What statements make: objects, columns, defaults, constraints. By it new things are told from those in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.statements import head
from ansible_collections.groundwork.supabase.plugins.module_utils.migrations.words import Name, Words
from ansible_collections.groundwork.supabase.plugins.module_utils.sql_statements import lex, statement_spans

VERBS = ("alter", "create", "delete", "do", "drop", "revoke")
# What PL/pgSQL has before a statement.
OPENERS = ("begin", "then", "else", "loop")
RELATIONS = ("table", "view", "materialized view", "foreign table", "sequence")
ROUTINES = ("function", "procedure", "routine", "aggregate")
TYPES = ("type", "domain")
ROLES = ("role", "user", "group")
OF_A_TABLE = ("policy", "trigger")
# Objects without a schema have names of one part.
GLOBAL = ("schema", "extension", "publication", *ROLES)
KINDS = (*RELATIONS, *ROUTINES, *TYPES, *GLOBAL, *OF_A_TABLE)
FAMILY = {kind: family[0] for family in (RELATIONS, ROUTINES, TYPES, ROLES) for kind in family}
SERIAL = ("serial", "bigserial", "smallserial", "serial2", "serial4", "serial8")
CONSTRAINTS = ("constraint", "check", "unique", "primary", "foreign", "exclude", "not")

Made = tuple[str, str]


@dataclass
class World:
    """What the running version knows, and what only the coming migrations make: kind and name.

    kept: what the file at hand makes, by the number of the last statement that does. statement: the one at hand.
    """

    known: set[Made]
    new: set[Made] = field(default_factory=set)
    kept: dict[Made, int] = field(default_factory=dict)
    statement: int = 0

    def is_new(self, kind: str, name: Name) -> bool:
        return not self.new.isdisjoint([*made(kind, name), ("schema", name.schema)])

    def is_replaced(self, thing: Made) -> bool:
        """Whether it is no thing of the running version, or is made anew in the same transaction."""
        return thing in self.new or self.kept.get(thing, -1) >= self.statement

    def make(self, things: Sequence[Made]) -> None:
        self.new.update(thing for thing in things if thing not in self.known)


def sentences_of(statement: str) -> list[Words]:
    """The statement, or those in the body of a DO block, as far as they can matter."""
    verb = head(statement).partition(" ")[0]
    if verb not in VERBS:
        return []
    tokens = list(lex(statement))
    if verb != "do":
        return [Words(tokens)]
    for text, offset in tokens:
        if text.startswith("$") and len(text) > 1:
            tag = text[: text.index("$", 1) + 1]
            return list(_sentences_of_body(text[len(tag) : -len(tag)], offset + len(tag)))
    return []


def _sentences_of_body(body: str, offset: int) -> Iterator[Words]:
    for start, end in statement_spans(body):
        tokens = [(word, offset + start + place) for word, place in lex(body[start:end])]
        for index, (word, _place) in enumerate(tokens):
            if word in VERBS and (index == 0 or tokens[index - 1][0] in OPENERS):
                yield Words(tokens[index:])
                break


def made(kind: str, name: Name) -> list[Made]:
    """What stands for an object. Routines of one name are told apart by the number of their arguments."""
    family, key = FAMILY.get(kind, kind), name.parts[-1] if kind in GLOBAL else name.key
    return [(family, key)] if name.arguments is None else [(family, key), (family, f"{key}/{name.arguments}")]


def things_made(sentence: Words) -> list[Made]:
    """What a statement makes: objects, columns, defaults of columns, constraints."""
    words = sentence.copy()
    if words.skip("alter table"):
        words.skip_any("if exists only", "if exists", "only")
        table = words.name()
        words.skip("*")
        return [thing for action in words.list() for thing in _made_in(action, table)]
    if not words.skip("create"):
        return []
    words.skip("or replace")
    if words.skip("unique index"):
        words.skip_any("concurrently if not exists", "concurrently", "if not exists")
        name = words.name()
        # It lies where its table does. One without a name is called by the server.
        return [("unique index", f"{table_after('on', words).schema}.{name.parts[-1]}")]
    while words.skip_any("temporary", "temp", "unlogged", "recursive", "constraint"):
        pass
    kind = words.skip_any(*KINDS)
    if not kind:
        return []
    words.skip("if not exists")
    name = words.routine() if kind in ROUTINES else words.name()
    if kind in OF_A_TABLE:
        _before, after = words.cut("on")
        return [part_of(kind, table_after("on", after), name.text)]
    # The exact kind too: a view that takes the place of a renamed table is told by it.
    return [*made(kind, name), (f"a {kind}", name.key)]


def _made_in(action: Words, table: Name) -> list[Made]:
    if action.skip("alter"):
        action.skip("column")
        name = action.name()
        return [part_of("default", table, name.text)] if action.skip("set default") else []
    if not action.skip("add"):
        return []
    if action.word in CONSTRAINTS:
        return [part_of("constraint", table, action.name().text)] if action.skip("constraint") else []
    action.skip("column")
    action.skip("if not exists")
    name = action.name()
    things = [part_of("column", table, name.text)]
    return [*things, part_of("default", table, name.text)] if has_default(action.outside_brackets) else things


def part_of(kind: str, table: Name, name: str) -> Made:
    return kind, f"{table.key}.{name.strip(chr(34))}"


def table_after(word: str, words: Words) -> Name:
    words.skip(word)
    words.skip("only")
    return words.name()


def has_default(words: Sequence[str]) -> bool:
    # What a foreign key sets (ON DELETE SET DEFAULT) is another one's.
    own = [word for before, word in zip(["", *words], words) if before != "set"]
    return "default" in own or "generated" in own or words[:1] in [[name] for name in SERIAL]
