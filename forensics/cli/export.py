"""`export`: what was found, in other programs' formats."""

from datetime import UTC, datetime
from pathlib import Path

import click

from forensics import __version__, custody, index, review
from forensics.case import Case, open_case
from forensics.cli.console import by_option, case_option, json_option, say, table
from forensics.errors import UsageError
from forensics.export.choice import Choice
from forensics.export.formats import FORMATS, Format, Matter
from forensics.export.listing import Listing
from forensics.location import escape
from forensics.review.query import HELP, Query

_FORMATS = "\n".join(["\b", *(f"  {name:<11}{each.description}" for name, each in FORMATS.items())])


@click.command(help=f"Write what was found in another program's FORMAT.\n\n{_FORMATS}\n\n{HELP}")
@click.argument("name", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@case_option
@by_option
@json_option
@click.option("--out", type=click.Path(path_type=Path), help="The file or folder to write (default: in the case's exports folder).")
@click.option("--query", default="", help="Only the records that this query chooses.")
@click.option("--kind", "kinds", multiple=True, help="Only records of this kind; any number of times.")
@click.option("--exhibit", "exhibits", multiple=True, help="Only what is of this exhibit; any number of times.")
def export(
    name: str, folder: Path, by: str | None, as_json: bool, out: Path | None, query: str, kinds: tuple[str, ...], exhibits: tuple[str, ...]
) -> None:
    chosen = FORMATS[name]
    case = open_case(folder)
    asked = _asked(case, chosen, name, query, kinds, exhibits)
    at = datetime.now(UTC)
    with case.lock():
        index.ensure(case)
        target = _target(case, chosen, name, out, at)
        matter = Matter(
            case=case.info,
            exhibits=case.exhibits(),
            custody=lambda: custody.read(case.folder),
            tool=f"forensics {__version__}",
            at=at,
        )
        with index.open_index(case.index_path) as found:
            written = chosen.write(target, Choice(found, asked, review.state(case), exhibits), matter)
        files = {each.name: {"rows": each.rows, "size": each.size, "sha256": each.sha256} for each in written}
        body = {"format": name, "query": asked.text, "exhibits": list(exhibits), "files": files}
        custody.append(case.folder, "exported", object=target.name, body=body, by=by, at=at)
    _say(target if chosen.ending is None else target.parent, written, as_json)


def _asked(case: Case, chosen: Format, name: str, query: str, kinds: tuple[str, ...], exhibits: tuple[str, ...]) -> Query:
    """The query of all filters. Raises UsageError for an exhibit that is not there, and where the format has nothing to choose from."""
    unknown = sorted(set(exhibits) - {exhibit.exhibit_id for exhibit in case.exhibits()})
    if unknown:
        raise UsageError(f"no exhibit {', '.join(unknown)}; `forensics exhibit list` names them")
    if (query or kinds) and not chosen.queried:
        raise UsageError(f"{name} holds files, not records: --query and --kind choose nothing in it; --exhibit does")
    words = [query, *(_term("kind", kind) for kind in kinds), *(_term("exhibit", exhibit) for exhibit in exhibits)]
    return review.parse([word for word in words if word])


def _term(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{quoted}"'


def _target(case: Case, chosen: Format, name: str, out: Path | None, at: datetime) -> Path:
    """Where to write: a file that is not there yet, or an empty folder. Raises UsageError for one that is there."""
    if out is None:
        stem = case.folder / "exports" / f"{at.strftime('%Y%m%dT%H%M%SZ')}-{name}"
        number = 1
        while stem.exists():
            number += 1
            stem = stem.with_name(f"{at.strftime('%Y%m%dT%H%M%SZ')}-{name}-{number}")
        out = stem if chosen.ending is None else stem / f"case{chosen.ending}"
    elif chosen.ending is not None and out.is_dir():
        out = out / f"case{chosen.ending}"
    if chosen.ending is not None:
        for path in (out, *((chosen.beside(out),) if chosen.beside else ())):
            if path.exists():
                raise UsageError(f"{path} exists already; name another file")
        out.parent.mkdir(parents=True, exist_ok=True)
        return out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; name another")
    out.mkdir(parents=True, exist_ok=True)
    return out


def _say(folder: Path, written: tuple[Listing, ...], as_json: bool) -> None:
    if as_json:
        say({"export": {"folder": str(folder), "files": written}})
        return
    click.echo(f"exported to {escape(str(folder))}")
    table(("file", "rows", "bytes", "SHA-256"), ((each.name, each.rows, each.size, each.sha256) for each in written))
