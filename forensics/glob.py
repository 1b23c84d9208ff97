"""Patterns over paths: case-insensitive, the whole path, ``*`` and ``?`` within a component, ``**`` across components."""

import re
from functools import cache

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|.", re.DOTALL)
_WILD = re.compile(r"[*?\[]")


def _translate(token: str) -> str:
    if token == "**/":
        return "(?:.*/)?"
    if token == "**":
        return ".*"
    if token == "*":
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if len(token) > 2 and token.startswith("["):
        inside = token[1:-1].replace("\\", r"\\")
        return f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(token)


@cache
def pattern(glob: str) -> re.Pattern[str]:
    """`glob` compiled. Without a leading slash it may begin at any component, as in ``*.jpg`` or ``Users/**``."""
    rooted = glob if glob.startswith("/") else f"**/{glob}"
    body = "".join(_translate(token) for token in _TOKEN.findall(rooted))
    return re.compile(("/?" if not rooted.startswith("/") else "") + body, re.IGNORECASE | re.DOTALL)


def matches(path: str, globs: tuple[str, ...]) -> bool:
    """Whether any of `globs` fits the whole of `path`."""
    return any(pattern(glob).fullmatch(path) for glob in globs)


@cache
def mime_matches(mime: str, patterns: tuple[str, ...]) -> bool:
    """Whether a MIME type fits any of `patterns`, such as ``image/*``."""
    plain = {each.lower() for each in patterns if not _WILD.search(each)}  # most are, and need no expression
    return mime.lower() in plain or any(pattern("/" + each).fullmatch("/" + mime) for each in patterns if _WILD.search(each))
