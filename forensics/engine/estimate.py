"""How long unallocated space will take: an estimate out of measured rates, said before the work begins."""

from collections.abc import Sequence

from forensics.evidence.space import Space
from forensics.model import Value

# Bytes a second of one process: CPU time over 32 MiB of documents, pictures, databases and logs in turn, on a machine of two cores. Zeros
# and noise go two to five times faster; how long rules take depends on the rules.
READING = 250e6
RATES = {"rule-match": 80e6, "features": 140e6, "carved-files": 230e6}


def asked(space: Space) -> dict[str, Value]:
    """What of it stands in a run's options: nothing where nothing was asked for."""
    return {name: True for name in ("unallocated", "slack", "carve") if getattr(space, name)}


def seconds(size: int, space: Space, children: int, plugins: Sequence[str]) -> float:
    """Seconds for `size` bytes of unallocated space with so many processes. What is carved out takes time of its own, and is not in it."""
    used = [name for name in RATES if name in plugins and (name != "carved-files" or space.carve)]
    return size * (1 / READING + sum(1 / RATES[name] for name in used)) / max(1, children)


def sentence(size: int, space: Space, children: int, plugins: Sequence[str]) -> str:
    """The estimate for the examiner."""
    about = seconds(size, space, children, plugins)
    time = (
        "a second"
        if about < 1.5
        else f"{about:.0f} seconds"
        if about < 90
        else f"{about / 60:.0f} minutes"
        if about < 5400
        else f"{about / 3600:.1f} hours"
    )
    more = "; what is carved is examined on top of that" if space.carve else ""
    return f"{size} bytes of unallocated space will take about {time} (an estimate from measured rates, {children} processes){more}"
