"""Where a child process begins: what it is made of is loaded by the server of child processes, and not by who asks for the child."""

from multiprocessing.connection import Connection


def enter(connection: Connection, setup: bytes, status_path: str, number: int) -> None:
    """Become a child that serves tasks (`child.main`)."""
    from forensics.engine import child  # here, because the parent imports this module to name it, and never reads evidence

    child.main(connection, setup, status_path, number)
