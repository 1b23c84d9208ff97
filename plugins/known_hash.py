"""Files whose digest is in a hash set: known software (NSRL) and known-bad lists."""

import hashlib
from collections.abc import Iterator

from forensics.hashset import HashSet, Hit, Listing, load
from forensics.plugin import File, Finding, Prepared, extractor

Sets = tuple[tuple[Listing, HashSet], ...]


def prepare(*, sets: tuple[str, ...] = (), cache: str = "") -> Prepared:
    """Open the hash sets named, converting those that are not yet. Raises UsageError."""
    opened: Sets = tuple(load(entry, cache) for entry in sets)
    inputs, notes = {}, [] if sets else ["no hash set was given"]
    for entry, (listing, known) in zip(sets, opened, strict=True):
        inputs[entry if known.name in inputs else known.name] = known.source
        counts = ", ".join(f"{count} {algorithm}" for algorithm, count in known.counts.items())
        notes.append(f"{known.name} ({listing}, {known.format}): {counts}")
        notes += [f"{known.name}: {note}" for note in known.notes]
        if listing == "known-good" and known.weak_algorithms:
            notes.append(f"{known.name}: MD5 and SHA-1 collide at will; such matches are reported, but do not make a file known-good")
    return Prepared(opened or None, inputs, tuple(notes))


@extractor(version="1.0", prepare=prepare)
def known_hash(file: File, prepared: Sets | None, *, sets: tuple[str, ...] = (), cache: str = "") -> Iterator[Finding]:
    """Files whose digest is in a hash set: known software, known-bad content.

    `sets` are ``good:PATH`` and ``bad:PATH``; `cache` is a folder in which converted sets are kept. A known-bad set matches on any of
    its algorithms; a known-good set counts on SHA-256 alone (MD5 and SHA-1 collide at will), its other matches are marked weak.
    """
    if prepared is None:
        return
    digests = {"sha256": file.sha256, **_weak_digests(file, {name for _, known in prepared for name in known.weak_algorithms})}
    for listing, known in prepared:
        for algorithm in known.counts:
            if hit := known.find(algorithm, digests[algorithm]):
                yield _finding(listing, known.name, hit)
                break


def _weak_digests(file: File, algorithms: set[str]) -> dict[str, str]:
    """SHA-1 and MD5 of the content, only those that a loaded set needs."""
    if not algorithms:
        return {}
    running = {name: hashlib.new(name, usedforsecurity=False) for name in sorted(algorithms)}
    with file.open() as stream:
        while chunk := stream.read(1 << 20):
            for one in running.values():
                one.update(chunk)
    return {name: one.hexdigest() for name, one in running.items()}


def _finding(listing: Listing, name: str, hit: Hit) -> Finding:
    bad = listing == "known-bad"
    summary = f"{'Known-bad' if bad else 'Known'} file: {hit.algorithm} in {name}"
    if hit.name:
        summary += f", there named {hit.name}"
    if hit.weak and not bad:
        summary += "; a weak match, it does not make the file known-good"
    return Finding(
        kind="known-file",
        summary=summary,
        level="alert" if bad else "info",
        data={
            "set": name,
            "list": listing,
            "algorithm": hit.algorithm,
            "digest": hit.digest,
            "name": hit.name or None,
            "weak": hit.weak,
        },
    )
