"""Files that match the examiner's YARA rules, by content alone or by content and name."""

import contextlib
import hashlib
import heapq
import io
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yara
from msgspec import Struct

from forensics.plugin import ByteRange, File, Finding, Level, LimitExceeded, Prepared, UsageError, Value, extractor

# The external variables of signature-base, as LOKI fills them: name, whole path, lower-case extension with its dot. The type by LOKI's own
# list and the owner on a live system are not known here: they are given empty, and the files that ask for them are named.
EXTERNALS = ("filename", "filepath", "extension", "filetype", "owner")
_EMPTY = dict.fromkeys(EXTERNALS, "")
_EXTERNAL = re.compile(r"\b(?:filename|filepath|extension|filetype|owner|include)\b")  # what is included may name any of them
_WINDOWS = ("ntfs", "fat", "exfat", "refs")  # rules write the paths of these with backslashes
_SUFFIXES = {".yar", ".yara"}
_IN_MEMORY = 32 << 20
_TIMED = 64 << 20
_RULE_FILE = 64 << 20
_STRINGS = 50
_EXCERPT = 64
_NOTES = 100
_ALERT_SCORE = 75
_ALERT_WORDS = {"high", "critical", "severe", "alert"}

# Lexical structure: YARA 4.5 documentation, "Writing YARA rules". "/" always begins a comment or a regular expression (division is "\").
_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<text>"(?:[^"\\\n]|\\.)*" | /(?!\*)(?:[^/\\\n]|\\.)+/[is]* | [0-9][A-Za-z0-9]*)
      | (?P<string>[$\#@!][A-Za-z0-9_]*\*?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_HEX = re.compile(r"\{(?:[^}/]|//[^\n]*|/\*.*?\*/)*\}", re.DOTALL)


class RuleFile(Struct, frozen=True):
    """One file of rules: its namespace, the folder within which it may include others, its path there, its text."""

    namespace: str
    root: str
    path: str
    text: str


class Matcher(Struct, frozen=True):
    """Compiled rules, and which of them are reported: those in `named` (namespace, rule), or all but those."""

    rules: Any
    named: frozenset[tuple[str, str]]
    by_name: bool

    def reports(self, rule: Any) -> bool:
        """Whether a rule (anything with `namespace` and `rule`) is one of those that this set answers for."""
        return ((rule.namespace, rule.rule) in self.named) is self.by_name


class Undecided(ValueError):
    """A text whose rules cannot be told apart with certainty."""


# --- which rules depend on the name -----------------------------------------------------------------------------------------


def conditions(text: str) -> dict[str, tuple[bool, frozenset[str]]]:
    """Every rule of a text: whether it is global, and the words of its condition (``prefix*`` for rule sets). Raises Undecided."""
    tokens = _tokens(text)
    rules: dict[str, tuple[bool, frozenset[str]]] = {}
    is_global = False
    for kind, part in tokens:
        if (kind, part) == ("word", "include"):
            raise Undecided("it includes another file")
        if (kind, part) == ("word", "global"):
            is_global = True
        elif (kind, part) == ("word", "rule"):
            name = next(tokens, ("", ""))[1]
            words = _condition(tokens)
            if words is None or name in rules:
                raise Undecided(f"rule {name!r} has no condition, is not closed, or is there twice")
            rules[name] = (is_global, words)
            is_global = False
    return rules


def _condition(tokens: Iterator[tuple[str, str]]) -> frozenset[str] | None:
    """The words of the condition of the rule that begins here, up to the end of that rule."""
    words: set[str] = set()
    last, in_condition = "", False
    for kind, part in tokens:
        if part == "}":
            return frozenset(words) if in_condition else None
        if not in_condition:
            in_condition = (kind, part) == ("word", "condition")
        elif kind == "word":
            words.add(part)
        elif part == "*" and last:
            words.add(f"{last}*")
        last = part if kind == "word" else ""
    return None


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, last = 0, ""
    while at < len(text):
        if text[at] == "{" and last == "=":
            found, kind = _HEX.match(text, at), "text"
            if not found:
                raise Undecided("a hexadecimal string is not closed")
        else:
            found = _TOKEN.match(text, at)
            if not found or found[0] in ('"', "/"):
                raise Undecided("a text, comment or regular expression is not closed")
            kind = found.lastgroup or ""
        at = found.end()
        if kind != "blank":
            last = found[0]
            yield kind, last


def reaching(text: str) -> frozenset[str]:
    """The rules of a text that reach an external variable, directly or through other rules. Raises Undecided."""
    rules = conditions(text)
    found = {name for name, (_, words) in rules.items() if words & set(EXTERNALS)}
    grown = True
    while grown:
        more = {name for name, (_, words) in rules.items() if name not in found and _refers(words, found)}
        grown = bool(more)
        found |= more
    if any(rules[name][0] for name in found):  # a global rule decides over every rule of its namespace
        return frozenset(rules)
    return frozenset(found)


def _refers(words: frozenset[str], found: set[str]) -> bool:
    return bool(words & found) or any(name.startswith(word[:-1]) for word in words if word.endswith("*") for name in found)


# --- reading and compiling --------------------------------------------------------------------------------------------------


def _found(rules: tuple[str, ...]) -> Iterator[tuple[Path, str, str]]:
    """Root, path below it and namespace of every rule file that the option names, sorted; a namespace is given once."""
    taken: set[str] = set()
    for given in rules:
        place = Path(given).expanduser()
        if place.is_dir():
            root, paths = place, sorted(path for path in place.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
        elif place.is_file():
            root, paths = place.parent, [place]
        else:
            raise UsageError(
                f"rules: {given} is not there; name files of YARA rules, or folders that hold {' or '.join(sorted(_SUFFIXES))} files"
            )
        for path in paths:
            below = path.relative_to(root).as_posix()
            namespace, number = below, 1
            while namespace in taken:
                number += 1
                namespace = f"{root.name}/{below}" if number == 2 else f"{root.name}/{below} ({number - 1})"
            taken.add(namespace)
            yield root, below, namespace


def _read(path: Path) -> tuple[bytes, str]:
    """Bytes and text of a rule file. Raises ValueError that says why it cannot be compiled."""
    try:
        with open(path, "rb") as file:
            data = file.read(_RULE_FILE + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    if len(data) > _RULE_FILE:
        raise ValueError(f"is larger than {_RULE_FILE} bytes")
    try:
        return data, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save it as UTF-8, or write the byte as \\x.."
        ) from error


class _Includes:
    """Answers YARA's requests for files: the rule files themselves, and what they include from their own folder."""

    def __init__(self, files: Iterable[RuleFile]) -> None:
        self._files = {file.namespace: file for file in files}
        self._paths: dict[tuple[str, str], str] = {}
        self.read: dict[str, str] = {}
        self.refused: dict[str, str] = {}

    def __call__(self, requested: str, caller: str | None, namespace: str) -> str | None:
        file = self._files[namespace]
        if not caller:
            self._paths[namespace, requested] = file.path
            return file.text
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self._paths.get((namespace, caller), file.path)), requested))
        root = Path(file.root).resolve()
        if path.startswith(("/", "..")) or not (root / path).resolve().is_relative_to(root):
            self.refused[namespace] = f"it includes {requested!r}, which is outside its folder"
            return None
        try:
            data, text = _read(root / path)
        except ValueError as error:
            self.refused[namespace] = f"it includes {requested!r}, which {error}"
            return None
        self._paths[namespace, requested] = path
        self.read[f"{file.root}/{path}"] = hashlib.sha256(data).hexdigest()
        return text


