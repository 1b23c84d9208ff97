"""The compiled sets that matching asks: all rules by YARA, those that YARA-X screens, those that it may not, those that it alone has.

Every rule that depends on the content alone is of one class:
- *screened*: content in which YARA-X finds no such rule need not go on to YARA for it;
- *gated*: YARA alone, and only content that begins with one of the bytes that these rules ask for (``MZ``);
- *always*: YARA alone, all content;
- *alone*: it needs a module that YARA is without here, and YARA-X reports it.
"""

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any, Literal

import msgspec
import yara
import yara_x
from msgspec import Struct

from forensics.rules.compiling import X_MODULES, by_yara, by_yara_x, line, names, sound
from forensics.rules.constructs import beginnings, unscreened
from forensics.rules.source import RuleFile
from forensics.rules.text import EXTERNALS, Text, Undecided, parse

Engine = Literal["screened", "yara", "yara-x"]
Name = tuple[str, str]  # namespace, rule
_EXTERNAL = re.compile(r"\b(?:filename|filepath|extension|filetype|owner|include)\b")  # what is included may name any of them
_NOTES = 100
_REASONS = 20


class Sets(Struct, frozen=True):
    """Compiled rules by class, `None` where there are none. `full` is what YARA compiled, all classes but `alone`."""

    full: Any = None
    always: Any = None
    gated: Any = None
    screen: Any = None
    alone: Any = None


class About(Struct, frozen=True):
    """What is known of the sets: rules that depend on the name, rules that are screened, the gates, included files, notes."""

    named: tuple[Name, ...] = ()
    screened: tuple[Name, ...] = ()
    gates: tuple[bytes, ...] = ()
    included: dict[str, str] = {}
    notes: tuple[str, ...] = ()


def build(files: tuple[RuleFile, ...], engine: Engine) -> tuple[Sets, About]:
    """The sets for matching by content. Raises UsageError."""
    texts = {file.namespace: _parsed(file.text) for file in files}
    foreign = {file.namespace: _foreign(texts[file.namespace]) for file in files}
    if engine == "yara-x":
        return _build_x(files, texts)
    full, includes, kept, failed = sound(tuple(_without(file, texts[file.namespace], foreign[file.namespace]) for file in files))
    named, undecided = _named(kept)
    alone, lacking = _alone(files, texts, foreign, engine)
    total = sum(1 for _ in full or ())
    notes = [f"{total} rules of {len(kept)} files, of which rule-match-named matches {len(named)}; YARA {yara.YARA_VERSION}"]
    sets, about = Sets(full=full if total > len(named) else None, alone=alone), About()
    if engine == "screened" and sets.full is not None:
        sets, about = _screened(sets, kept, named)
        notes.append(f"YARA-X {_x_version()} screens {len(about.screened)} of them; every match reported is YARA's")
    if alone is not None:
        notes.append(f"{len(names(alone))} rules need a module that YARA is without here, and are matched by YARA-X {_x_version()}")
    notes += [f"not compiled: {name}: {why}" for name, why in sorted(failed.items())]
    notes += [*lacking, *undecided, *_clocks(kept), *_warnings(full), *about.notes]
    return sets, msgspec.structs.replace(about, named=tuple(sorted(named)), included=includes.read, notes=tuple(notes))


def build_named(files: tuple[RuleFile, ...]) -> tuple[Sets, About]:
    """The sets for matching by name and content: the rules of files that may depend on the name. Raises UsageError."""
    files = tuple(file for file in files if _EXTERNAL.search(file.text))
    texts = {file.namespace: _parsed(file.text) for file in files}
    foreign = {file.namespace: _foreign(texts[file.namespace]) for file in files}
    full, includes, kept, failed = sound(tuple(_without(file, texts[file.namespace], foreign[file.namespace]) for file in files))
    named, undecided = _named(kept)
    notes = [f"{len(named)} rules depend on the file's name or place; YARA {yara.YARA_VERSION}"]
    asking = (file.namespace for file in kept if re.search(r"\b(?:filetype|owner)\b", file.text))
    notes += [f"{name}: names filetype or owner, which are not known here and given empty" for name in asking]
    notes += [f"not compiled: {name}: {why}" for name, why in sorted(failed.items())]
    for namespace, rules in foreign.items():
        text = texts[namespace]
        reached = _reaching(text) if text else frozenset()
        notes += [
            f"not compiled: {namespace}: rule {name} depends on the name, and needs {why}"
            for name, why in sorted(rules.items())
            if name in reached
        ]
    notes += [*undecided, *_clocks(kept), *_warnings(full)]
    return Sets(full=full if named else None), About(named=tuple(sorted(named)), included=includes.read, notes=tuple(notes))


# --- the classes ------------------------------------------------------------------------------------------------------------


