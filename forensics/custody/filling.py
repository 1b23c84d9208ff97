"""A form filled in and checked: from what a person typed, and as the log takes it."""

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from forensics.custody.fields import CHECKS, tidy
from forensics.custody.forms import FORMS
from forensics.errors import UsageError

_MANY = 1000  # fields and items of one event that a person types


class FieldHelp(Struct, frozen=True):
    """One field of a form: its dotted name, whether it is required (within what holds it), what it takes, and what it is."""

    name: str
    required: bool
    takes: str
    what: str


class _Type(Struct, frozen=True):
    """A field's type laid open: the plain type, its kind (see `fields.CHECKS`), whether it is a list."""

    plain: Any
    kind: str
    what: str
    many: bool


def fields_of(event: str) -> tuple[FieldHelp, ...]:
    """The fields of an event's form, required ones first. Raises UsageError where the event has none."""
    return tuple(sorted(_help(_form(event), ""), key=lambda each: (not each.required or "." in each.name, "." in each.name)))


def checked(event: str, body: Mapping[str, Any], *, signed: bool = True) -> dict[str, Any]:
    """`body` as its event's form takes it. Raises UsageError naming every unknown field and every missing one, or the first value that is
    not of its kind. Without `signed`, a signature is refused: those are made, not typed."""
    form = _form(event)
    plain = dict(body)
    if not signed and "signature" in plain:
        raise UsageError(f"custody event {event!r}: a signature is made and not typed; use --identity")
    unknown, missing = _compared(form, plain, "")
    if unknown:
        known = ", ".join(each.encode_name for each in msgspec.structs.fields(form) if each.name != "signature")
        raise UsageError(
            f"custody event {event!r} has no field {', '.join(unknown)}; its fields are: {known}; what none of them takes goes in note"
        )
    if missing:
        raise UsageError(f"custody event {event!r} lacks: {', '.join(missing)}")
    try:
        filled = msgspec.convert(plain, form)
        _check(filled, "")
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"custody event {event!r}: {_said(error)}") from error
    built: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(filled))  # lists, as the log gives them back
    return built


def typed(event: str, given: Iterable[str]) -> dict[str, Any]:
    """The body that ``name=value`` texts say: ``tool.name=dd``, ``imei=...`` any number of times, ``outputs={"path": ...}`` as JSON.

    Raises UsageError as `checked`.
    """
    form = _form(event)
    body: dict[str, Any] = {}
    for count, text in enumerate(given):
        name, equals, value = text.partition("=")
        if not equals or not name or count >= _MANY:
            raise UsageError(f"--field {text[:200]!r}: say NAME=VALUE, at most {_MANY} times")
        _put(body, form, name.split("."), value, name)
    return checked(event, body, signed=False)


def missing_fields(event: str, body: Mapping[str, Any]) -> list[str]:
    """The fields that the event's form requires and `body` lacks, also of what it holds."""
    return _compared(_form(event), body, "")[1]


def _form(event: str) -> type[Struct]:
    if event not in FORMS:
        raise UsageError(f"custody event {event!r} is none that a person records; those are: {', '.join(FORMS)}")
    return FORMS[event]


def _open(of: Any) -> _Type:
    """Lay a field's type open: ``Annotated``, ``| None``, ``tuple[..., ...]``."""
    kind, what, many = "text", "", False
    while True:
        origin = typing.get_origin(of)
        if origin is Annotated:
            of, *notes = typing.get_args(of)
            for note in notes:
                if isinstance(note, Meta):
                    kind = (note.extra or {}).get("kind", kind)
                    what = note.description or what
        elif origin in (types.UnionType, typing.Union):
            of = next(each for each in typing.get_args(of) if each is not type(None))
        elif origin is tuple:
            of, many = typing.get_args(of)[0], True
        else:
            return _Type(of, kind, what, many)


def _is_form(of: Any) -> bool:
    return isinstance(of, type) and issubclass(of, Struct)


def _help(form: type[Struct], prefix: str) -> Iterable[FieldHelp]:
    for each in msgspec.structs.fields(form):
        if each.name == "signature":
            continue
        opened = _open(each.type)
        name = f"{prefix}{each.encode_name}"
        required = each.required
        yield FieldHelp(name, required, _takes(opened), opened.what)
        if _is_form(opened.plain) and not opened.many:
            yield from _help(opened.plain, f"{name}.")


