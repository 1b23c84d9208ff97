"""What the server of child processes makes ready by importing this, once for all children: libmagic, the code of our own plugins.

Neither reads evidence nor runs a plugin. A server can only be told what to import; so this alone of all modules works while it is imported.
"""

import contextlib
import gc

from forensics import discovery, filetype
from forensics.errors import ForensicsError


def _ready() -> None:
    """Compile the plugins that came with this installation, and take libmagic's database apart."""
    with contextlib.suppress(ForensicsError, OSError):  # a child comes upon it again, and says it to somebody
        discovery.compile_shipped()
        filetype.mime_of(b"\0")
    gc.freeze()  # what is loaded stays: children need not look through it for what could be freed, so its memory stays shared


_ready()
