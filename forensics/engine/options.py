"""How an exhibit is examined, as it was asked for."""

from msgspec import Struct

from forensics.engine.reach import Where
from forensics.engine.setup import Limits
from forensics.evidence.keys import Keys
from forensics.evidence.space import Space
from forensics.model import Scope, Value


class Options(Struct, frozen=True, kw_only=True):
    """How to examine: children, plugins and their options, scope, limits, whether known-good content is skipped, on which cluster.

    With `again` nothing is kept of earlier runs. `space` is what is examined beside files.
    """

    children: int = 0
    plugin_folders: tuple[str, ...] = ()
    plugins: tuple[str, ...] | None = None
    plugin_options: dict[str, dict[str, Value]] = {}
    scope: Scope = Scope()
    skip_known: bool = False
    limits: Limits = Limits()
    cluster: Where | None = None
    keys: Keys = Keys()
    again: bool = False
    space: Space = Space()
