"""The text of HTML for the search index, in time that grows with its length alone, whatever stands in it."""

import html
import re

_HIDDEN = re.compile(r"<(?:(script)|style)\b", re.IGNORECASE)
_ENDS = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}
_ENDLESS = re.compile(r"&#[0-9]{4000,};?")  # a number of more digits than Python converts


def text_of(page: str) -> str:
    """The text of a page: tags, scripts and style sheets as a space each, characters in place of what refers to them.

    A script or style sheet that has no end is a tag like others; `<` that no `>` follows is text.
    """
    kept: list[str] = []
    endless: set[str] = set()  # what has no end further on: looked for once, not from each beginning
    at = 0
    while (start := page.find("<", at)) >= 0:
        end = 0
        hidden = _HIDDEN.match(page, start)
        name = "" if hidden is None else "script" if hidden[1] else "style"
        if hidden is not None and name not in endless:
            found = _ENDS[name].search(page, hidden.end())
            if found is None:
                endless.add(name)
            else:
                end = found.end()
        end = end or page.find(">", start) + 1
        if not end:
            break
        kept += (page[at:start], " ")
        at = end
    kept.append(page[at:])
    return html.unescape(_ENDLESS.sub("\ufffd", "".join(kept)))
