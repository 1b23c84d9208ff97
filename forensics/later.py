"""What a plugin loads only when it is first needed: libraries that its functions import by themselves, looked for before anything is read.

A large library that few files need is imported by the function that needs it. That it is not installed must be known before the
examination and not at the first file, and so must be where it lies: a confined child reads the folders of installed packages alone.
"""

import ast
import dis
import sys
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import CodeType

_IMPORT = dis.opmap["IMPORT_NAME"]


def check(code: CodeType, source: bytes) -> None:
    """See that the libraries which functions of a module import are there.

    One that lies outside the folders of installed packages is loaded at once. Raises ModuleNotFoundError for one that is nowhere, unless
    the function has an answer to that (``try``), and whatever a library raises that is loaded here.
    """
    answered: set[str] | None = None
    for name in dict.fromkeys(_libraries(code)):
        if name in sys.modules:
            continue
        spec = find_spec(name)
        places = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.has_location and spec.origin else ())] if spec else []
        if spec and all(place.startswith(_installed()) for place in places):
            continue
        answered = _answered(source) if answered is None else answered
        if name not in answered:
            import_module(name)  # raises where there is none


def _libraries(code: CodeType) -> Iterator[str]:
    """The top-level names of what the functions and classes of a module import, out of their compiled code."""
    for part in code.co_consts:
        if isinstance(part, CodeType):
            if _IMPORT in part.co_code[::2]:  # else there is no need to look closer
                found = (each.argval for each in dis.get_instructions(part) if each.opcode == _IMPORT)
                yield from (name.partition(".")[0] for name in found if name)
            yield from _libraries(part)


def _answered(source: bytes) -> set[str]:
    """The top-level names of what a module imports somewhere within ``try``: it says itself what then."""
    return {
        name.partition(".")[0]
        for tried in ast.walk(ast.parse(source))
        if isinstance(tried, ast.Try)
        for node in ast.walk(tried)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }


def _installed() -> tuple[str, ...]:
    """The folders of the standard library and of installed packages, as a confined child reads them."""
    paths = sysconfig.get_paths()
    return tuple(f"{paths[name]}/" for name in ("stdlib", "platstdlib", "purelib", "platlib"))