def _parsed(text: str) -> Text | None:
    try:
        return parse(text)
    except Undecided:
        return None


def _reaching(text: Text) -> frozenset[str]:
    return text.reaching(name for name, rule in text.rules.items() if rule.words & set(EXTERNALS))


def _foreign(text: Text | None) -> dict[str, str]:
    """The rules that need a module that YARA is without here, and which; those that refer to them need it too."""
    if text is None:
        return {}
    missing = {module for module, _, _ in text.imports} - set(yara.modules)
    found: dict[str, str] = {}
    for module in sorted(missing):
        direct = [name for name, rule in text.rules.items() if module in rule.members]
        for name in text.reaching(direct):
            found[name] = f"{found[name]}, {module}" if name in found else f"the module {module}"
    return found


def _without(file: RuleFile, text: Text | None, gone: Iterable[str]) -> RuleFile:
    if text is None or (not gone and not any(module not in yara.modules for module, _, _ in text.imports)):
        return file
    return msgspec.structs.replace(file, text=text.without(frozenset(gone)))


def _only(file: RuleFile, text: Text, wanted: Iterable[str]) -> RuleFile:
    """A file with these rules and what they refer to alone."""
    return msgspec.structs.replace(file, text=text.without(text.rules.keys() - text.needed(wanted)))


def _named(files: tuple[RuleFile, ...]) -> tuple[frozenset[Name], list[str]]:
    """The rules that depend on the name, and of which files that could not be told, so that it is said of all their rules."""
    named: set[Name] = set()
    undecided: list[str] = []
    for file in files:
        if not _EXTERNAL.search(file.text):
            continue
        compiled = frozenset(rule.identifier for rule in by_yara([file])[0])
        try:
            text = parse(file.text)
            if text.rules.keys() != compiled:
                raise Undecided("its rules could not be told apart")
            found = _reaching(text)
        except Undecided as error:
            undecided.append(f"{file.namespace}: all its rules are matched for each name anew, since {error}")
            found = compiled
        named |= {(file.namespace, name) for name in found}
    return frozenset(named), undecided


def _alone(
    files: tuple[RuleFile, ...], texts: dict[str, Text | None], foreign: dict[str, dict[str, str]], engine: Engine
) -> tuple[Any, list[str]]:
    """The rules that YARA-X alone has the modules for, compiled by it, and which rules neither engine compiles."""
    chosen: list[RuleFile] = []
    notes: list[str] = []
    for file in files:
        text, needing = texts[file.namespace], foreign[file.namespace]
        if text is None or not needing:
            continue
        reached = _reaching(text)
        able = {
            name
            for name, why in needing.items()
            if engine != "yara" and name not in reached and set(why.removeprefix("the module ").split(", ")) <= X_MODULES
        }
        if able:
            chosen.append(_only(file, text, able))
        notes += [
            f"not compiled: {file.namespace}: rule {name} needs {why}, which YARA is without here"
            for name, why in sorted(needing.items())
            if name not in able and name not in reached
        ]
    if not chosen:
        return None, notes
    rules, failed = by_yara_x(chosen)
    return rules, notes + [f"not compiled: {name}: {why}" for name, reasons in sorted(failed.items()) for why in reasons]


def _screened(sets: Sets, files: tuple[RuleFile, ...], named: frozenset[Name]) -> tuple[Sets, About]:
    """The sets with the rules of `files` divided into those screened, gated and matched always; the notes say why."""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    texts: dict[str, Text | None] = {}
    chosen: dict[str, frozenset[str]] = {}
    for file in files:
        text = _parsed(file.text)
        texts[file.namespace] = text = None if text is None or text.has_global else text
        chosen[file.namespace] = frozenset(_screenable(file.namespace, text, named, reasons)) if text else frozenset()
    parts = ((file, texts[file.namespace]) for file in files)
    screen, _ = by_yara_x(_only(file, text, chosen[file.namespace]) for file, text in parts if text and chosen[file.namespace])
    compiled = names(screen)
    always: list[RuleFile] = []
    gated: list[RuleFile] = []
    gates: set[bytes] = set()
    counts = {"always": 0, "gated": 0}
    for file in files:
        text = texts[file.namespace]
        if text is None:
            if any((file.namespace, rule.identifier) not in named for rule in by_yara([file])[0]):
                always.append(file)
                reasons["a global rule, or a file that cannot be taken apart"].append(file.namespace)
            continue
        for name in chosen[file.namespace]:
            if (file.namespace, name) not in compiled:
                reasons["YARA-X does not compile it"].append(name)
        rest = [
            name for name, rule in text.rules.items() if "private" not in rule.modifiers and (file.namespace, name) not in compiled | named
        ]
        begins = {name: beginnings(text.rules[name]) for name in rest}
        for part, wanted in ((gated, [name for name in rest if begins[name]]), (always, [name for name in rest if not begins[name]])):
            if wanted:
                part.append(_only(file, text, wanted))
                counts["gated" if part is gated else "always"] += len(wanted)
        gates |= frozenset().union(*begins.values())
    notes = tuple(_reasons(reasons, counts, gates))
    sets = msgspec.structs.replace(sets, screen=screen, always=by_yara(always)[0], gated=by_yara(gated)[0])
    return sets, About(screened=tuple(sorted(compiled)), gates=tuple(sorted(gates)), notes=notes)


