"""The long form of `tests/test_engine_faults.py`: plugins that misbehave on random files of an image, several at once, in each round.

What the others found, and every digest, must be as in a run without them. `make soak`; SOAK_ROUNDS and FORENSICS_SEED say how many
rounds and which.
"""

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import test_engine_faults as misbehaving

from forensics.location import Location

SEED = int(os.environ.get("FORENSICS_SEED", "1"))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "1"))
SORTS = sorted(set(misbehaving.BAD) - {"sleeps", "writes-to-the-run"})


@pytest.fixture(scope="module")
def calm(evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> misbehaving.Found:
    case = tmp_path_factory.mktemp("calm") / "case"
    return misbehaving.found_in(case, misbehaving.examine(case, [evidence / "cases" / "winbox-a.E01"], None))


@pytest.mark.parametrize("number", range(20 * ROUNDS))
def test_whatever_plugins_do_the_rest_is_kept(number: int, calm: misbehaving.Found, evidence: Path, tmp_path: Path) -> None:
    source = random.Random(SEED + number)
    paths = sorted({Location.parse(place).path for place, entry in calm.entries.items() if entry.digests})
    chosen = {name: source.choice(paths) for name in source.sample(SORTS, 4)}
    print(f"FORENSICS_SEED={SEED}: {chosen}")
    for name, path in chosen.items():
        misbehaving.write_plugin(tmp_path / "plugins", name, misbehaving.BAD[name], tmp_path)
        plugin = tmp_path / "plugins" / f"{name.replace('-', '_')}.py"
        pattern = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
        plugin.write_text(plugin.read_text().replace(f"names=('{name}.txt',)", f"names=({pattern!r},)"))
    case = tmp_path / "case"
    outcome = misbehaving.examine(case, [evidence / "cases" / "winbox-a.E01"], tmp_path / "plugins", children=2)
    found = misbehaving.found_in(case, outcome)
    assert outcome.unchanged == {"1": True}
    assert {place: entry.digests for place, entry in found.entries.items()} == {
        place: entry.digests for place, entry in calm.entries.items()
    }
    ours = sorted(record.id for record in found.records if record.plugin in misbehaving.KINDS)
    assert ours == sorted(record.id for record in calm.records if record.plugin in misbehaving.KINDS)
    assert {fault.plugin for fault in found.faults} <= set(chosen)
    for name in set(chosen) & set(misbehaving.DEADLY):
        faults = [fault for fault in found.faults if fault.plugin == name]
        assert faults
        assert all(Location.parse(fault.location).path == chosen[name] for fault in faults)