def _takes(opened: _Type) -> str:
    if _is_form(opened.plain):
        inner = ", ".join(each.encode_name for each in msgspec.structs.fields(opened.plain))
        takes = f"JSON of {inner}" if opened.many else "the fields below it"
    elif typing.get_origin(opened.plain) is typing.Literal:
        takes = " | ".join(typing.get_args(opened.plain))
    elif typing.get_origin(opened.plain) is dict:
        takes = "NAME under it"
    else:
        takes = {int: "whole number", float: "number", bool: "yes | no"}.get(opened.plain, opened.kind)
    return f"{takes}, any number of times" if opened.many else takes


def _compared(form: type[Struct], value: Mapping[str, Any], prefix: str) -> tuple[list[str], list[str]]:
    """Fields of `value` that the form does not have, and of the form that are required and not in it; both also of nested forms."""
    unknown, missing = [f"{prefix}{name}" for name in value], []
    for each in msgspec.structs.fields(form):
        name, held = f"{prefix}{each.encode_name}", value.get(each.encode_name)
        if name in unknown:
            unknown.remove(name)
        if held in (None, "", [], {}):
            if each.required:
                missing.append(name)
            continue
        opened = _open(each.type)
        if _is_form(opened.plain) and isinstance(held, Mapping):
            further = _compared(opened.plain, held, f"{name}.")
            unknown += further[0]
            missing += further[1]
    return unknown, missing


def _check(form: Struct, prefix: str) -> None:
    """The values' kinds, which a type alone does not say. Raises ValueError."""
    for each in msgspec.structs.fields(form):
        value, opened, name = getattr(form, each.name), _open(each.type), f"{prefix}{each.encode_name}"
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Struct):
                _check(item, f"{name}.")
            elif isinstance(item, str) and opened.kind in CHECKS:
                try:
                    CHECKS[opened.kind](item)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error


def _put(body: dict[str, Any], form: Any, path: list[str], value: str, name: str) -> None:
    """Put a typed text where its dotted name says, as the type there."""
    field = next((each for each in msgspec.structs.fields(form) if each.encode_name == path[0]), None) if _is_form(form) else None
    if field is None:
        body[path[0]] = value  # unknown: `checked` names it with those there are
        return
    opened = _open(field.type)
    if len(path) > 1 and not opened.many and (_is_form(opened.plain) or typing.get_origin(opened.plain) is dict):
        inner = body.setdefault(path[0], {})
        if not isinstance(inner, dict):
            raise UsageError(f"--field {name}: {path[0]} was given whole before")
        if _is_form(opened.plain):
            _put(inner, opened.plain, path[1:], value, name)
        else:
            inner[".".join(path[1:])] = value
        return
    if len(path) > 1:
        raise UsageError(f"--field {name}: {path[0]} has no fields below it")
    read = _read(opened, value, name)
    if opened.many:
        held = body.setdefault(path[0], [])
        held.extend(read if isinstance(read, list) else [read])
    elif path[0] in body:
        raise UsageError(f"--field {name} was given twice")
    else:
        body[path[0]] = read


def _read(opened: _Type, value: str, name: str) -> Any:
    text = tidy(opened.kind, value)
    if opened.plain is bool:
        words = {"yes": True, "true": True, "no": False, "false": False}
        if text.casefold() not in words:
            raise UsageError(f"--field {name}={value}: say yes or no")
        return words[text.casefold()]
    if opened.plain in (int, float):
        try:
            return opened.plain(text)
        except ValueError as error:
            raise UsageError(f"--field {name}={value}: is not a number") from error
    if typing.get_origin(opened.plain) is typing.Literal:
        return next((choice for choice in typing.get_args(opened.plain) if choice.casefold() == text.casefold()), text)
    if _is_form(opened.plain) or typing.get_origin(opened.plain) is dict:
        try:
            return msgspec.json.decode(text.encode())
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--field {name}={value[:200]}: is not JSON ({error})") from error
    return text


def _said(error: Exception) -> str:
    """msgspec's words, with the field as it is typed."""
    said = str(error)
    what, at, where = said.partition(" - at `$.")
    return f"{where.rstrip('`')}: {what[:1].lower()}{what[1:]}" if at else said