def _compiled(files: Iterable[RuleFile]) -> tuple[Any, _Includes]:
    """The rules of `files`, each in its namespace, so that errors and warnings name the file. Raises ValueError."""
    includes = _Includes(files := tuple(files))
    if not files:
        return None, includes
    sources = {file.namespace: f'include "{_harmless(file.namespace)}"\n' for file in files}
    try:
        rules = yara.compile(sources=sources, externals=_EMPTY, include_callback=includes)
    except yara.Error as error:
        raise ValueError("; ".join(includes.refused.values()) or _line(str(error))) from error
    if includes.refused:  # what is left may compile all the same
        raise ValueError("; ".join(includes.refused.values()))
    return rules, includes


def _harmless(name: str) -> str:
    return re.sub(r"[^\w .,+@()/-]", "_", name)


def _sound(files: tuple[RuleFile, ...]) -> tuple[Any, _Includes, tuple[RuleFile, ...], dict[str, str]]:
    """The rules of all files that compile, those files, and why each of the others does not."""
    failed: dict[str, str] = {}
    try:
        rules, includes = _compiled(files)
    except ValueError:
        for file in files:
            try:
                _compiled([file])
            except ValueError as error:
                failed[file.namespace] = str(error)
        files = tuple(file for file in files if file.namespace not in failed)
        try:
            rules, includes = _compiled(files)
        except ValueError as error:
            raise UsageError(f"rules: each file compiles, but not all of them together ({error}); give fewer") from error
    return rules, includes, files, failed


