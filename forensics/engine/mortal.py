"""What every process of ours does that works for another: it ends when that one does, however that one ended."""

import ctypes
import os
import signal
from multiprocessing import forkserver

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """To be called once in a process that the fork server started.

    The fork server ends when nobody holds its pipe any more, so that must not be kept open by those that it has to take along; and the
    kernel ends them with it (prctl(2), PR_SET_PDEATHSIG).
    """
    alive = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    if alive is not None:
        os.close(alive)
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
