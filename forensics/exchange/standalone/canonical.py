"""JSON in its one canonical form (RFC 8785): whether bytes are it, and what they say."""

from __future__ import annotations

import json
from typing import Any

from .refusal import Refused

DEEPEST = 64
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def loads(data: bytes, reason: str, name: str) -> Any:
    """The value of `data`, which must be in canonical form. Raises Refused with `reason`."""
    odd: list[str] = []  # numbers that ECMAScript may write in another way than Python

    def fraction(digits: str) -> float:
        odd.append(digits)
        return float(digits)

    def whole(digits: str) -> int:
        if len(digits) > 15:
            odd.append(digits)
        return int(digits)

    try:
        text = data.decode("utf-8")
        value = json.loads(text, parse_constant=_constant, parse_float=fraction, parse_int=whole)
        same = (not odd and _is_plain(text, value)) or dumps(value) == data
    except (ValueError, RecursionError, OverflowError) as error:
        raise Refused(reason, f"{name}: not JSON of this form: {str(error)[:200]}") from None
    if not same:
        raise Refused(reason, f"{name}: not in canonical form (RFC 8785)")
    return value


def _is_plain(text: str, value: Any) -> bool:
    """Whether Python's own encoder, which is quick, writes `value` as `text`, and this is the canonical form.

    For text without fractions and large numbers it is, as long as names sort alike by code points and by UTF-16 (all are below U+10000).
    """
    if text.count("[") + text.count("{") > DEEPEST or len(text.encode("utf-16-le")) > 2 * len(text):
        return False
    return _ENCODER.encode(value) == text


def dumps(value: Any) -> bytes:
    """The canonical JSON of `value`. Raises ValueError where there is none."""
    parts: list[str] = []
    _dump(value, parts.append, 0)
    return "".join(parts).encode("utf-8")


def _dump(value: Any, put: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"deeper than {DEEPEST}")
    if isinstance(value, str):
        put(_text(value))
    elif value is None or isinstance(value, bool):
        put({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int):
        put(str(value) if abs(value) < 2**53 else _number(float(value)))  # a float without a fraction reads back as an integer
    elif isinstance(value, float):
        put(_number(value))
    elif isinstance(value, list):
        put("[")
        for at, item in enumerate(value):
            put("," if at else "")
            _dump(item, put, depth + 1)
        put("]")
    else:
        put("{")
        for at, key in enumerate(sorted(value, key=_units)):
            put(("," if at else "") + _text(key) + ":")
            _dump(value[key], put, depth + 1)
        put("}")


def _units(key: str) -> bytes:
    return key.encode("utf-16-be")  # RFC 8785 section 3.2.3 sorts by UTF-16 code units


def _text(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_ESCAPES.get(each) or (f"\\u{ord(each):04x}" if ord(each) < 0x20 else each) for each in text) + '"'


def _number(value: float) -> str:
    """As ECMAScript writes a number (ECMA-262, Number::toString); Python's repr gives the same shortest digits."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("not a number")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        power = point - 1
        text = digits[0] + (f".{digits[1:]}" if count > 1 else "") + f"e{'+' if power > 0 else '-'}{abs(power)}"
    return f"-{text}" if value < 0 else text


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
