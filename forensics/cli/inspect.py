"""`inspect` and `verify-image`: what is in an image, and whether it is still what was acquired; no case is needed."""

from collections.abc import Iterator
from pathlib import Path

import click

from forensics.cli.console import FAULTS, json_option, progress, say
from forensics.cli.keys import key_option, keys_of
from forensics.engine import look
from forensics.engine.outcome import Progress
from forensics.errors import UsageError
from forensics.location import Location, escape
from forensics.model import ImageDigest, LayerInfo

_DAMAGE_SHOWN = 20
_HOLDERS = ("lvm2", "core-storage", "apfs-container")
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256"}


@click.command()
@click.argument("image", type=click.Path(exists=True, path_type=Path))
@key_option
@json_option
def inspect(image: Path, keys: tuple[str, ...], as_json: bool) -> None:
    """Show what an image holds: format, volumes, file systems, encryption, snapshots, damage, stored digests.

    Nothing is read but what tells the layers apart; `verify-image` reads it all.
    """
    looked = look.look(image, keys_of(keys))
    if as_json:
        say({"inspected": looked})
        return
    for line in _lines(image, looked):
        click.echo(line)


def _lines(image: Path, looked: look.Looked) -> Iterator[str]:
    files = f", {len(looked.files)} files" if len(looked.files) > 1 else ""
    yield f"{escape(str(image))}: {looked.format}, {looked.size} bytes ({_readable(looked.size)}){files}"
    for name, value in sorted(looked.metadata.items()):
        yield f"  {name.replace('_', ' ')}: {escape(value)}"
    for name, value in sorted(looked.stored.items()):
        yield f"  {name} stored at acquisition: {escape(value)}"
    for damage in looked.damage[:_DAMAGE_SHOWN]:
        yield f"  DAMAGED: {damage.size} bytes at byte {damage.offset}: {escape(damage.message)}"
    if len(looked.damage) > _DAMAGE_SHOWN:
        yield f"  DAMAGED: {len(looked.damage) - _DAMAGE_SHOWN} more places"
    yield ""
    for layer in looked.layers:
        yield from _layer(layer)
    shown = {layer.location for layer in looked.layers}
    for fault in looked.faults:
        if fault.location not in shown or fault.kind in ("damaged", "limit"):
            yield f"{fault.kind.upper()}: {escape(fault.location)}: {escape(fault.message)}"


def _layer(layer: LayerInfo) -> Iterator[str]:
    layers = Location.parse(layer.location).layers
    pair = len(layers) > 1 and layers[-2].kind == "volume"
    first = len(layers) - (2 if pair else 1)
    # a partition table is no part of the locations of its volumes; what else holds volumes is
    partition = layers[first].kind in ("volume", "unallocated") and (not first or layers[first - 1].kind not in _HOLDERS)
    name = ":".join(map(str, layers[first:]))
    indent = "  " * (first + partition)
    label = f' "{escape(layer.label)}"' if layer.label else ""
    yield f"{indent}{name}{label}  {layer.offset}+{layer.size} ({_readable(layer.size)})"
    if layer.description:
        yield f"{indent}    {escape(layer.description)}"
    if layer.reason and layer.kind != "unallocated":
        yield f"{indent}    NOT EXAMINED: {escape(layer.reason)}"


def _readable(size: int) -> str:
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = min(max(size.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{size} bytes" if not power else f"{size / (1 << 10 * power):.1f} {units[power]}"


@click.command(name="verify-image")
@click.argument("image", type=click.Path(exists=True, path_type=Path))
@click.option("--digest", "stated", multiple=True, metavar="HEX", help="A digest that the medium should have (MD5, SHA-1 or SHA-256).")
@json_option
def verify_image(image: Path, stated: tuple[str, ...], as_json: bool) -> int:
    """Read an image whole and compare it with the digests stored in it at acquisition; 3 where one differs or something is damaged."""
    wanted = {_algorithm(text): text.lower() for text in stated}
    size = look.look(image).size
    done = 0
    with progress(as_json) as show:

        def further(count: int) -> None:
            nonlocal done
            done += count
            show(Progress(phase="verifying", bytes=done, bytes_total=size))

        digest = look.digests(image, further)
    computed = {"sha256": digest.sha256, "sha1": digest.sha1, "md5": digest.md5}
    matches = {f"stated {name}": computed[name] == value for name, value in wanted.items()}
    sound = all(digest.stored_match.values()) and all(matches.values()) and not digest.damage
    if as_json:
        say({"verified": {"image": digest, "stated_match": matches, "ok": sound}})
    else:
        for line in _verified(image, digest, matches):
            click.echo(line)
    return 0 if sound else FAULTS


def _algorithm(text: str) -> str:
    name = _ALGORITHMS.get(len(text))
    if name is None or set(text.lower()) - set("0123456789abcdef"):
        raise UsageError(f"{text!r} is no MD5, SHA-1 or SHA-256 in hexadecimal")
    return name


def _verified(image: Path, digest: ImageDigest, stated: dict[str, bool]) -> Iterator[str]:
    yield f"{escape(str(image))}: {digest.format}, {digest.size} bytes"
    yield f"  sha256 {digest.sha256}"
    for name, value in (("sha1", digest.sha1), ("md5", digest.md5)):
        if value:
            yield f"  {name} {value}"
    for name, holds in [*sorted(digest.stored_match.items()), *sorted(stated.items())]:
        said = "stored at acquisition: " if not name.startswith("stated") else ""
        yield f"  {said}{escape(name)}: {'matches' if holds else 'DOES NOT MATCH'}"
    if not digest.stored_match:
        yield "  the image stores no digest of its acquisition: there is nothing in it to compare with"
    for damage in digest.damage[:_DAMAGE_SHOWN]:
        yield f"  DAMAGED: {damage.size} bytes at byte {damage.offset}: {escape(damage.message)}"
    if len(digest.damage) > _DAMAGE_SHOWN:
        yield f"  DAMAGED: {len(digest.damage) - _DAMAGE_SHOWN} more places"
