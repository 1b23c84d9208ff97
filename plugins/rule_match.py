"""Files that match the examiner's YARA rules, by content alone or by content and name."""

import heapq
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any, cast

import yara
import yara_x
from msgspec import Struct

from forensics.plugin import STATES, ByteRange, File, Finding, Level, LimitExceeded, Prepared, TimedOut, UsageError, Value, extractor
from forensics.rules.compiling import NO_EXTERNALS, line, plain
from forensics.rules.difference import compare, sampled
from forensics.rules.preparing import ready
from forensics.rules.sets import Engine, Name, Sets

_ENGINES = ("screened", "yara", "yara-x")
_WINDOWS = ("ntfs", "fat", "exfat", "refs")  # rules write the paths of these with backslashes
_IN_MEMORY = 32 << 20
_TIMED = 64 << 20
_STRINGS = 50
_EXCERPT = 64
_ALERT_SCORE = 75
_ALERT_WORDS = {"high", "critical", "severe", "alert"}

Meta = dict[str, list[str | int | bool]]


class Instance(Struct, frozen=True):
    """Where a string of a rule matched: offset, identifier, length, the first bytes."""

    offset: int
    name: str
    length: int
    data: bytes


class Match(Struct, frozen=True):
    """A rule that matched, whichever engine found it: the first of its strings' matches, and the number of them all."""

    namespace: str
    rule: str
    tags: list[str]
    meta: Meta
    first: list[Instance]
    count: int


class Matcher(Struct, frozen=True):
    """Compiled sets, the rules of them that are not reported or (`by_name`) alone are, and scanners of YARA-X kept between files."""

    sets: Sets
    named: frozenset[Name]
    by_name: bool = False
    screened: frozenset[Name] = frozenset()
    gates: tuple[bytes, ...] = ()
    screen: Any = None
    alone: Any = None

    def reports(self, rule: Any) -> bool:
        """Whether a rule (anything with `namespace` and `rule`) is one of those that this set answers for."""
        return ((rule.namespace, rule.rule) in self.named) is self.by_name


class Content(Struct, frozen=True):
    """A file's content as the engines take it: whole where it is small, else by its path; and seconds that matching may take."""

    data: bytes | None
    path: str
    seconds: int
    each: int

    def beginning(self) -> bytes:
        """The first bytes."""
        return self.data[:8] if self.data is not None else self.part(0, 8)

    def part(self, offset: int, length: int) -> bytes:
        """Bytes from an offset, at most one more than an excerpt shows."""
        length = min(length, _EXCERPT + 1)
        if self.data is not None:
            return self.data[offset : offset + length]
        with open(self.path, "rb") as stream:
            stream.seek(offset)
            return stream.read(length)


def prepare_content(*, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = "", engine: str = "screened") -> Prepared:
    """Compile the rules that depend on the content alone. Raises UsageError."""
    if engine not in _ENGINES:
        raise UsageError(f"rule-match: engine {engine!r} is none of {', '.join(_ENGINES)}")
    if not rules:
        return Prepared(None, notes=("no rules were given",))
    made = ready(rules, cache, cast(Engine, engine), by_name=False)
    sets, about = made.sets, made.about
    if sets == Sets():
        return Prepared(None, made.inputs, about.notes)
    matcher = Matcher(
        sets=sets,
        named=frozenset(about.named),
        screened=frozenset(about.screened),
        gates=about.gates,
        screen=yara_x.Scanner(sets.screen) if sets.screen is not None else None,
        alone=yara_x.Scanner(sets.alone) if sets.alone is not None else None,
    )
    return Prepared(matcher, made.inputs, about.notes)


def prepare_named(*, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = "") -> Prepared:
    """Compile the rules that depend on the file's name or place. Raises UsageError."""
    if not rules:
        return Prepared(None, notes=("no rules were given",))
    made = ready(rules, cache, "yara", by_name=True)
    value = Matcher(made.sets, frozenset(made.about.named), by_name=True) if made.sets.full is not None else None
    return Prepared(value, made.inputs, made.about.notes)


