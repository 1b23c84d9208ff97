"""The text of a file of YARA rules taken apart into its rules: which there are, what each asks for, which may stand without the others."""

import re
from collections.abc import Collection, Iterable, Iterator, Set
from itertools import pairwise

from msgspec import Struct

# The external variables of signature-base, as LOKI fills them.
EXTERNALS = ("filename", "filepath", "extension", "filetype", "owner")

# Lexical structure: YARA 4.5 documentation, "Writing YARA rules". "/" always begins a comment or a regular expression (division is "\").
_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<text>"(?:[^"\\\n]|\\.)*")
      | (?P<regex>/(?!\*)(?:[^/\\\n]|\\.)+/[is]*)
      | (?P<number>[0-9][A-Za-z0-9]*(?:\.[0-9]+)?)
      | (?P<string>(?:[$\#@]|!(?!=))[A-Za-z0-9_]*\*?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<other>\.\.|[=!<>]=|<<|>>|.)""",
    re.VERBOSE | re.DOTALL,
)
_HEX = re.compile(r"\{(?:[^}/]|//[^\n]*|/\*.*?\*/)*\}", re.DOTALL)


class Undecided(ValueError):
    """A text whose rules cannot be told apart with certainty."""


class Token(Struct, frozen=True):
    """A word of a rule's text: `kind` is text, regex, hex, number, string (``$a``, ``#a``), word or other; where it begins and ends."""

    kind: str
    part: str
    start: int
    end: int


class RuleText(Struct, frozen=True):
    """One rule of a text: its name and modifiers, the tokens of its strings and of its condition, and the place of it in the text.

    `words` are those of the condition (``prefix*`` for a set of rules), `members` those of them that a dot follows (``pe``).
    """

    name: str
    modifiers: frozenset[str]
    strings: tuple[Token, ...]
    condition: tuple[Token, ...]
    words: frozenset[str]
    members: frozenset[str]
    start: int
    end: int

    def referred(self, rules: Set[str]) -> set[str]:
        """Those of these rules that the condition names, each by its name or several as a set."""
        found = set(self.words & rules)
        for word in self.words:
            if word.endswith("*"):
                found |= {name for name in rules if name.startswith(word[:-1])}
        return found


class Text(Struct, frozen=True):
    """A text taken apart: its rules by name, and its imports (module, start, end)."""

    text: str
    rules: dict[str, RuleText]
    imports: tuple[tuple[str, int, int], ...]

    @property
    def has_global(self) -> bool:
        """Whether a global rule, which decides over all the others, is among them."""
        return any("global" in rule.modifiers for rule in self.rules.values())

    def without(self, names: Collection[str]) -> str:
        """The text with these rules, and the imports that then nothing uses, blanked out: lines keep their numbers."""
        kept = [rule for name, rule in self.rules.items() if name not in names]
        members = frozenset().union(*(rule.members for rule in kept))
        gone = [(rule.start, rule.end) for name, rule in self.rules.items() if name in names]
        gone += [(start, end) for module, start, end in self.imports if module not in members]
        parts, at = [], 0
        for start, end in sorted(gone):
            parts += [self.text[at:start], "\n" * self.text.count("\n", start, end)]
            at = end
        return "".join([*parts, self.text[at:]])

    def needed(self, names: Iterable[str]) -> frozenset[str]:
        """These rules and all that they refer to, directly or through others."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.rules[name].referred(self.rules.keys())
        return frozenset(found)

    def reaching(self, names: Iterable[str]) -> frozenset[str]:
        """These rules and all that refer to them, directly or through others; every rule where a global one is among them."""
        found = set(names)
        grown = bool(found)
        while grown:
            more = {name for name, rule in self.rules.items() if name not in found and rule.referred(found)}
            grown = bool(more)
            found |= more
        if any("global" in self.rules[name].modifiers for name in found):
            return frozenset(self.rules)
        return frozenset(found)


def parse(text: str) -> Text:
    """The rules of a text. Raises Undecided."""
    tokens = _tokens(text)
    rules: dict[str, RuleText] = {}
    imports: list[tuple[str, int, int]] = []
    modifiers: list[Token] = []
    for token in tokens:
        if token.kind != "word":
            continue
        if token.part == "include":
            raise Undecided("it includes another file")
        if token.part == "import":
            module = next(tokens, token)
            imports.append((module.part.strip('"'), token.start, module.end))
        elif token.part in ("global", "private"):
            modifiers.append(token)
        elif token.part == "rule":
            rule = _rule(token, modifiers, tokens)
            if rule.name in rules:
                raise Undecided(f"rule {rule.name!r} is there twice")
            rules[rule.name] = rule
            modifiers = []
    return Text(text, rules, tuple(imports))


def _rule(begin: Token, modifiers: list[Token], tokens: Iterator[Token]) -> RuleText:
    """The rule whose word ``rule`` was read, up to its end."""
    name = next(tokens, begin).part
    parts: dict[str, list[Token]] = {"": [], "strings": [], "condition": []}
    section = ""
    for token in tokens:
        if token.part == "}" and token.kind == "other":
            if not parts["condition"]:
                raise Undecided(f"rule {name!r} has no condition")
            start = modifiers[0].start if modifiers else begin.start
            words = frozenset(word.part for word in modifiers)
            return _ruled(name, words, parts["strings"], parts["condition"], start, token.end)
        if token.kind == "word" and (
            (token.part == "strings" and section == "") or (token.part == "condition" and section in ("", "strings"))
        ):
            section = token.part
            continue
        if not (token.part == ":" and not parts[section]):
            parts[section].append(token)
    raise Undecided(f"rule {name!r} is not closed")


def _ruled(name: str, modifiers: frozenset[str], strings: list[Token], condition: list[Token], start: int, end: int) -> RuleText:
    pairs = list(pairwise((Token("other", "", 0, 0), *condition)))
    words = {second.part for first, second in pairs if second.kind == "word" and first.part != "."}  # `macho.filetype` is no external
    members = frozenset(first.part for first, second in pairs if first.kind == "word" and second.part == ".")
    words |= {f"{first.part}*" for first, second in pairs if first.kind == "word" and second.part == "*"}
    return RuleText(name, modifiers, tuple(strings), tuple(condition), frozenset(words), members, start, end)


def _tokens(text: str) -> Iterator[Token]:
    at, last = 0, ""
    while at < len(text):
        if text[at] == "{" and last == "=":
            found, kind = _HEX.match(text, at), "hex"
            if not found:
                raise Undecided("a hexadecimal string is not closed")
        else:
            found = _TOKEN.match(text, at)
            if not found or found[0] in ('"', "/"):
                raise Undecided("a text, comment or regular expression is not closed")
            kind = found.lastgroup or ""
        if kind != "blank":
            last = found[0]
            yield Token(kind, last, at, found.end())
        at = found.end()


def externals_reached(text: str) -> frozenset[str]:
    """The rules of a text that reach an external variable, directly or through other rules. Raises Undecided."""
    parsed = parse(text)
    return parsed.reaching(name for name, rule in parsed.rules.items() if rule.words & set(EXTERNALS))
