"""`case.toml`: what people write down of a case and may edit by hand: identity, authority and its scope, languages, plugin options.

Text in, values out, and back: nothing here opens a file. Comments and layout are kept when a value is set. An empty text (``""``) stands
for a field that nobody has filled in, and reads as `None`. The fields of an exhibit are told here too: people fill them in alike, though
they are kept in the custody log.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

import msgspec
import tomlkit
from msgspec import Struct
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from forensics.errors import CaseError, CaseTooNew, UsageError
from forensics.model import Authority, CaseInfo, Scope, Value

FORMAT = 2
REQUIRED = "needed before anything can be sealed"
# Field, whether a seal needs it, and what it is: after ISO/IEC 27037, 27042 and 27043, and the ASEAN MLAT (2004), Articles 6 and 24.
CASE_FIELDS: dict[str, tuple[bool, str]] = {
    "case_id": (True, "the case's number in your agency's register"),
    "agency": (True, "the agency that examines"),
    "agency_unit": (False, "its unit"),
    "officer_in_charge": (True, "who answers for the case"),
    "examiner": (False, "who examines"),
    "examiner_qualification": (False, "the examiner's training or certificate, as the report states it"),
    "laboratory": (False, "where the examination is made"),
    "client": (False, "who asked for it"),
    "offence_or_purpose": (True, "the suspected offence, or what the examination is for"),
    "phase": (False, "ISO/IEC 27043: readiness, initialisation, acquisitive, investigative or concurrent"),
    "opened_at": (True, "the date on which the case was opened, such as 2026-03-01"),
    "classification": (False, "the marking: TLP 2.0 (TLP:AMBER) and the national one"),
    "retention_until": (True, "the date until which the case is kept"),
    "requested_questions": (True, "the questions that the examination shall answer, one text each"),
    "related_refs": (False, "numbers of related cases and requests"),
}
AUTHORITY_FIELDS: dict[str, tuple[bool, str]] = {
    "type": (True, "warrant, consent, border-search power, court order, MLA request or other"),
    "id": (True, "its number"),
    "issuer": (False, "who issued it"),
    "issued": (False, "the date of issue"),
    "expires": (False, "the date on which it ends"),
    "scope_text": (True, "what it allows, in its own words; what can be enforced of it stands under [scope]"),
}
# After ISO/IEC 27037: what the item is, how it was received, its seizure, its acquisition; names are those of `Exhibit`.
EXHIBIT_FIELDS: dict[str, tuple[bool, str]] = {
    "description": (True, "what it is, in a few words"),
    "kind": (True, "phone, SIM, storage, computer, cloud export or paper"),
    "parent_exhibit": (False, "the number of the exhibit that it is part of, as a SIM of a phone"),
    "make": (False, "its make"),
    "model": (False, "its model"),
    "serial": (False, "its serial number"),
    "owner_role": (True, "who held it: holder, suspected facilitator, smuggled person, witness, victim or unknown"),
    "power_state_on_receipt": (True, "whether it was on or off when it was received"),
    "condition_text": (True, "its condition when it was received"),
    "seal_no": (True, "the number of the seal on its bag"),
    "seized_at": (True, "when it was seized, such as 2026-03-01T14:05+07:00"),
    "seized_place": (True, "where it was seized"),
    "seized_by": (True, "who seized it"),
    "seizure_authority": (True, "the authority under which it was seized, by its number"),
    "acquisition_type": (True, "how it was copied: physical, file system, logical, cloud or manual photo"),
    "acquisition_tool": (True, "the tool that made the image"),
    "acquisition_tool_version": (True, "that tool's version"),
    "acquisition_tool_sha256": (True, "the SHA-256 of that tool's program file"),
    "write_blocker": (True, "make, model and serial number of the write blocker; or say why there was none"),
    "no_write_blocker_reason": (True, "why there was no write blocker"),
    "acquired_at": (True, "when the acquisition began, such as 2026-03-01T15:00+07:00"),
    "acquisition_ended_at": (True, "when it ended"),
    "acquired_by": (True, "who made the image"),
    "changes_made_to_original": (True, "what was changed on the original, or: none known"),
    "stated_sha256": (False, "the SHA-256 of the medium, as those state it who made the image"),
}
INSTEAD = {"write_blocker": "no_write_blocker_reason", "no_write_blocker_reason": "write_blocker"}  # either of the two is enough
TABLES = {"case": CASE_FIELDS, "case.legal_authority": AUTHORITY_FIELDS, "exhibit": EXHIBIT_FIELDS}
SCOPE_FIELDS = {
    "paths": "patterns of paths that may be read, such as /Users/**; empty for all",
    "kinds": "patterns of types that may be read, such as image/*; empty for all",
    "since": "the first day of the period, such as 2025-01-01; empty for no bound",
    "until": "the last day of the period",
}
_DATES = {
    "case.opened_at",
    "case.retention_until",
    "case.legal_authority.issued",
    "case.legal_authority.expires",
    "scope.since",
    "scope.until",
}
_MOMENTS = {"exhibit.seized_at", "exhibit.acquired_at", "exhibit.acquisition_ended_at"}
_DIGESTS = {"exhibit.acquisition_tool_sha256", "exhibit.stated_sha256"}
_CHOICES = {
    "case.phase": ("readiness", "initialisation", "acquisitive", "investigative", "concurrent"),
    "case.legal_authority.type": ("warrant", "consent", "border-search power", "court order", "MLA request", "other"),
    "exhibit.kind": ("phone", "SIM", "storage", "computer", "cloud export", "paper"),
    "exhibit.owner_role": ("holder", "suspected facilitator", "smuggled person", "witness", "victim", "unknown"),
    "exhibit.acquisition_type": ("physical", "file system", "logical", "cloud", "manual photo"),
}
_LISTS = {"case.requested_questions", "case.related_refs", "scope.paths", "scope.kinds", "languages", "asked"}
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_LANGUAGE = re.compile(r"[a-z]{2,3}([_-][A-Za-z0-9]{2,8})*")


class Settings(Struct, frozen=True):
    """What `case.toml` says. `plugins` are options by plugin, unchecked: the plugin's declaration does that before a run.

    `asked` names the fields that somebody was asked for and left empty, so that nobody is asked again while working.
    """

    info: CaseInfo = CaseInfo()
    languages: tuple[str, ...] = ("en",)
    scope: Scope = Scope()
    plugins: dict[str, dict[str, Value]] = {}
    asked: tuple[str, ...] = ()


def is_list(name: str) -> bool:
    """Whether a field, such as ``case.related_refs``, takes several texts."""
    return name in _LISTS


def checked(name: str, text: str) -> str:
    """What a person gave for a field, such as ``case.opened_at`` or ``exhibit.kind``, as it is kept: without blanks around, one of a closed
    list as the list spells it, a digest in lower case. Raises UsageError that says what the field takes."""
    value = text.strip()
    if not value:
        return ""
    if any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or 0xD800 <= ord(character) < 0xE000 for character in value):
        raise UsageError(f"{name}: {value!r} is not one line of text; type it again")
    if choices := _CHOICES.get(name):
        for choice in choices:
            if choice.casefold() == value.casefold():
                return choice
        raise UsageError(f"{name} is one of: {', '.join(choices)}; not {value!r}")
    if name in _DIGESTS:
        if not _SHA256.fullmatch(value):
            raise UsageError(f"{name} is a SHA-256: 64 hexadecimal digits; not {value!r}")
        return value.lower()
    if name in _DATES or name in _MOMENTS:
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            like = "2026-03-01T14:05+07:00" if name in _MOMENTS else "2026-03-01"
            raise UsageError(f"{name} is a date such as {like}; not {value!r}") from error
    return value


def template(info: CaseInfo, languages: tuple[str, ...] = ("en",)) -> str:
    """The text of a new `case.toml`: every field, with a comment that says what it is."""
    document = tomlkit.document()
    document.add(tomlkit.comment('The case, for people to fill in and correct. Comments are kept. Empty ("") means: not filled in.'))
    document.add(tomlkit.comment(f"* marks what is {REQUIRED}."))
    document.add(tomlkit.nl())
    document["format"] = FORMAT
    document["languages"] = list(languages)
    document["languages"].comment("of reports, the first is the leading one; English is always added")
    plain = msgspec.to_builtins(info)
    case = _table(CASE_FIELDS, "case", plain)
    case.append("legal_authority", _table(AUTHORITY_FIELDS, "case.legal_authority", plain.get("authority", {})))
    document["case"] = case
    scope = tomlkit.table()
    scope.comment("what the authority allows and the tool enforces: nothing else is read")
    for name, what in SCOPE_FIELDS.items():
        scope.add(name, [] if f"scope.{name}" in _LISTS else "")
        scope[name].comment(what)
    document["scope"] = scope
    document.add(tomlkit.nl())
    for line in ("Options of plugins; `forensics plugins show NAME` lists them. For example:", "[plugins.rule-match]", 'rules = ["rules"]'):
        document.add(tomlkit.comment(line))
    return tomlkit.dumps(document)


def _table(fields: Mapping[str, tuple[bool, str]], where: str, values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for name, (required, what) in fields.items():
        table.add(name, values.get(name, [] if f"{where}.{name}" in _LISTS else ""))
        table[name].comment(f"{'* ' if required else ''}{what}")
    return table


def parse(text: str, source: str = "case.toml") -> Settings:
    """What a `case.toml` says. Raises CaseTooNew, or CaseError that names the line and what is wrong with it."""
    try:
        document: dict[str, Any] = tomlkit.parse(text).unwrap()
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise CaseError(f"{source}: is damaged: {error}; correct that line, or restore the file from a copy") from error
    version = document.pop("format", None)
    if type(version) is not int or version < 1:
        raise CaseError(f"{source}{_line(text, 'format')}: format is {version!r}, not a number; this version writes format = {FORMAT}")
    if version > FORMAT:
        raise CaseTooNew(f"{source}: the case has format {version}, this version reads up to {FORMAT}; use a newer version of forensics")
    if version < FORMAT:
        raise CaseError(
            f"{source}: the case has format {version}, whose custody log this version does not read (it reads format {FORMAT}); "
            "open it with the version of forensics that made it, or receive its exhibits into a new case"
        )
    case = _taken(document, "case", dict, {}, text, source)
    authority = _taken(case, "case.legal_authority", dict, {}, text, source)
    scope = _taken(document, "scope", dict, {}, text, source)
    plugins = _taken(document, "plugins", dict, {}, text, source)
    top = _fields(document, "", ("languages", "asked"), text, source)
    languages = top.get("languages") or ("en",)
    for language in languages:
        if not _LANGUAGE.fullmatch(language):
            raise CaseError(
                f"{source}{_line(text, 'languages')}: {language!r} is not the code of a language, such as en, id, th or zh_Hans"
            )
    info = _fields(case, "case.", CASE_FIELDS, text, source)
    info["authority"] = Authority(**_fields(authority, "case.legal_authority.", AUTHORITY_FIELDS, text, source))
    return Settings(
        CaseInfo(**info),
        tuple(languages),
        Scope(**_fields(scope, "scope.", SCOPE_FIELDS, text, source)),
        {name: _options(name, plugins, text, source) for name in sorted(plugins)},
        top.get("asked", ()),
    )


def changed(text: str, values: Mapping[str, Value | tuple[str, ...]], source: str = "case.toml") -> str:
    """`text` with `values` set, by names such as ``case.legal_authority.id``, ``scope.paths``, ``plugins.rule-match.rules``.

    All else stays as it is, comments and layout included; `None` empties a field. Raises CaseError as `parse`, UsageError for a name
    that is no field or a value that does not fit it.
    """
    parse(text, source)
    document = tomlkit.parse(text)
    for name, value in values.items():
        if not _known(name):
            raise UsageError(f"{name!r} is not a field of a case; fields read like case.agency, scope.paths, plugins.rule-match.rules")
        *tables, key = name.split(".", 2) if name.startswith("plugins.") else name.split(".")
        place: Any = document
        for table in tables:
            if table not in place:
                place[table] = tomlkit.table()
            place = place[table]
        empty: Value = [] if name in _LISTS else ""
        item = tomlkit.item(list(value) if isinstance(value, tuple) else empty if value is None else value)
        if key in place:  # the comment after a value belongs to its old item
            item.trivia.comment_ws, item.trivia.comment = place[key].trivia.comment_ws, place[key].trivia.comment
        elif name == "asked":
            item.comment("asked for and left empty; take a name out to be asked again")
        place[key] = item
    new = tomlkit.dumps(document)
    try:
        parse(new, source)
    except CaseError as error:
        raise UsageError(f"{', '.join(values)}: {error}") from error
    return new


def _known(name: str) -> bool:
    parts = name.split(".")
    if parts[0] == "plugins":
        return len(parts) == 3 and all(parts)
    return (
        name in ("languages", "asked")
        or (len(parts) == 2 and parts[0] == "case" and parts[1] in CASE_FIELDS)
        or (len(parts) == 3 and parts[:2] == ["case", "legal_authority"] and parts[2] in AUTHORITY_FIELDS)
        or (len(parts) == 2 and parts[0] == "scope" and parts[1] in SCOPE_FIELDS)
    )


def _taken(table: dict[str, Any], name: str, kind: type, default: Any, text: str, source: str) -> Any:
    value = table.pop(name.rpartition(".")[2], default)
    if not isinstance(value, kind):
        raise CaseError(f"{source}{_line(text, name)}: {name} is a table, written [{name}]")
    return value


def _fields(table: Mapping[str, Any], prefix: str, known: Mapping[str, Any] | tuple[str, ...], text: str, source: str) -> dict[str, Any]:
    """The fields of one table as keyword arguments; those not filled in are left out."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        where = f"{source}{_line(text, name)}"
        if key not in known:
            raise CaseError(f"{where}: {name} is not a field; the fields are: {', '.join(known)}")
        if name in _LISTS:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise CaseError(f'{where}: {name} is a list of texts, such as ["first", "second"], not {value!r}')
            found[key] = tuple(item for item in value if item)
            continue
        if isinstance(value, datetime | date | time):
            value = value.isoformat()
        if not isinstance(value, str):
            raise CaseError(f"{where}: {name} is a text in quotation marks, not {value!r}")
        if value and name in _DATES:
            _check_date(value, name, where, day=prefix == "scope.")
        if value:
            found[key] = value
    return found


def _check_date(value: str, name: str, where: str, *, day: bool) -> None:
    try:
        if day:
            date.fromisoformat(value)
        else:
            datetime.fromisoformat(value)
    except ValueError as error:
        raise CaseError(f"{where}: {name} is a date such as 2026-03-01, not {value!r}") from error


def _options(plugin: str, plugins: Mapping[str, Any], text: str, source: str) -> dict[str, Value]:
    options = _taken(dict(plugins), f"plugins.{plugin}", dict, {}, text, source)
    for name, value in options.items():
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not texts and not isinstance(value, str | int | float):
            where = _line(text, f"plugins.{plugin}.{name}")
            raise CaseError(
                f"{source}{where}: option {name} of plugin {plugin} is a text, number, true, false or list of texts, not {value!r}"
            )
    return dict(options)


def _line(text: str, name: str) -> str:
    """``, line N`` where the field of that name stands in the text, as far as that can be told without a parser; else nothing."""
    table, _, key = name.rpartition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            current = re.sub(r"[\s\"']", "", header[1])
            if current == name:
                return f", line {number}"
        elif current == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return f", line {number}"
    return ""
