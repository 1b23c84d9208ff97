"""Reaching a cluster: its address, its certificates, a connection that is quiet on the terminal. Alone in importing `distributed`."""

import contextlib
import logging
import re
import signal
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import tomlkit
from msgspec import Struct
from tomlkit.exceptions import TOMLKitError

from forensics.errors import EngineError, UsageError

CONNECT = 30.0  # seconds
_ADDRESS = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]{1,5}")
_LOCAL = re.compile(r"local:([0-9]{1,3})")
_LOOPBACK = re.compile(r"tcp://(127\.|localhost:|\[::1\])")


class Where(Struct, frozen=True, kw_only=True):
    """Where the workers are: a scheduler's `address`, or ``local:N``; paths of PEM files for TLS; seconds to wait for a first worker."""

    address: str
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    patience: float = 300.0

    @property
    def workers(self) -> int | None:
        """How many workers to start on this machine; `None` where a scheduler is named."""
        match = _LOCAL.fullmatch(self.address)
        return int(match[1]) if match else None


def where(address: str, tls: Path | None = None) -> Where:
    """What `--cluster` and `--cluster-tls` say. `tls` is a TOML file with `ca`, `cert` and `key`, in a table `[cluster]` or by themselves;
    relative paths begin at its folder. Raises UsageError.
    """
    local = _LOCAL.fullmatch(address)
    if (not local and not _ADDRESS.fullmatch(address)) or (local and int(local[1]) < 1):
        raise UsageError(f"{address!r} is not a cluster: write tcp://HOST:PORT, tls://HOST:PORT, or local:N for N workers on this machine")
    if tls is None:
        if address.startswith("tls://"):
            raise UsageError(f"{address} needs certificates: name a file with ca, cert and key by --cluster-tls")
        return Where(address=address)
    if not address.startswith("tls://"):
        raise UsageError(f"--cluster-tls goes with an address that begins with tls://, and this is {address}")
    ca, cert, key = _certificates(tls)
    return Where(address=address, ca=ca, cert=cert, key=key)


def _certificates(path: Path) -> list[str]:
    try:
        table: Any = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not TOML ({error})") from error
    table = table.get("cluster", table)
    found = []
    for name in ("ca", "cert", "key"):
        value = table.get(name) if isinstance(table, dict) else None
        if not isinstance(value, str):
            raise UsageError(f"{path}: does not say {name}, the path of a PEM file; it needs ca, cert and key")
        file = path.absolute().parent / value
        if not file.is_file():
            raise UsageError(f"{path}: {name} is {file}, which is not a file")
        found.append(str(file))
    return found


def open_air(place: Where) -> bool:
    """Whether what is said to the cluster crosses a network unencrypted."""
    return place.address.startswith("tcp://") and not _LOOPBACK.match(place.address)


@contextlib.contextmanager
def connected(place: Where) -> Iterator[Any]:
    """A `distributed.Client` of the cluster. Raises UsageError where the extra is not installed, EngineError where nobody answers."""
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise UsageError("--cluster needs Dask, which is not installed: pip install 'forensics[cluster]'") from error
    _quiet()
    with contextlib.ExitStack() as leaving, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # differing versions of Dask's helpers and full ports: nothing an examiner could answer
        try:
            if place.workers is not None:
                with _uninterrupted():
                    address: Any = leaving.enter_context(_local(distributed, place.workers))
                security = address.security
            else:
                address, security = place.address, _security(distributed, place)
            client = distributed.Client(address, security=security, timeout=CONNECT, set_as_default=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineError(
                f"no scheduler answers at {place.address} ({_first(error)}); start it, or give the address that it printed"
            ) from error
        leaving.callback(_left, client)
        yield client


def _local(distributed: Any, workers: int) -> Any:
    """Workers on this machine, one child each. Encrypted with certificates of the moment: any user of the machine could connect else."""
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,  # what children use is bounded by the run's own limits
        security=True,
        silence_logs=logging.CRITICAL,
        preload=["forensics.engine.host"],
    )


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits for the seconds in which workers start, so that they inherit that it is not for them but for the coordinator."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _security(distributed: Any, place: Where) -> Any:
    if place.ca is None:
        return None
    return distributed.Security(require_encryption=True, tls_ca_file=place.ca, tls_client_cert=place.cert, tls_client_key=place.key)


def _left(client: Any) -> None:
    """Leave the cluster; one that has gone already is left too."""
    with contextlib.suppress(OSError, TimeoutError, RuntimeError):
        client.close(timeout=5)


def _first(error: BaseException) -> str:
    """The innermost cause in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _quiet() -> None:
    """Dask's own log goes nowhere: what an examiner must know of it is said in one sentence of ours."""
    for name in ("distributed", "tornado", "bokeh", "asyncio"):
        for each in [name, *(other for other in logging.root.manager.loggerDict if other.startswith(f"{name}."))]:
            logger = logging.getLogger(each)
            logger.handlers[:] = [logging.NullHandler()]
            logger.propagate = each != name