def _screenable(namespace: str, text: Text, named: frozenset[Name], reasons: defaultdict[str, list[str]]) -> Iterator[str]:
    every = frozenset(text.rules)
    able = set()
    for name, rule in text.rules.items():
        if (namespace, name) in named:
            continue
        if reason := unscreened(rule, every):
            reasons[reason].append(name)
        else:
            able.add(name)
    yield from (name for name in able if "private" not in text.rules[name].modifiers and text.needed([name]) <= able)


def _reasons(reasons: dict[str, list[str]], counts: dict[str, int], gates: set[bytes]) -> Iterator[str]:
    if counts["gated"]:
        begins = ", ".join(gate.hex() for gate in sorted(gates))
        yield f"{counts['gated']} rules go to YARA unscreened, for content that begins with {begins} alone"
    if counts["always"]:
        yield f"{counts['always']} rules go to YARA unscreened, for all content"
    ordered = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    for reason, rules in ordered[:_REASONS]:
        yield f"not screened: {line(reason)}: {len(rules)} ({', '.join(sorted(rules)[:3])}{', ...' if len(rules) > 3 else ''})"
    if len(ordered) > _REASONS:
        yield f"not screened: {len(ordered) - _REASONS} more reasons, {sum(len(rules) for _, rules in ordered[_REASONS:])} rules"


def _build_x(files: tuple[RuleFile, ...], texts: dict[str, Text | None]) -> tuple[Sets, About]:
    """All rules that depend on the content alone, compiled by YARA-X."""
    chosen: list[RuleFile] = []
    named: list[Name] = []
    for file in files:
        text = texts[file.namespace]
        reached = _reaching(text) if text else frozenset()
        named += [(file.namespace, name) for name in reached]
        if text is None and _EXTERNAL.search(file.text):
            continue  # it includes others or cannot be told apart: rule-match-named matches all its rules
        chosen.append(_only(file, text, text.rules.keys() - reached) if text and reached else file)
    rules, failed = by_yara_x(chosen)
    notes = [f"{len(names(rules))} rules of {len(chosen)} files, matched and reported by YARA-X {_x_version()} alone"]
    notes += [f"not compiled: {name}: {why}" for name, reasons in sorted(failed.items()) for why in reasons]
    return Sets(alone=rules), About(named=tuple(sorted(named)), notes=(*notes, *_clocks(files)))


def _clocks(files: Iterable[RuleFile]) -> list[str]:
    asking = (file.namespace for file in files if re.search(r'\bimport\s+"time"', file.text))
    return [f"{name}: uses the clock (module time): its matches may differ from run to run" for name in asking]


def _warnings(rules: Any) -> list[str]:
    warnings = [f"warning: {line(warning)}" for warning in rules.warnings] if rules is not None else []
    if len(warnings) > _NOTES:
        return [*warnings[:_NOTES], f"{len(warnings) - _NOTES} more warnings of the compiler are not listed"]
    return warnings


def _x_version() -> str:
    return versions()[1]


def versions() -> tuple[str, str]:
    """The versions of YARA and of YARA-X."""
    return yara.YARA_VERSION, version("yara-x")


# --- as bytes ---------------------------------------------------------------------------------------------------------------


def dump(sets: Sets) -> tuple[bytes, ...]:
    """The sets as each engine writes them, in the order of the fields; nothing for a set that is not there."""
    parts = []
    for name in Sets.__struct_fields__:
        stream, rules = io.BytesIO(), getattr(sets, name)
        if isinstance(rules, yara_x.Rules):
            rules.serialize_into(stream)
        elif rules is not None:
            rules.save(file=stream)
        parts.append(stream.getvalue())
    return tuple(parts)


def restore(parts: Iterable[bytes]) -> Sets:
    """The sets out of what `dump` gave. Raises yara.Error, ValueError."""
    loaded = {}
    for name, data in zip(Sets.__struct_fields__, parts, strict=True):
        loader = yara_x.Rules.deserialize_from if name in ("screen", "alone") else lambda stream: yara.load(file=stream)
        loaded[name] = loader(io.BytesIO(data)) if data else None
    return Sets(**loaded)