class Built(Struct, frozen=True):
    """What is kept of a compilation beside the compiled rules: see `_build`."""

    named: tuple[tuple[str, str], ...]
    included: dict[str, str]
    notes: tuple[str, ...]
    sha256: str = ""


def _build(files: tuple[RuleFile, ...], by_name: bool) -> tuple[Any, Built]:
    """All rules or, `by_name`, those of files that may depend on the name; and which of their rules do depend on it."""
    if by_name:
        files = tuple(file for file in files if _may_depend(file.text))
    rules, includes, files, failed = _sound(files)
    named: set[tuple[str, str]] = set()
    undecided: list[str] = []
    for file in filter(lambda file: _may_depend(file.text), files):
        names = frozenset(rule.identifier for rule in _compiled([file])[0])
        try:
            found = reaching(file.text)
            if set(conditions(file.text)) != names:
                raise Undecided("its rules could not be told apart")
        except Undecided as error:
            undecided.append(f"{file.namespace}: all its rules are matched for each name anew, since {error}")
            found = names
        named |= {(file.namespace, name) for name in found}
    total = sum(1 for _ in rules) if rules is not None else 0
    if by_name:
        notes = [f"{len(named)} rules depend on the file's name or place; YARA {yara.YARA_VERSION}"]
        asking = (file.namespace for file in files if re.search(r"\b(?:filetype|owner)\b", file.text))
        notes += [f"{name}: names filetype or owner, which are not known here and given empty" for name in asking]
    else:
        notes = [f"{total} rules of {len(files)} files, of which rule-match-named matches {len(named)}; YARA {yara.YARA_VERSION}"]
    notes += [f"not compiled: {name}: {why}" for name, why in sorted(failed.items())]
    notes += undecided
    notes += [
        f"{file.namespace}: uses the clock (module time): its matches may differ from run to run" for file in files if _clock(file.text)
    ]
    warnings = [f"warning: {_line(warning)}" for warning in rules.warnings] if rules is not None else []
    notes += warnings[:_NOTES]
    if len(warnings) > _NOTES:
        notes.append(f"{len(warnings) - _NOTES} more warnings of the compiler are not listed")
    empty = total - len(named) == 0 if not by_name else not named
    return (None if empty else rules), Built(tuple(sorted(named)), includes.read, tuple(notes))


def _may_depend(text: str) -> bool:
    return _EXTERNAL.search(text) is not None


def _clock(text: str) -> bool:
    return re.search(r'\bimport\s+"time"', text) is not None


