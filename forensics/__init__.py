"""Digital forensics: a device image in, a hashed, chain-of-custody report out."""

__version__ = "0.1.0"