@extractor(version="1.1", states=STATES, prepare=prepare_content)
def rule_match(
    file: File, matcher: Matcher | None, *, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = "", engine: str = "screened"
) -> Iterator[Finding]:
    """Files that match YARA rules by their content.

    `rules` are files and folders of rules; `timeout` is seconds for each 64 MiB of content; `cache` is a folder in which compiled rules are
    kept. `engine` is `screened` (content in which YARA-X finds nothing does not go on to YARA; every match reported is YARA's), `yara`, or
    `yara-x`. Rules that depend on a file's name or place are matched by `rule-match-named`.
    """
    if matcher is None:
        return
    content = _content(file, timeout)
    found = {(match.namespace, match.rule): match for match in _alone(matcher, content)}
    cut: list[str] = []
    seen = _screen(matcher, content)
    if matcher.screen is None or seen is None or seen or sampled(file.sha256):
        chosen = [matcher.sets.full]
    else:
        chosen = [matcher.sets.always]
        if matcher.gates and content.beginning().startswith(matcher.gates):
            chosen.append(matcher.sets.gated)
    by_yara: dict[Name, Match] = {}
    for rules_of_one in chosen:
        if rules_of_one is not None:
            by_yara |= {(match.namespace, match.rule): match for match in _yara(matcher, rules_of_one, content, NO_EXTERNALS, cut)}
    for _, match in sorted((found | by_yara).items()):
        yield _finding(match)
    _complete(cut)
    if seen is not None:
        compare(matcher.screened, by_yara, seen)


@extractor(version="1.0", needs=("content", "name", "location"), prepare=prepare_named)
def rule_match_named(
    file: File, matcher: Matcher | None, *, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = ""
) -> Iterator[Finding]:
    """Files that match YARA rules which depend on the file's name or place, besides its content.

    Options as of `rule-match`; these rules are always matched by YARA.
    """
    if matcher is None:
        return
    cut: list[str] = []
    found = _yara(matcher, matcher.sets.full, _content(file, timeout), externals(file), cut)
    for match in sorted(found, key=lambda match: (match.namespace, match.rule)):
        yield _finding(match)
    _complete(cut)


def externals(file: File) -> dict[str, str]:
    """The external variables of a file. Paths of Windows file systems are given with backslashes, as rules write them."""
    path, layers = file.location.path, file.location.layers
    if layers and layers[-1].kind.startswith(_WINDOWS):
        path = path.replace("/", "\\")
    found = {"filename": file.name, "filepath": path, "extension": posixpath.splitext(file.name)[1].lower()}
    return NO_EXTERNALS | {name: plain(value) for name, value in found.items()}


