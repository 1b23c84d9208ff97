"""Every error that this package raises on purpose.

    ForensicsError                  catch this to catch them all
    ├── EvidenceError               something about the exhibit's own bytes
    │   ├── Unsupported             not this format, or a variant that is not read
    │   ├── Corrupt                 this format, but damaged
    │   ├── Locked                  encrypted, and no key was given
    │   └── LimitExceeded           reading on would pass a bound set in `evidence.limits`
    │       └── TimedOut            a bound of time: another machine may not reach it
    ├── PluginError                 something about a plugin, not about the evidence
    │   ├── InvalidPlugin           its declaration does not hold
    │   ├── RulesDiffer             YARA-X did not match where YARA did, though it screens that rule
    │   └── Undeclared              it asked for what its declaration did not name in `needs`
    ├── CaseError                   something about the case folder
    │   ├── CaseLocked              another process is writing to it
    │   ├── CaseTooNew              it was written by a newer version
    │   └── Interrupted             the run was ended before it was complete; it can be resumed
    ├── CustodyBroken               the custody log, or what it vouches for, does not verify
    ├── SigningError                a key, a passphrase, a certificate or the trust list cannot be used
    │   └── SignatureInvalid        a signature or a time stamp does not hold (`reason` says why)
    ├── PackageInvalid              a package from a partner does not verify
    ├── NotDisclosable              it may not leave the house
    │   └── NotReviewed             because nobody has decided about it yet
    ├── UsageError                  an option or a value from a person cannot be used
    └── EngineError                 a child process or the machine failed in a way that ends the run

Every message names the location, the value and, where there is something to do, what to do next.
"""


class ForensicsError(Exception):
    """Base of every error raised on purpose."""


class EvidenceError(ForensicsError):
    """Something about the exhibit's own bytes."""


class Unsupported(EvidenceError):
    """Not this format, or a variant of it that is not read."""


class Corrupt(EvidenceError):
    """This format, but damaged."""


class Locked(EvidenceError):
    """Encrypted, and no key was given."""


class LimitExceeded(EvidenceError):
    """Reading on would pass a bound on size, count, depth or ratio."""


class TimedOut(LimitExceeded):
    """Going on would pass a bound of time, which depends on the machine: the run's digest is not comparable with another's."""


class PluginError(ForensicsError):
    """Something about a plugin, not about the evidence."""


class InvalidPlugin(PluginError):
    """A plugin's declaration does not hold."""


class RulesDiffer(PluginError):
    """YARA-X did not match where YARA did, though it screens that rule."""


class Undeclared(PluginError):
    """A plugin asked for what its declaration did not name in `needs`."""


class CaseError(ForensicsError):
    """Something about the case folder."""


class CaseLocked(CaseError):
    """Another process is writing to the case."""


class CaseTooNew(CaseError):
    """The case was written by a newer version."""


class Interrupted(CaseError):
    """The run was ended before it was complete; it can be resumed."""


class CustodyBroken(ForensicsError):
    """The custody log, or what it vouches for, does not verify."""


class SigningError(ForensicsError):
    """A key, a passphrase, a certificate or the trust list cannot be used."""


class SignatureInvalid(SigningError):
    """A signature or a time stamp does not hold; `reason` is one word from `signing.reasons.Reason`, the message is the sentence."""

    def __init__(self, message: str, reason: str = "structure") -> None:
        super().__init__(message)
        self.reason = reason


class PackageInvalid(ForensicsError):
    """A package from a partner does not verify."""


class NotDisclosable(ForensicsError):
    """It may not leave the house."""


class NotReviewed(NotDisclosable):
    """It may not leave the house, because nobody has decided about it yet."""


class UsageError(ForensicsError):
    """An option or a value from a person cannot be used."""


class EngineError(ForensicsError):
    """A child process or the machine failed in a way that ends the run."""
