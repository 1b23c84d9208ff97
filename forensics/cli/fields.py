"""The fields of a case and of an exhibit as options, made out of the tables of `forensics.settings`, in groups of the help of their own."""

from collections.abc import Callable
from typing import Any

import click

from forensics import settings

# Group of options: the table that its fields stand in, what their options begin with, and the heading in the help.
_GROUPS = {
    "case": ("case", "", "The case, kept in case.toml (* needed for a seal)"),
    "authority": ("case.legal_authority", "authority-", "Its legal authority (* needed for a seal)"),
    "exhibit": ("exhibit", "exhibit-", "The exhibit, kept in the custody log (* needed for a seal)"),
}


class Field(click.Option):
    """An option that stands for a field; the help shows it under `group`, by its first name."""

    group = ""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.opts[0], self.help or ""


class Grouped(click.Command):
    """A command whose help lists the fields behind its other options, by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                rows.setdefault(parameter.group if isinstance(parameter, Field) else "Options", []).append(record)
        for heading in sorted(rows, key=lambda heading: heading != "Options"):
            with formatter.section(heading):
                formatter.write_dl(rows[heading], col_max=36)


def options(*groups: str, short: bool = False) -> Callable[[Any], Any]:
    """Options for every field of `groups` (``case``, ``authority``, ``exhibit``); `short` takes them without what they begin with, too."""

    def decorate(command: Any) -> Any:
        for group in reversed(groups):
            table, prefix, heading = _GROUPS[group]
            for name, (required, what) in reversed(settings.TABLES[table].items()):
                word = name.replace("_", "-")
                word = word.removesuffix("-exhibit")
                more = settings.is_list(f"{table}.{name}")
                declared = dict.fromkeys([*([f"--{word}"] if short else []), f"--{prefix}{word}"])
                text = f"{'* ' if required else ''}{what}{'; any number of times' if more else ''}"
                kind = type("Field", (Field,), {"group": heading})
                command = click.option(
                    *declared, f"{group}__{name}", cls=kind, multiple=more, help=text, callback=_checker(f"{table}.{name}")
                )(command)
        return command

    return decorate


def _checker(field: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def check(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value if value is None else settings.checked(field, value)
        return tuple(settings.checked(field, each) for each in value)

    return check


def taken(given: dict[str, Any], group: str) -> dict[str, Any]:
    """What was given for the fields of `group`, by field; taken out of `given`, which held all options of the command."""
    names = [name for name in given if name.startswith(f"{group}__")]
    found = {name.removeprefix(f"{group}__"): given.pop(name) for name in names}
    return {name: value for name, value in found.items() if value not in (None, ())}
