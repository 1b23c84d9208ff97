"""Rules compiled by YARA and by YARA-X, each file a namespace of its own."""

import re
from collections.abc import Iterable
from typing import Any, cast

import yara
import yara_x

from forensics.errors import UsageError
from forensics.rules.source import Includes, RuleFile
from forensics.rules.text import EXTERNALS

NO_EXTERNALS = dict.fromkeys(EXTERNALS, "")

# Modules of YARA-X that read the content alone, and that the wheel of yara-python lacks.
X_MODULES = frozenset({"macho", "lnk", "dex", "crx"})


def by_yara(files: Iterable[RuleFile]) -> tuple[Any, Includes]:
    """The rules of `files` as YARA compiles them, `None` of no file; errors and warnings name the file. Raises ValueError."""
    includes = Includes(files := tuple(files))
    if not files:
        return None, includes
    sources = {file.namespace: f'include "{_harmless(file.namespace)}"\n' for file in files}
    try:
        rules = yara.compile(sources=sources, externals=NO_EXTERNALS, include_callback=includes)
    except yara.Error as error:
        raise ValueError("; ".join(includes.refused.values()) or line(str(error))) from error
    if includes.refused:  # what is left may compile all the same
        raise ValueError("; ".join(includes.refused.values()))
    return rules, includes


def _harmless(name: str) -> str:
    return re.sub(r"[^\w .,+@()/-]", "_", name)


def sound(files: tuple[RuleFile, ...]) -> tuple[Any, Includes, tuple[RuleFile, ...], dict[str, str]]:
    """The rules of all files that YARA compiles, those files, and why each of the others does not. Raises UsageError."""
    failed: dict[str, str] = {}
    try:
        rules, includes = by_yara(files)
    except ValueError:
        for file in files:
            try:
                by_yara([file])
            except ValueError as error:
                failed[file.namespace] = str(error)
        files = tuple(file for file in files if file.namespace not in failed)
        try:
            rules, includes = by_yara(files)
        except ValueError as error:
            raise UsageError(f"rules: each file compiles, but not all of them together ({error}); give fewer") from error
    return rules, includes, files, failed


def by_yara_x(files: Iterable[RuleFile]) -> tuple[Any, dict[str, list[str]]]:
    """The rules of `files` as YARA-X compiles them (`None` where it compiles none), and by namespace what it says of the others.

    A rule that does not compile is left out, and so are those that refer to it. Files may include nothing.
    """
    compiler = yara_x.Compiler(relaxed_re_syntax=True, includes_enabled=False)
    compiler.ignore_invalid_rules(True)
    for name, value in NO_EXTERNALS.items():
        compiler.define_global(name, value)
    failed: dict[str, list[str]] = {}
    seen = 0
    for file in files:
        compiler.new_namespace(file.namespace)
        try:
            compiler.add_source(file.text)
        except yara_x.CompileError as error:
            failed.setdefault(file.namespace, []).append(line(str(error)))
        ignored: list[Any] = cast(Any, compiler).ignored_rules()  # what the package declares of it is wrong
        for rule in ignored[seen:]:
            failed.setdefault(file.namespace, []).append(f"rule {rule.name}: {line(rule.message)}")
        seen = len(ignored)
    rules = compiler.build()
    return (rules if next(iter(rules), None) is not None else None), failed


def names(rules: Any) -> frozenset[tuple[str, str]]:
    """Namespace and name of every rule of a set that YARA-X compiled."""
    return frozenset((rule.namespace, rule.identifier) for rule in rules or ())


def plain(text: str) -> str:
    """A text without what cannot be written as UTF-8 or stored."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def line(text: str) -> str:
    """A message as one line of at most 300 characters."""
    return " ".join(plain(text).split())[:300]
