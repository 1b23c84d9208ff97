"""`disclose`, `approve`: from sealed records to an encrypted package that two officers have signed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from forensics import index, signing
from forensics.cli.console import case_option, json_option, say, table
from forensics.cli.identity_options import clock, identity_option, opened, opened_trust, passphrase_option, trust_option
from forensics.cli.seal import opened_case
from forensics.errors import UsageError
from forensics.exchange import approve as approving
from forensics.exchange import disclosure, draft, policy
from forensics.exchange import seal as sealing
from forensics.exchange.plan import Choice, Plan, plan
from forensics.exchange.signer import Signer
from forensics.review import select, state

_IDS = 4 << 20  # bytes of a file of record ids


def _terms(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option("--to", "to_state", required=True, metavar="STATE", help="The state that it goes to, as VN."),
            click.option("--to-authority", "authority", default="", help="The authority in that state."),
            click.option("--purpose", default="", help="For what it may be used."),
            click.option("--use", type=click.Choice(disclosure.USES), default="intelligence", show_default=True, help="As what."),
            click.option("--channel", type=click.Choice(disclosure.CHANNELS), default="police-to-police", show_default=True),
            click.option("--request-ref", default="", help="Number of the request that it answers (needed for evidence)."),
            click.option("--onward", default="", help="Whether and with whom it may be shared further."),
            click.option("--caveat", "caveats", multiple=True, help="A handling caveat; any number of times."),
            click.option("--tlp", type=click.Choice(disclosure.TLP), default="TLP:AMBER+STRICT", show_default=True),
            click.option("--pap", type=click.Choice(disclosure.PAP), default="PAP:AMBER", show_default=True),
            click.option("--expires", default="", metavar="DATE", help="The day until which it may be kept."),
            click.option("--on-expiry", type=click.Choice(disclosure.ON_EXPIRY), default="destroy", show_default=True),
            click.option("--protection-check", "checked", default="", metavar="TEXT", help="What the protection check found; stays here."),
            click.option("--protection-checked-by", "checked_by", default="", metavar="NAME", help="Who made it."),
        )
    ):
        command = option(command)
    return command


@click.command()
@case_option
@click.option("--records", required=True, metavar="QUERY|FILE", help="As 'kind=photo level=alert', or a file of record ids, one a line.")
@_terms
@click.option("--override", "overrides", multiple=True, metavar="WORD:REASON", help=f"Send although: {', '.join(policy.OVERRIDABLE)}.")
@click.option("--with-notes", is_flag=True, help="Send the examiner's notes along.")
@click.option("--person", "persons", multiple=True, metavar="ID", help="Name this person, though no suspect; any number of times.")
@click.option("--seal", "seal_name", help="The seal to disclose from (default: the latest).")
@click.option("--lang", "languages", multiple=True, metavar="CODE", help="Of the report; any number of times (default: those of the case).")
@click.option("--dry-run", is_flag=True, help="Show what would leave and what would not; make nothing.")
@identity_option
@trust_option
@passphrase_option
@json_option
def disclose(
    folder: Path,
    records: str,
    overrides: tuple[str, ...],
    with_notes: bool,
    persons: tuple[str, ...],
    seal_name: str | None,
    languages: tuple[str, ...],
    dry_run: bool,
    identity_folder: Path,
    trust_folder: Path,
    passphrase_file: Path | None,
    as_json: bool,
    **terms: Any,
) -> None:
    """Draft a package of sealed records for another state; a second person has to `approve` it."""
    case = opened_case(folder)
    review = state(case)
    said = disclosure.Terms(**terms | {"to_state": terms["to_state"].upper()})
    with case.lock(), index.open_index(case.index_path) as found:
        choice = Choice(
            to_state=said.to_state,
            records=_chosen(found, review, records),
            overrides=policy.parse_overrides(overrides),
            notes=with_notes,
            persons=persons,
        )
        chosen = sealing.open_seal(case, seal_name)
        planned = plan(found, review, chosen, choice)
        if dry_run:
            _show(planned, as_json)
            return
        keys = _keys(trust_folder, identity_folder, said.to_state)
        signer = Signer(opened(identity_folder, passphrase_file))
        at = clock()
        made = draft.write(case, review, chosen, planned, said, keys, signer, at=at, languages=languages or case.languages)
    _show(planned, as_json)
    if as_json:
        say({"draft": made.id})
    else:
        click.echo(f"{made.id}: drafted; a second person approves it with `forensics approve {made.id}`")


def _keys(trust_folder: Path, identity_folder: Path, state: str) -> list[str]:
    """The age keys that are pinned for a state."""
    return [each.recipient for each in opened_trust(trust_folder, identity_folder).recipients if each.state == state]


def _chosen(found: index.Index, review: Any, text: str) -> tuple[str, ...]:
    """Ids of the records that a query, or a file of ids, chooses."""
    path = Path(text)
    if "=" in text or not path.is_file():
        return tuple(dict.fromkeys(record.id for record in select(found, text, review)))
    if path.stat().st_size > _IDS:
        raise UsageError(f"{path}: is larger than {_IDS} bytes, so it is not a file of record ids")
    wanted = tuple(dict.fromkeys(path.read_text(encoding="utf-8").split()))
    unknown = set(wanted) - {record.id for record in found.records()}
    if unknown:
        raise UsageError(f"{path}: {min(unknown)!r} is not the id of a record of this case")
    return wanted


def _show(planned: Plan, as_json: bool, checked: approving.Checked | None = None) -> None:
    """What leaves and what stays; of a draft, `checked`, also under which terms."""
    if as_json:
        shown = {"leaves": planned.shown, "stays": planned.held, "withheld": planned.withheld, "sealed": planned.sealed}
        say(shown | ({"disclosure": checked.disclosure, "terms": checked.draft.terms, "overrides": planned.overrides} if checked else {}))
        return
    if checked:
        table(("it says", ""), _said(checked))
    table(("leaves", "record", "what"), [(item.type, item.name, item.what) for item in planned.shown])
    table(
        ("stays (for the house alone)", "why"),
        [(item.what, "; ".join(policy.REASONS[reason] for reason in item.reasons)) for item in planned.held],
    )
    if planned.overrides:
        table(("overridden", "because"), list(planned.overrides.items()))
    for refusal in planned.refusals:
        click.echo(f"refused: {refusal}")
    click.echo(f"leaves: {len(planned.shown)} of {planned.sealed} sealed records; withheld: {planned.withheld}")


def _said(checked: approving.Checked) -> Iterator[tuple[str, str]]:
    """Every term of a draft, under the name of its option or of its field in `disclosure.json`."""
    said, terms = checked.disclosure, checked.draft.terms
    yield "from", f"{said.from_.agency} ({said.from_.state}), {said.from_.officer}"
    yield "to", f"{said.to.authority} ({said.to.state})"
    yield from ((f"to key (SHA-256) {number}", digest) for number, digest in enumerate(said.to.recipients, start=1))
    for name in ("purpose", "use", "channel", "request_ref", "onward"):
        yield name.replace("_", "-"), getattr(said, name)
    yield from (("caveat", text) for text in said.caveats)
    for name in ("tlp", "pap", "expires", "on_expiry", "made_at", "case", "seal"):
        yield name.replace("_", "-"), getattr(said, name)
    yield from (("overrides", word) for word in said.overrides)
    yield "protection-checked-by", said.protection_check.by
    yield "protection-check (for the house alone)", terms.checked
    yield "report in", ", ".join(checked.draft.languages)


@click.command()
@click.argument("disclosure_id")
@case_option
@click.option(
    "--override", "overrides", multiple=True, metavar="WORD[:REASON]", help="Repeat what the draft overrides, to decide the same."
)
@click.option("--dry-run", is_flag=True, help="Show what would leave; approve nothing.")
@identity_option
@trust_option
@passphrase_option
@json_option
def approve(
    disclosure_id: str,
    folder: Path,
    overrides: tuple[str, ...],
    dry_run: bool,
    identity_folder: Path,
    trust_folder: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Approve a draft as a second person: countersign it, encrypt it to the partner, and remove the plain draft."""
    case = opened_case(folder)
    at = clock()
    with case.lock(), index.open_index(case.index_path) as found:
        checked = approving.examine(case, found, state(case), disclosure_id, at=at)
        _show(checked.plan, as_json, checked)
        if dry_run:
            return
        keys = _keys(trust_folder, identity_folder, checked.disclosure.to.state)
        signer = Signer(opened(identity_folder, passphrase_file))
        given = policy.parse_overrides(overrides)
        package = approving.approve(case, checked, signer, keys, signing.encrypt, overrides=given, at=at)
    if as_json:
        say({"package": str(package)})
    else:
        click.echo(f"{package}: encrypted for {checked.disclosure.to.state} (keys: {len(keys)}), signed by two officers")
