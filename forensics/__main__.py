"""The command `forensics`, and `python -m forensics`.

A command that reads evidence needs a server of child processes, which loads what they need once. It is started here first, so that it
loads that while the command line itself is being loaded.
"""

import gc
import os
import sys

READ_EVIDENCE = frozenset({"process", "examine", "validate", "plugins"})


def main() -> None:
    """Run the command line."""
    if READ_EVIDENCE & set(sys.argv[1:2]):
        from multiprocessing import forkserver, get_context, resource_tracker  # here, because no other command waits for it

        from forensics.engine import PRELOADED

        sys.setswitchinterval(0.0005)  # seconds: who talks with the children must not wait for what a thread prepares meanwhile
        # Nothing here is left to another process to clean up: its would-be channel is told, as in any child, and none is started
        resource_tracker._resource_tracker._fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)  # type: ignore[attr-defined]
        get_context("forkserver").set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    from forensics.cli import main as command_line

    try:
        command_line()
    finally:
        gc.freeze()  # the process ends: Python need not look through all that it has loaded for what could be freed


if __name__ == "__main__":
    main()
