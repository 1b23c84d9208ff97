"""What may be said of each custody event that a person records: one form an event, its required fields and its closed lists.

After ISO/IEC 27037 (chain of custody, seizure, acquisition), ISO/IEC 27042 (examination step) and RFC 3227 section 4.1 (transfers).
A field without a default is required. What no field takes goes in `note`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from forensics.custody.fields import Count, Iccid, Imei, Imsi, Md5, Moment, Sha256, Sha512, Text


def _is(what: str) -> Meta:
    return Meta(description=what)


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Part of a form, or one."""


class UnavoidableChange(Form, frozen=True, kw_only=True):
    """A change to the original that could not be avoided (ISO/IEC 27037)."""

    what: Annotated[Text, _is("what was changed")]
    who: Annotated[Text, _is("who is responsible")]
    why: Annotated[Text, _is("why it could not be avoided")]


class Signature(Form, frozen=True, kw_only=True):
    """A signature over what the event says, made by the tool."""

    name: Text
    fingerprint: Sha256
    cms: Text


class Event(Form, frozen=True, kw_only=True):
    """What every event may say."""

    purpose: Annotated[Text, _is("why it was done")]
    at: Annotated[Moment | None, _is("when it happened, where that is not the time of this entry")] = None
    place: Annotated[Text | None, _is("where")] = None
    from_: Annotated[Text | None, _is("from whom it came, or where it was taken from")] = field(default=None, name="from")
    to: Annotated[Text | None, _is("to whom it went, or where it was put")] = None
    authority: Annotated[Text | None, _is("under which authority, by its number")] = None
    seal_before: Annotated[Text | None, _is("number of the seal before")] = None
    seal_after: Annotated[Text | None, _is("number of the seal afterwards")] = None
    condition: Annotated[Text | None, _is("condition of the item")] = None
    carrier: Annotated[Text | None, _is("who carried it")] = None
    waybill: Annotated[Text | None, _is("number of the shipment")] = None
    hash_before: Annotated[Sha256 | None, _is("digest of the image before")] = None
    hash_after: Annotated[Sha256 | None, _is("digest of the image afterwards")] = None
    photos: Annotated[tuple[Sha256, ...], _is("digests of photographs that were taken")] = ()
    unavoidable_change: Annotated[UnavoidableChange | None, _is("a change to the original that could not be avoided")] = None
    note: Annotated[Text | None, _is("free remarks")] = None


class Seized(Event, frozen=True, kw_only=True):
    """The item was taken from its holder."""

    at: Annotated[Moment, _is("when it was seized, with the local offset")]
    place: Annotated[Text, _is("where it was seized, such as the code of the checkpoint")]
    legal_authority_ref: Annotated[Text, _is("the authority for the seizure, by its number")]
    clock: Annotated[Text | None, _is("by which clock the time was read")] = None
    latitude: Annotated[Annotated[float, Meta(ge=-90, le=90)] | None, _is("of the place, in degrees")] = None
    longitude: Annotated[Annotated[float, Meta(ge=-180, le=180)] | None, _is("of the place, in degrees")] = None
    witness: Annotated[Text | None, _is("who saw it")] = None
    from_whom_ref: Annotated[Text | None, _is("reference of the person from whom it was taken")] = None
    receipt_no: Annotated[Text | None, _is("number of the receipt that was given")] = None
    device_clock_offset: Annotated[int | None, _is("seconds by which the device's clock was ahead (negative: behind)")] = None
    power_state: Annotated[Literal["on", "off", "standby", "unknown"] | None, _is("of the device")] = None
    lock_state: Annotated[Literal["locked", "unlocked", "unknown"] | None, _is("of the device")] = None
    isolation: Annotated[Literal["none", "airplane mode", "Faraday bag", "SIM removed", "unknown"] | None, _is("from networks")] = None
    screen_state: Annotated[Text | None, _is("what the screen showed")] = None
    passwords_obtained: Annotated[bool | None, _is("whether passwords were obtained; their values never belong here")] = None
    imei: Annotated[tuple[Imei, ...], _is("of the phone, with check digit")] = ()
    iccid: Annotated[Iccid | None, _is("of the SIM")] = None
    imsi: Annotated[Imsi | None, _is("of the SIM")] = None
    reason: Annotated[Text | None, _is("the ground for the seizure")] = None


class Sealed(Event, frozen=True, kw_only=True):
    """The item was put under a seal."""

    seal_after: Annotated[Text, _is("number of the new seal")]


class Kept(Event, frozen=True, kw_only=True):
    """The item was taken into the store or out of it."""


class Transferred(Event, frozen=True, kw_only=True):
    """The item passed from one holder to another; the giver signs it, and the receiver countersigns."""

    from_: Annotated[Text, _is("who gave it")] = field(name="from")
    to: Annotated[Text, _is("who received it")]
    place: Annotated[Text, _is("where it changed hands")]
    signature: Annotated[Signature | None, _is("the giver's, written by the tool: use --identity")] = None


class Tool(Form, frozen=True, kw_only=True):
    """A tool as it was used."""

    name: Annotated[Text, _is("the tool")]
    version: Annotated[Text, _is("its version")]
    sha256: Annotated[Sha256, _is("digest of its program file, or of the list of its packages")]


class WriteBlocker(Form, frozen=True, kw_only=True):
    """The device that kept the original from being written to."""

    make: Text
    model: Text
    serial: Text
    firmware: Text | None = None
    verified_at: Annotated[Moment | None, _is("when it was last shown to work")] = None


