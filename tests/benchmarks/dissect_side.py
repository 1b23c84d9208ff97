"""Runs in Dissect's environment: every file of every file system of an image through dissect.target, digested, scanned with YARA.

usage: dissect_side.py IMAGE RULES_DIR      Prints a JSON object a file: system, path, sha256, rules. Live files alone.
"""

import hashlib
import json
import logging
import sys
from pathlib import Path

import yara
from dissect.target import Target

SYSTEMS = {"ntfs": "ntfs", "ext": "ext4", "ext4": "ext4", "fat": "fat32"}


def main(image: str, rules_dir: str) -> None:
    logging.disable(logging.CRITICAL)
    rules = yara.compile(filepaths={f"r{n}": str(path) for n, path in enumerate(sorted(Path(rules_dir).rglob("*.yara")))})
    failed = 0
    for system in Target.open(image).filesystems:
        for _, _, files in system.walk_ext("/"):
            for entry in files:
                if entry.is_symlink():
                    continue
                path = entry.path
                try:
                    with entry.open() as stream:
                        data = stream.read()
                except Exception as error:  # noqa: BLE001 - whatever Dissect raises on a file is that file's failure
                    print(f"{path}: {error!r}", file=sys.stderr)
                    failed += 1
                    continue
                hashlib.md5(data).hexdigest()
                hashlib.sha1(data).hexdigest()
                digest = hashlib.sha256(data).hexdigest()
                found = sorted({match.rule for match in rules.match(data=data)})
                print(json.dumps({"system": SYSTEMS.get(system.__type__, system.__type__), "path": path, "sha256": digest, "rules": found}))
    print(f"{failed} files could not be read", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:3])
