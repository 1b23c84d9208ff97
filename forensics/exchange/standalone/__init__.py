"""What a package must be, checked with the standard library alone: the part of `verify` that needs no library, and ``verify.pyz``.

Nothing here imports from the rest of `forensics`: this folder, zipped, is the whole of ``verify.pyz`` (``make verify.pyz``), which
drives `openssl` and `age` for what the standard library cannot do. The installed `forensics verify` runs the same checks, with the
signatures checked by `forensics.signing` and the form of every record by its struct.
"""