class AcquiredImage(Form, frozen=True, kw_only=True):
    """The copy's bytes."""

    format: Annotated[Literal["raw", "E01", "Ex01", "AFF4", "tar", "zip", "other"], _is("of the image")]
    sha256: Annotated[Sha256, _is("of the medium as copied")]
    segments: Annotated[tuple[Text, ...], _is("names of its files")] = ()
    sha512: Sha512 | None = None
    md5: Annotated[Md5 | None, _is("for comparison with older records only")] = None


class Verification(Form, frozen=True, kw_only=True):
    """Whether the copy was compared with its original."""

    by: Text
    at: Moment
    hash: Annotated[Sha256, _is("the digest found")]
    result: Literal["match", "mismatch"]


class SectorError(Form, frozen=True, kw_only=True):
    """Sectors that could not be read."""

    first: Count
    count: Count


class Acquired(Event, frozen=True, kw_only=True):
    """A copy was made of the item with another tool than this."""

    type: Annotated[Literal["physical", "file system", "logical", "cloud", "manual photo"], _is("how it was copied")]
    tool: Annotated[Tool, _is("what it was copied with")]
    started: Annotated[Moment, _is("when the copying began")]
    ended: Annotated[Moment, _is("when it ended")]
    image: Annotated[AcquiredImage, _is("the copy")]
    verification: Annotated[Verification, _is("the comparison of the copy with its original")]
    changes_made_to_original: Annotated[Text, _is("what was changed on the original, or: none known")]
    operator: Annotated[Text, _is("who made the copy")]
    write_blocker: Annotated[WriteBlocker | None, _is("or no_write_blocker_reason")] = None
    no_write_blocker_reason: Annotated[Text | None, _is("why there was none")] = None
    host: Annotated[Text | None, _is("the machine")] = None
    source_size: Annotated[Count | None, _is("bytes of the medium")] = None
    sector_errors: Annotated[tuple[SectorError, ...], _is("what could not be read")] = ()
    storage_location: Annotated[Text | None, _is("where the copy is kept")] = None

    def __post_init__(self) -> None:
        if (self.write_blocker is None) == (self.no_write_blocker_reason is None):
            raise ValueError("say write_blocker, or no_write_blocker_reason, and not both")


class Copied(Event, frozen=True, kw_only=True):
    """A working copy was made of a copy."""

    storage_location: Annotated[Text | None, _is("where the new copy is kept")] = None


class Coverage(Form, frozen=True, kw_only=True):
    """How far a step got."""

    files_seen: Count
    scanned: Count
    skipped_by_reason: dict[str, Count] = {}


class Output(Form, frozen=True, kw_only=True):
    """What a step made."""

    path: Text
    sha256: Sha256


class Module(Form, frozen=True, kw_only=True):
    """A plugin or a set of rules that a step used."""

    name: Text
    version: Text
    sha256: Sha256


class Examined(Event, frozen=True, kw_only=True):
    """A step of the examination that was made with another tool than this."""

    step_id: Annotated[Text, _is("number of the step")]
    input_sha256: Annotated[tuple[Sha256, ...], Meta(min_length=1, description="digests of what it read")]
    tool: Annotated[Tool, _is("what it was made with")]
    started: Annotated[Moment, _is("when it began")]
    ended: Annotated[Moment, _is("when it ended")]
    exit_status: Annotated[Text, _is("how the tool ended")]
    outputs: Annotated[tuple[Output, ...], _is("what it made")]
    operator: Annotated[Text, _is("who made it")]
    plugin: Module | None = None
    ruleset: Module | None = None
    parameters: Annotated[dict[str, str], _is("options given, by name")] = {}
    warnings: Annotated[tuple[Text, ...], _is("warnings, errors and time-outs")] = ()
    coverage: Coverage | None = None
    host: Annotated[Text | None, _is("machine and system")] = None
    validation_ref: Annotated[Text | None, _is("the record that shows the method to be fit (ISO/IEC 27041)")] = None


class Returned(Event, frozen=True, kw_only=True):
    """The item went back to its owner or holder."""

    to: Annotated[Text, _is("to whom")]
    receipt_no: Annotated[Text | None, _is("number of the receipt that was signed")] = None


class Disclosed(Event, frozen=True, kw_only=True):
    """Records or copies were given to a partner by another way than this tool's packages."""

    disclosure: Annotated[Text, _is("number of the disclosure")]
    to: Annotated[Text, _is("the authority that received it")]
    channel: Annotated[Literal["MLAT", "bilateral", "police-to-police", "INTERPOL", "AMICF", "other"], _is("by which way")]
    use: Annotated[Literal["evidence", "intelligence"], _is("for which use")]
    request_ref: Annotated[Text | None, _is("number of the request")] = None
    package_sha256: Annotated[Sha256 | None, _is("digest of what was sent")] = None
    expires: Annotated[Moment | None, _is("until when it may be kept")] = None
    onward: Annotated[Text | None, _is("whether it may be passed on")] = None


class Destroyed(Event, frozen=True, kw_only=True):
    """The item or a copy was destroyed."""

    authority: Annotated[Text, _is("who ordered it, by the number of the order")]
    method: Annotated[Text, _is("how it was destroyed")]
    witness: Annotated[Text, _is("who saw it")]


class Corrected(Event, frozen=True, kw_only=True):
    """An earlier entry was wrong; it stays, and this says so."""

    corrects: Annotated[int, Meta(ge=1, description="number of the line that was wrong")]
    correct: Annotated[Text, _is("what is right")]


FORMS: dict[str, type[Event]] = {
    "seized": Seized,
    "sealed": Sealed,
    "checked_in": Kept,
    "checked_out": Kept,
    "transferred": Transferred,
    "acquired": Acquired,
    "copied": Copied,
    "examined": Examined,
    "returned": Returned,
    "disclosed": Disclosed,
    "destroyed": Destroyed,
    "corrected": Corrected,
}
