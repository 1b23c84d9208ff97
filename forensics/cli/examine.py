"""`process`, `examine` and `report`: the main job, at once and in its steps."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from forensics import index, report, validation
from forensics.case import Case, open_case
from forensics.cli import fields, interview
from forensics.cli.console import FAULTS, by_option, case_option, json_option, progress, say
from forensics.cli.keys import key_option, keys_of, passwords_option, with_passwords
from forensics.cli.report_options import report_options, taken
from forensics.engine import reach, run, scope
from forensics.engine.options import Options
from forensics.engine.outcome import Outcome
from forensics.errors import UsageError
from forensics.evidence.space import Space
from forensics.location import escape
from forensics.model import Exhibit, Scope


def _examine_options(command: Any) -> Any:
    for option in (
        click.option("--rules", multiple=True, type=click.Path(exists=True), help="YARA rules: a file or a folder; any number of times."),
        click.option("--hash-set", "hash_sets", multiple=True, help="Known digests, as good:FILE or bad:FILE; any number of times."),
        key_option,
        passwords_option,
        click.option("--unallocated", is_flag=True, help="Scan space that no file has: free blocks, gaps between volumes, unknown media."),
        click.option("--slack", is_flag=True, help="Scan what is left behind the end of files in their last blocks."),
        click.option("--carve", is_flag=True, help="Carve files out of unallocated space, and examine them (with --unallocated)."),
        click.option("--skip-known", is_flag=True, help="Do not offer known-good content (by SHA-256) to the plugins."),
        click.option("--scope", "scopes", multiple=True, help="What the authority allows: path=GLOB, kind=MIME, since=DATE, until=DATE."),
        click.option(
            "--plugins", "folders", multiple=True, type=click.Path(exists=True, file_okay=False), help="A folder of more plugins."
        ),
        click.option("--plugin", "names", multiple=True, help="Run this plugin only; any number of times."),
        click.option("--children", type=click.IntRange(1, 64), help="Processes that read at the same time (default: one a core)."),
        click.option("--again", is_flag=True, help="Examine everything anew, though an earlier run did the same."),
        click.option("--cluster", help="Examine on a Dask cluster: tcp://HOST:PORT, tls://HOST:PORT, or local:N for N workers here."),
        click.option("--cluster-tls", type=click.Path(path_type=Path), help="TOML file with ca, cert and key, for tls:// addresses."),
    ):
        command = option(command)
    return command


def _options(case: Case, given: dict[str, Any]) -> Options:
    options = {name: dict(values) for name, values in case.plugin_options.items()}
    if given["rules"]:
        for name in ("rule-match", "rule-match-named"):
            options.setdefault(name, {})["rules"] = [str(Path(path).absolute()) for path in given["rules"]]
    if given["hash_sets"]:
        options.setdefault("known-hash", {})["sets"] = list(given["hash_sets"])
    stated = scope.parse(given["scopes"])
    return Options(
        children=given["children"] or 0,
        plugin_folders=given["folders"],
        plugins=given["names"] or None,
        plugin_options=with_passwords(options, given["passwords"]),
        scope=stated if stated != Scope() else case.scope,
        skip_known=given["skip_known"],
        cluster=_cluster(given["cluster"], given["cluster_tls"]),
        keys=keys_of(given["keys"]),
        again=given["again"],
        space=Space(given["unallocated"] or given["carve"], given["slack"], given["carve"]),
    )


def _cluster(address: str | None, tls: Path | None) -> reach.Where | None:
    if address is None and tls is not None:
        raise UsageError("--cluster-tls goes with --cluster tls://HOST:PORT")
    return reach.where(address, tls) if address else None


def _notice(text: str) -> None:
    """What an examiner should know while a run goes on; on standard error, so that what programs read stays clean."""
    click.echo(f"forensics: {escape(text)}", err=True)


def _nothing() -> None:
    return None


def _examine(
    case: Case,
    exhibits: tuple[Exhibit, ...],
    given: dict[str, Any],
    by: str | None,
    as_json: bool,
    meanwhile: Callable[[], None] = _nothing,
) -> Outcome:
    with progress(as_json) as show:
        outcome = run.examine(case, exhibits, _options(case, given), show, by=by, notice=_notice, meanwhile=meanwhile)
    if as_json:
        say({"run": outcome})
        return outcome
    click.echo(f"{outcome.run}: {outcome.entries} entries examined, {outcome.faults} faults; digest {outcome.digest}")
    if outcome.resumed:
        click.echo("  it was interrupted before, and went on from where it was")
    for exhibit, earlier in sorted(outcome.built_on.items()):
        click.echo(f"  exhibit {escape(exhibit)}: what {earlier} found and nothing has changed was kept (--again examines everything anew)")
    if outcome.limited:
        click.echo("  a limit of time or memory struck: the run's digest is not comparable with another's")
    for exhibit, same in sorted(outcome.unchanged.items()):
        click.echo(f"  exhibit {escape(exhibit)}: {'unchanged, same digest before and after' if same else 'CHANGED while it was examined'}")
    for why in outcome.examined_nothing:
        click.echo(f"  not examined: {escape(why)}", err=True)
    for why in outcome.not_walked:
        click.echo(f"  not all of it was examined: {escape(why)}", err=True)
    for why in outcome.not_measured:
        click.echo(f"  no digest was taken, so nothing shows that it is unchanged: {escape(why)}", err=True)
    return outcome


def _code(outcome: Outcome) -> int:
    if outcome.examined_nothing and outcome.entries == 0:
        return 1
    return FAULTS if outcome.faults or not all(outcome.unchanged.values()) else 0


_ITS_OWN = ("serial", "seal_no", "stated_sha256")  # fields of which no two exhibits have the same


def _inside(folder: Path, image: Path) -> bool:
    """Whether a folder lies inside an exhibit: as both are written, or where links lead."""
    written, exhibit = Path(os.path.abspath(folder)), Path(os.path.abspath(image))  # noqa: PTH100 - lexical, as the case holds them
    return written.is_relative_to(exhibit) or folder.resolve().is_relative_to(image.resolve())


@click.command(cls=fields.Grouped)
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@case_option
@by_option
@json_option
@interview.no_input_option
@_examine_options
@report_options
@fields.options("case", "authority", "exhibit")
def process(
    images: tuple[Path, ...],
    folder: Path,
    by: str | None,
    as_json: bool,
    no_input: bool,
    **given: Any,
) -> int:
    """Take IMAGES (or folders, or files) to a report: make or open the case, add the exhibits, examine, report.

    Fields of a case that is there already are updated, and what is said of an exhibit is corrected. On a terminal, required fields that
    are empty are asked for, once.
    """
    for image in images:
        if _inside(folder, image):
            raise UsageError(f"the case folder {folder} would lie inside the exhibit {image}; name another with --case")
    asking = interview.possible(no_input, as_json)
    values = fields.taken(given, "exhibit")
    own = [name for name in _ITS_OWN if name in values]
    if own and len(images) > 1:
        raise UsageError(f"{', '.join(own)} belongs to one exhibit, and {len(images)} are given; add them with `forensics exhibit add`")
    there = open_case(folder) if (folder / "case.toml").exists() else None
    wanted = taken(given)
    report.check(wanted.templates, wanted.language or (there.languages[0] if there else "en"))
    case = there or interview.new_case(folder, given, by, asking)
    with case.lock():
        if there:
            case = interview.update_case(case, given, asking)
        held = {exhibit.image: exhibit for exhibit in case.exhibits()}
        chosen = []
        for image in images:
            if found := held.get(os.path.abspath(image)):  # noqa: PTH100 - as the case holds it
                chosen.append(interview.correct(case, found, values, "as given to `process`", by))
            else:
                new = Exhibit(exhibit_id="", image=str(image), image_format="as found", **values)
                chosen.append(interview.receive(case, new, by, asking))

        def meanwhile() -> None:
            from forensics.cli import reporting  # here, so that a child process is at work while it is loaded

            reporting.prepare(case, wanted)

        outcome = _examine(case, tuple(chosen), given, by, as_json, meanwhile)
        from forensics.cli import reporting

        reporting.write(case, wanted, by, as_json)
    return _code(outcome)


@click.command()
@case_option
@by_option
@json_option
@click.option("--exhibit", "wanted", multiple=True, help="Only this exhibit; any number of times.")
@_examine_options
def examine(folder: Path, by: str | None, as_json: bool, wanted: tuple[str, ...], **given: Any) -> int:
    """Examine the case's exhibits, or go on where an examination was interrupted."""
    case = open_case(folder)
    with case.lock():
        exhibits = case.exhibits()
        unknown = set(wanted) - {exhibit.exhibit_id for exhibit in exhibits}
        if unknown:
            raise UsageError(f"no exhibit {', '.join(sorted(unknown))}; there are: {', '.join(exhibit.exhibit_id for exhibit in exhibits)}")
        outcome = _examine(case, tuple(e for e in exhibits if not wanted or e.exhibit_id in wanted), given, by, as_json)
    return _code(outcome)


@click.command(name="report")
@case_option
@by_option
@json_option
@report_options
def report_command(folder: Path, by: str | None, as_json: bool, **given: Any) -> None:
    """Write the report of what has been examined so far."""
    from forensics.cli import reporting

    case = open_case(folder)
    wanted = taken(given)
    report.check(wanted.templates, wanted.language or case.languages[0])
    with case.lock():
        index.ensure(case)
        reporting.write(case, wanted, by, as_json)


@click.command()
@json_option
def validate(as_json: bool) -> int:
    """Examine the shipped images on this installation and compare with their known facts; the result stands in every report."""
    result = validation.validate()
    validation.keep(result)
    if as_json:
        say({"validation": result})
    else:
        click.echo(f"{result.passed} of {result.checks} checks passed ({result.material})")
        for failure in result.failures:
            click.echo(f"  failed: {escape(failure)}", err=True)
    return 1 if result.failures else 0
