"""The command `forensics`, and `python -m forensics`.

A command that reads evidence needs a server of child processes, which loads what they need once. It is started here first, so that it
loads that while the command line itself is being loaded.
"""

import sys

READ_EVIDENCE = frozenset({"process", "examine", "validate", "plugins"})


def main() -> None:
    """Run the command line."""
    if READ_EVIDENCE & set(sys.argv[1:2]):
        from multiprocessing import forkserver, get_context  # here, because no other command waits for it

        from forensics.engine import PRELOADED

        get_context("forkserver").set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    from forensics.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
