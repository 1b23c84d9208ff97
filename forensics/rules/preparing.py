"""From the rules that an option names to the sets to match with, what they are made of, and what must be said of them."""

import hashlib
import json
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from forensics.errors import UsageError
from forensics.rules.cache import cached
from forensics.rules.sets import About, Engine, Sets, build, build_named, versions
from forensics.rules.source import SUFFIXES, RuleFile, find, read


class Ready(Struct, frozen=True):
    """Sets to match with, what is known of them, digests of all that was read."""

    sets: Sets
    about: About
    inputs: dict[str, str]


def ready(rules: tuple[str, ...], cache: str, engine: Engine, *, by_name: bool) -> Ready:
    """Read and compile the rules in these files and folders, or load them from the folder `cache`. Raises UsageError."""
    files: list[RuleFile] = []
    inputs: dict[str, str] = {}
    unread: list[str] = []
    for root, below, namespace in find(rules):
        try:
            data, text = read(root / below)
        except ValueError as error:
            unread.append(f"not compiled: {namespace}: {error}")
            continue
        inputs[namespace] = hashlib.sha256(data).hexdigest()
        files.append(RuleFile(namespace, str(root), below, text))
    if not files and not unread:
        raise UsageError(f"rules: no {' or '.join(sorted(SUFFIXES))} file is in {', '.join(rules)}")
    yara, yara_x = versions()
    about = [yara, yara_x, engine, by_name, _own_digest(), *sorted(inputs.items())]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    chosen = tuple(files)
    sets, known = cached(cache, key, partial(build_named, chosen) if by_name else partial(build, chosen, engine))
    for path, digest in known.included.items():
        inputs[f"included {Path(path).parent.name}/{Path(path).name}"] = digest
    inputs["namespaces and versions"] = key
    inputs["engine"] = f"yara (YARA {yara})" if by_name or engine == "yara" else f"{engine} (YARA {yara}, YARA-X {yara_x})"
    return Ready(sets, msgspec.structs.replace(known, notes=(*unread, *known.notes)), inputs)


def _own_digest() -> str:
    """The digest of the code that compiles: what it made may not outlive it in a cache."""
    running = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        running.update(path.read_bytes())
    return running.hexdigest()
