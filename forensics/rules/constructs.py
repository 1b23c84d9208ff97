"""Which rules YARA-X may screen: those that use nothing but constructs for which it is known to match wherever YARA does.

The list is what a comparison of YARA 4.5.4 and YARA-X 1.23.0 over generated rules and contents found equal
(tests/test_rules_constructs.py). Found different, and so not on it: ``.`` in a regular expression (``/ab.?/`` does not match
``ab`` in YARA-X), ``[^\\n]``, ``[\\s\\S]``, empty alternatives, wide regular expressions with ``^``, ``$``, ``\\b`` or ``fullword``,
``xor fullword``, ``base64``, ``0 of``, shifts. Modules are not on it: each engine has its own parsers.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from forensics.rules.text import RuleText, Token

_CONSTANT = re.compile(r"0x[0-9a-fA-F]+|[0-9]+")
_WORDS = frozenset({
    "and", "or", "not", "true", "false", "all", "any", "none", "of", "them", "at", "in", "filesize",
    "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "iequals",
    "uint8", "uint16", "uint32", "uint8be", "uint16be", "uint32be", "int8", "int16", "int32", "int8be", "int16be", "int32be",
})  # fmt: skip
_OTHERS = frozenset({"(", ")", "[", "]", ",", "+", "-", "*", "\\", "%", "&", "|", "^", "~", "<", ">", "==", "!=", "<=", ">=", ".."})
_MODIFIERS = frozenset({"ascii", "wide", "nocase", "fullword", "xor", "private"})

_NARROW = 254  # members of the widest class on the list
_DIGIT = set(range(0x30, 0x3A))
_WORD = _DIGIT | set(range(0x41, 0x5B)) | set(range(0x61, 0x7B)) | {0x5F}
_SPACE = {9, 10, 11, 12, 13, 32}
_NAMED = {"n": 10, "r": 13, "t": 9}
# A regular expression of the list: without `.`, or what YARA-X takes for it.
_CLASS_ITEM = r"(?:[^\\\]\[\n^]|\\[\\/.\-\[\]{}()*+?^$|wWdDsSnrt\"' ]|\\x[0-9a-fA-F]{2})"
_CLASS_RANGE = re.compile(rf"({_CLASS_ITEM})(?:-({_CLASS_ITEM}))?")
_ATOM = re.compile(
    rf"""(?P<class>\[\^?(?:{_CLASS_ITEM})+\])
      | (?P<escape>\\(?:[wWdDsSnrt]|x[0-9a-fA-F]{{2}}|[^A-Za-z0-9\s]))
      | (?P<quantifier>(?:[?*+]|\{{[0-9]{{1,3}}(?:,[0-9]{{0,3}})?\}})\??)
      | (?P<open>\() | (?P<close>\)) | (?P<either>\|)
      | (?P<plain>[A-Za-z0-9 _<>=:;,!@\#%&~"'`/-])""",
    re.VERBOSE,
)
_UNDEFINED = frozenset(
    {"imphash", "exports", "imports", "number_of_sections", "number_of_signatures", "number_of_resources", "machine", "subsystem"}
)
_NUMBERS: dict[str, tuple[int, Literal["big", "little"]]] = {
    f"{sign}int{bits}{order}": (bits // 8, "big" if order else "little")
    for sign in ("u", "")
    for bits in (8, 16, 32)
    for order in ("", "be")
}


def beginnings(rule: RuleText) -> frozenset[bytes]:
    """The bytes with one of which content must begin for the rule to match (``uint16(0) == 0x5A4D and ...``); none where any may."""
    return _beginnings(rule.condition)


def _beginnings(tokens: tuple[Token, ...]) -> frozenset[bytes]:
    while len(tokens) > 2 and tokens[0].part == "(" and _closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    choices = _parts(tokens, "or")
    if len(choices) > 1:
        found = [_beginnings(choice) for choice in choices]
        return frozenset().union(*found) if all(found) else frozenset()
    terms = _parts(tokens, "and")
    if len(terms) > 1:
        return next(filter(None, map(_beginnings, terms)), frozenset())
    words = [token.part for token in tokens]
    if len(words) == 6 and words[0] in _NUMBERS and words[1:5] == ["(", "0", ")", "=="] and _CONSTANT.fullmatch(words[5]):
        size, order = _NUMBERS[words[0]]
        value = int(words[5], 16 if words[5].startswith("0x") else 10)
        if value < 1 << (8 * size - (not words[0].startswith("u"))):
            return frozenset({value.to_bytes(size, order)})
    # Of what is no PE file the fields of module pe are undefined, and so is what compares them; there is nothing to loop over.
    field = tokens[7:8] if words[:2] == ["for", "any"] and words[3:5] == ["in", "("] and words[6:7] == [".."] else tokens[:1]
    if [token.part for token in field] == ["pe"]:
        at = tokens.index(field[0])
        if words[at + 2] in _UNDEFINED and (at or not any(token.kind == "word" for token in tokens[3:])):
            return frozenset({b"MZ"})
    return frozenset()


def _closing(tokens: tuple[Token, ...]) -> int:
    """The place of the parenthesis that closes the one at the beginning."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.part == "(") - (token.part == ")")
        if depth == 0:
            return place
    return len(tokens)


def _parts(tokens: tuple[Token, ...], word: str) -> list[tuple[Token, ...]]:
    """The parts of a condition between a word that stands outside of parentheses."""
    depth, begin, parts = 0, 0, []
    for place, token in enumerate(tokens):
        depth += (token.part in ("(", "[")) - (token.part in (")", "]"))
        if depth == 0 and token.kind == "word" and token.part == word:
            parts.append(tokens[begin:place])
            begin = place + 1
    return [*parts, tokens[begin:]]


def unscreened(rule: RuleText, rules: frozenset[str]) -> str:
    """Why YARA-X may not screen a rule of a text with these `rules`; empty where it may."""
    return next(_strings(rule), "") or next(_condition(rule, rules), "")


def _strings(rule: RuleText) -> Iterator[str]:
    parts: list[list[Token]] = []
    for token in rule.strings:
        if token.kind == "string":
            parts.append([])
        elif parts:
            parts[-1].append(token)
    for part in parts:
        modifiers = {token.part for token in part if token.kind == "word"}
        yield from (f"modifier {word}" for word in sorted(modifiers - _MODIFIERS))
        if {"xor", "fullword"} <= modifiers:
            yield "xor with fullword"
        for token in part:
            if token.kind == "regex" and (reason := _regex(token.part, modifiers)):
                yield reason


def _regex(part: str, modifiers: set[str]) -> str:
    """Why a regular expression is none of the list; empty where it is."""
    body = part[1:].rpartition("/")[0]
    if {"wide", "fullword"} <= modifiers or ("wide" in modifiers and (body.startswith("^") or body.endswith("$"))):
        return "a wide regular expression with an anchor or fullword"
    body = body.removeprefix("^")
    body = body.removesuffix("$") if not body.endswith("\\$") else body
    kinds: list[str] = []
    at = 0
    while at < len(body):
        found = _ATOM.match(body, at)
        if not found:
            return "a regular expression with . or of unusual form"
        if found.lastgroup == "class" and len(_members(found[0])) > _NARROW:
            return "a regular expression with a class of nearly all bytes"
        kinds.append(found.lastgroup or "")
        at = found.end()
    return _form(kinds)


def _members(written: str) -> set[int]:
    """The bytes of a class, as YARA reads it."""
    negated = written.startswith("[^")
    found: set[int] = set()
    for first, last in _CLASS_RANGE.findall(written[1 + negated : -1]):
        low, high = _bytes(first), _bytes(last or first)
        found |= set(range(min(low), max(high) + 1)) if last else low
    return set(range(256)) - found if negated else found


def _bytes(item: str) -> set[int]:
    sets = {"w": _WORD, "d": _DIGIT, "s": _SPACE}
    if len(item) == 1:
        return {ord(item)} if ord(item) < 256 else set(range(256))
    if item[1].lower() in sets:
        return sets[item[1]] if item[1].islower() else set(range(256)) - sets[item[1].lower()]
    return {int(item[2:], 16)} if item[1] == "x" else {_NAMED.get(item[1], ord(item[1]))}


def _form(kinds: list[str]) -> str:
    for first, second in pairwise(["open", *kinds, "close"]):
        if first in ("open", "either") and second in ("close", "either", "quantifier"):
            return "a regular expression with an empty part"
        if first == second == "quantifier":
            return "a regular expression with . or of unusual form"
    for before, kind, after in zip(["open", *kinds], kinds, [*kinds[1:], "close"], strict=False):
        if kind in ("class", "escape") and before in ("open", "either") and after in ("close", "either") and "either" in (before, after):
            return "a regular expression that chooses between classes"  # both may be all bytes together
    return ""


def _condition(rule: RuleText, rules: frozenset[str]) -> Iterator[str]:
    if not _regexes(rule).isdisjoint(_placed(rule)):
        yield "counts or places with a regular expression"
    before = ""
    for token in rule.condition:
        if token.kind == "regex":
            yield "matches"
        elif token.kind == "string" and token.part[0] == "!":
            yield "the length of a match"
        elif token.kind == "word" and token.part not in _WORDS and token.part not in rules:
            yield token.part
        elif token.kind == "other" and token.part not in _OTHERS:
            yield f"operator {token.part}"
        elif token.part == "of" and not (before in ("all", "any", "none") or (before.isdecimal() and int(before) > 0)):
            yield "a computed number of strings, or none"
        before = token.part


def _regexes(rule: RuleText) -> set[str]:
    """The names, without their ``$``, of the strings that are regular expressions."""
    found: set[str] = set()
    name = ""
    for token in rule.strings:
        if token.kind == "string":
            name = token.part[1:]
        elif token.kind == "regex":
            found.add(name)
    return found


def _placed(rule: RuleText) -> set[str]:
    """The names of the strings whose matches are counted or placed: all of them where it is not said of which."""
    counted = {token.part[1:] for token in rule.condition if token.kind == "string" and token.part[0] in "#@"}
    return _regexes(rule) if "" in counted or {"at", "in"} & rule.words else counted