def _cached(cache: str, key: str, build: Callable[[], tuple[Any, Built]]) -> tuple[Any, Built]:
    """Compiled rules out of the cache where they lie there undamaged under their key, else built and put there."""
    if not cache:
        return build()
    path = Path(cache).expanduser() / f"{key}.yarc"
    with contextlib.suppress(OSError, ValueError, yara.Error):
        built = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Built)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == built.sha256 and all(_digest(name) == stated for name, stated in built.included.items()):
            return (yara.load(file=io.BytesIO(data)) if data else None), built
    rules, built = build()
    stream = io.BytesIO()
    if rules is not None:
        rules.save(file=stream)
    built = msgspec.structs.replace(built, sha256=hashlib.sha256(stream.getvalue()).hexdigest())
    with contextlib.suppress(OSError):  # a cache that cannot be written is none
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, stream.getvalue())
        _put(path.with_suffix(".json"), msgspec.json.encode(built))
    return rules, built


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _put(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_bytes(data)
    temporary.replace(path)


def _prepare(rules: tuple[str, ...], cache: str, by_name: bool) -> Prepared:
    if not rules:
        return Prepared(None, notes=("no rules were given",))
    files: list[RuleFile] = []
    inputs: dict[str, str] = {}
    unread: list[str] = []
    for root, below, namespace in _found(rules):
        try:
            data, text = _read(root / below)
        except ValueError as error:
            unread.append(f"not compiled: {namespace}: {error}")
            continue
        inputs[namespace] = hashlib.sha256(data).hexdigest()
        files.append(RuleFile(namespace, str(root), below, text))
    if not files and not unread:
        raise UsageError(f"rules: no {' or '.join(sorted(_SUFFIXES))} file is in {', '.join(rules)}")
    about = [yara.YARA_VERSION, by_name, _digest(__file__), *sorted(inputs.items())]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    compiled, built = _cached(cache, key, lambda: _build(tuple(files), by_name))
    for path, digest in built.included.items():
        inputs[f"included {Path(path).parent.name}/{Path(path).name}"] = digest
    inputs["namespaces and YARA version"] = key
    value = Matcher(compiled, frozenset(built.named), by_name) if compiled is not None else None
    return Prepared(value, inputs, (*unread, *built.notes))


def prepare_content(*, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = "") -> Prepared:
    """Compile the rules that depend on the content alone. Raises UsageError."""
    return _prepare(rules, cache, by_name=False)


def prepare_named(*, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = "") -> Prepared:
    """Compile the rules that depend on the file's name or place. Raises UsageError."""
    return _prepare(rules, cache, by_name=True)


# --- matching ---------------------------------------------------------------------------------------------------------------


@extractor(version="1.0", prepare=prepare_content)
def rule_match(
    file: File, matcher: Matcher | None, *, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = ""
) -> Iterator[Finding]:
    """Files that match YARA rules by their content.

    `rules` are files and folders of rules; `timeout` is seconds for each 64 MiB of content; `cache` is a folder in which compiled rules are
    kept. Rules that depend on a file's name or place are matched by `rule-match-named`, which takes the same options.
    """
    if matcher:
        yield from _matches(file, matcher, _EMPTY, timeout)


@extractor(version="1.0", needs=("content", "name", "location"), prepare=prepare_named)
def rule_match_named(
    file: File, matcher: Matcher | None, *, rules: tuple[str, ...] = (), timeout: int = 60, cache: str = ""
) -> Iterator[Finding]:
    """Files that match YARA rules which depend on the file's name or place, besides its content.

    Options as of `rule-match`.
    """
    if matcher:
        yield from _matches(file, matcher, externals(file), timeout)


def externals(file: File) -> dict[str, str]:
    """The external variables of a file. Paths of Windows file systems are given with backslashes, as rules write them."""
    path, layers = file.location.path, file.location.layers
    if layers and layers[-1].kind.startswith(_WINDOWS):
        path = path.replace("/", "\\")
    found = {"filename": file.name, "filepath": path, "extension": posixpath.splitext(file.name)[1].lower()}
    return _EMPTY | {name: _plain(value) for name, value in found.items()}


def _plain(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _matches(file: File, matcher: Matcher, given: dict[str, str], timeout: int) -> Iterator[Finding]:
    cut: list[str] = []

    def warned(kind: int, about: Any) -> int:
        if kind == yara.CALLBACK_TOO_MANY_MATCHES and matcher.reports(about):
            cut.append(f"{about.string} of {about.rule}")
        return int(yara.CALLBACK_CONTINUE)

    content = {"data": file.read(_IN_MEMORY)} if file.size <= _IN_MEMORY else {"filepath": str(file.path())}
    try:
        found = matcher.rules.match(
            **content,
            externals=given,
            timeout=timeout * (1 + file.size // _TIMED),
            fast=False,
            allow_duplicate_metadata=True,
            warnings_callback=warned,
            console_callback=lambda message: None,
        )
    except yara.TimeoutError as error:
        raise LimitExceeded(
            f"YARA did not end within {timeout} s for each 64 MiB; raise the option timeout, or find the slow rule"
        ) from error
    for match in sorted(found, key=lambda match: (match.namespace, match.rule)):
        if matcher.reports(match):
            yield _finding(match)
    if cut:
        raise LimitExceeded(f"YARA counts at most 1,000,000 matches of one string; cut short: {', '.join(sorted(set(cut)))}")


def _finding(match: Any) -> Finding:
    meta = {f"meta_{_line(key)}": _value(value) for key, value in sorted(match.meta.items())}
    instances = [(instance.offset, string.identifier, instance) for string in match.strings for instance in string.instances]
    first = heapq.nsmallest(_STRINGS, instances, key=lambda item: item[:2])
    data: dict[str, Value] = {
        "rule": match.rule,
        "namespace": match.namespace,
        "tags": sorted(match.tags),
        **meta,
        "strings": [f"{name} at {offset} ({each.matched_length}): {_excerpt(each.matched_data)}" for offset, name, each in first],
        "string_count": len(instances),
    }
    description = meta.get("meta_description")
    return Finding(
        kind="rule-match",
        summary=_line(f"{match.rule}: {description}" if isinstance(description, str) and description else match.rule),
        level=_level(match.meta),
        data=data,
        locator=ByteRange(first[0][0], first[0][2].matched_length) if first else None,
    )


def _value(values: list[str | int | bool]) -> Value:
    """One value of a meta field, or the list of them where a rule gives a field more than once."""
    plain = [_plain(value) if isinstance(value, str) else value for value in values]
    return plain[0] if len(plain) == 1 else [str(value) for value in plain]


def _level(meta: dict[str, list[str | int | bool]]) -> Level:
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


def _line(text: str) -> str:
    return " ".join(_plain(text).split())[:300]
