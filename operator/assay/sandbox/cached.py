"""What is built once is kept by the digest of what it was built from."""

import contextlib
import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import cache

Report = Callable[[str, float | None], None]
"""Called with what is being done and, where known, the fraction that is done."""


def digest_of(paths: Iterable[Path], *words: str) -> str:
    """Return 16 hex digits over the contents and relative names of files and folders, and over some words."""
    total = hashlib.sha256("\0".join(words).encode())
    for path in paths:
        members = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        for member in members if path.is_dir() else [path]:
            total.update(str(member.relative_to(path.parent)).encode())
            total.update(hashlib.sha256(member.read_bytes()).digest())
    return total.hexdigest()[:16]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Build one thing at a time: two sandboxes that start together share the cache."""
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(argv: list[str], *, where: Path | None = None, environment: dict[str, str] | None = None, what: str) -> str:
    """Run a program and return its output; raise a sentence with its last lines when it fails."""
    done = subprocess.run(
        argv, cwd=where, env=os.environ | (environment or {}), check=False, capture_output=True, text=True
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SandboxError(f"{what} failed ({argv[0]} exited {done.returncode}):\n{tail}")
    return done.stdout