def _content(file: File, timeout: int) -> Content:
    seconds = timeout * (1 + file.size // _TIMED)
    if file.size <= _IN_MEMORY:
        return Content(file.read(_IN_MEMORY), "", seconds, timeout)
    return Content(None, str(file.path()), seconds, timeout)


# --- YARA-X -----------------------------------------------------------------------------------------------------------------


def _screen(matcher: Matcher, content: Content) -> frozenset[Name] | None:
    """The screened rules that YARA-X finds; `None` where it is not asked, or fails: then YARA is asked."""
    if matcher.screen is None:
        return None
    try:
        return frozenset((rule.namespace, rule.identifier) for rule in _scan(matcher.screen, content))
    except (yara_x.ScanError, yara_x.TimeoutError):
        return None


def _alone(matcher: Matcher, content: Content) -> Iterator[Match]:
    """The matches that YARA-X itself reports."""
    if matcher.alone is None:
        return
    try:
        rules = _scan(matcher.alone, content)
    except yara_x.TimeoutError as error:
        raise _slow("YARA-X", content) from error
    for rule in rules:
        meta: Meta = {}
        for key, value in rule.metadata:
            meta.setdefault(key, []).append(value if isinstance(value, str | int) else str(value))
        instances = ((each.offset, pattern.identifier, each.length) for pattern in rule.patterns for each in pattern.matches)
        first = [Instance(*place, content.part(place[0], place[2])) for place in heapq.nsmallest(_STRINGS, instances)]
        count = sum(len(pattern.matches) for pattern in rule.patterns)
        yield Match(rule.namespace, rule.identifier, list(rule.tags), meta, first, count)


def _scan(scanner: Any, content: Content) -> Iterable[Any]:
    scanner.set_timeout(content.seconds)
    results = scanner.scan(content.data) if content.data is not None else scanner.scan_file(content.path)
    return cast(Iterable[Any], results.matching_rules)


# --- YARA -------------------------------------------------------------------------------------------------------------------


def _yara(matcher: Matcher, rules: Any, content: Content, given: dict[str, str], cut: list[str]) -> Iterator[Match]:
    """The matches that YARA reports; `cut` takes the strings of which it counted no more."""

    def warned(kind: int, about: Any) -> int:
        if kind == yara.CALLBACK_TOO_MANY_MATCHES and matcher.reports(about):
            cut.append(f"{about.string} of {about.rule}")
        return int(yara.CALLBACK_CONTINUE)

    try:
        found = rules.match(
            **({"data": content.data} if content.data is not None else {"filepath": content.path}),
            externals=given,
            timeout=content.seconds,
            fast=False,
            allow_duplicate_metadata=True,
            warnings_callback=warned,
            console_callback=_unheard,
        )
    except yara.TimeoutError as error:
        raise _slow("YARA", content) from error
    for match in filter(matcher.reports, found):
        instances = ((each.offset, string.identifier, each) for string in match.strings for each in string.instances)
        first = [
            Instance(offset, name, each.matched_length, each.matched_data[: _EXCERPT + 1])
            for offset, name, each in heapq.nsmallest(_STRINGS, instances, key=lambda item: item[:2])
        ]
        yield Match(match.namespace, match.rule, match.tags, match.meta, first, sum(len(string.instances) for string in match.strings))


def _unheard(message: str) -> None:
    """Takes what a rule prints by the module console."""


def _slow(engine: str, content: Content) -> TimedOut:
    return TimedOut(f"{engine} did not end within {content.each} s for each 64 MiB; raise the option timeout, or find the slow rule")


def _complete(cut: list[str]) -> None:
    if cut:
        raise LimitExceeded(f"YARA counts at most 1,000,000 matches of one string; cut short: {', '.join(sorted(set(cut)))}")


# --- findings ---------------------------------------------------------------------------------------------------------------


def _finding(match: Match) -> Finding:
    meta = {f"meta_{line(key)}": _value(value) for key, value in sorted(match.meta.items())}
    data: dict[str, Value] = {
        "rule": match.rule,
        "namespace": match.namespace,
        "tags": sorted(match.tags),
        **meta,
        "strings": [f"{each.name} at {each.offset} ({each.length}): {_excerpt(each.data)}" for each in match.first],
        "string_count": match.count,
    }
    description = meta.get("meta_description")
    return Finding(
        kind="rule-match",
        summary=line(f"{match.rule}: {description}" if isinstance(description, str) and description else match.rule),
        level=_level(match.meta),
        data=data,
        locator=ByteRange(match.first[0].offset, match.first[0].length) if match.first else None,
    )


def _value(values: list[str | int | bool]) -> Value:
    """One value of a meta field, or the list of them where a rule gives a field more than once."""
    clean = [plain(value) if isinstance(value, str) else value for value in values]
    return clean[0] if len(clean) == 1 else [str(value) for value in clean]


def _level(meta: Meta) -> Level:
    for name in ("score", "severity"):
        for value in meta.get(name, []):
            text = str(value).strip().lower()
            if (text.isascii() and text.isdecimal() and int(text[:9]) >= _ALERT_SCORE) or text in _ALERT_WORDS:
                return "alert"
    return "notable"


def _excerpt(data: bytes) -> str:
    """The beginning of what matched: as text where it is printable ASCII or that in UTF-16, else in hexadecimal."""
    more = "…" if len(data) > _EXCERPT else ""
    data = data[:_EXCERPT]
    narrow = data[::2] if data and len(data) % 2 == 0 and not any(data[1::2]) else data
    if all(0x20 <= byte < 0x7F for byte in narrow):
        return narrow.decode("ascii") + more
    return data.hex() + more
