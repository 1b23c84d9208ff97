"""The kinds of value that the forms of custody events are made of, and their checks.

A kind is a text with a name and a check; what is kept is the text that a person gave, without blanks around, digests in lower case and
the numbers of telephones without the spaces and dashes that people read them with.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from msgspec import Meta

_LONGEST = 10_000


def _moment(text: str) -> None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time such as 2026-03-01T14:05+07:00") from error
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} says no time zone; write it such as 2026-03-01T14:05+07:00")


def _hexadecimal(digits: int, name: str) -> Callable[[str], None]:
    form = re.compile(rf"[0-9a-f]{{{digits}}}")

    def check(text: str) -> None:
        if not form.fullmatch(text):
            raise ValueError(f"{text[:150]!r} is not a {name}: that is {digits} digits in lower-case hexadecimal")

    return check


def _luhn(text: str) -> bool:
    """Whether the last digit is the check digit of those before (ISO/IEC 7812-1, annex B; for an IMEI 3GPP TS 23.003, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(text)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _imei(text: str) -> None:
    if not re.fullmatch(r"[0-9]{15}", text):
        raise ValueError(
            f"{text[:50]!r} is not an IMEI: that is 15 digits (of an IMEISV, whose 16 have no check digit, leave off the last two)"
        )
    if not _luhn(text):
        raise ValueError(f"IMEI {text}: the check digit {text[-1]} does not fit the digits before it; read it again")


def _iccid(text: str) -> None:
    # ITU-T E.118: at most 19 digits with the check digit; many cards print a twentieth.
    if not re.fullmatch(r"89[0-9]{16,18}", text):
        raise ValueError(f"{text[:50]!r} is not an ICCID: that is 89 and 16 to 18 further digits")


def _imsi(text: str) -> None:
    if not re.fullmatch(r"[0-9]{14,15}", text):
        raise ValueError(f"{text[:50]!r} is not an IMSI: that is 14 or 15 digits")


CHECKS: dict[str, Callable[[str], None]] = {
    "time": _moment,
    "SHA-256": _hexadecimal(64, "SHA-256"),
    "SHA-512": _hexadecimal(128, "SHA-512"),
    "MD5": _hexadecimal(32, "MD5"),
    "IMEI": _imei,
    "ICCID": _iccid,
    "IMSI": _imsi,
}
DIGESTS = frozenset({"SHA-256", "SHA-512", "MD5"})
NUMBERS = frozenset({"IMEI", "ICCID", "IMSI"})

Text = Annotated[str, Meta(min_length=1, max_length=_LONGEST)]
Moment = Annotated[str, Meta(extra={"kind": "time"})]
Sha256 = Annotated[str, Meta(extra={"kind": "SHA-256"})]
Sha512 = Annotated[str, Meta(extra={"kind": "SHA-512"})]
Md5 = Annotated[str, Meta(extra={"kind": "MD5"})]
Imei = Annotated[str, Meta(extra={"kind": "IMEI"})]
Iccid = Annotated[str, Meta(extra={"kind": "ICCID"})]
Imsi = Annotated[str, Meta(extra={"kind": "IMSI"})]
Count = Annotated[int, Meta(ge=0)]


def tidy(kind: str, text: str) -> str:
    """What is kept of what a person gave for a value of this kind."""
    text = text.strip()
    if kind in DIGESTS:
        return text.lower()
    return re.sub(r"[ -]", "", text) if kind in NUMBERS else text
