"""Where a sandbox keeps what it makes: one cache for all, one folder for each."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from assay.sandbox.errors import SandboxError

# The name becomes a folder that `down` removes, and part of the node's name.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
NODE_IP = "10.88.0.1"
POD_NETWORK = "10.88.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
DNS_IP = "10.96.0.10"
API_PORT = 6443
KUBERNETES_VERSION = "v1.35.4"


def cache() -> Path:
    """Return the folder of everything that is built once: programs, the base system, images."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"
    root.mkdir(parents=True, exist_ok=True)
    return root


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files of one sandbox."""

    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SandboxError(
                f"{self.name!r} is no name for a sandbox: it must have at most 30 lower-case letters, digits and hyphens, "
                "and begin and end with a letter or digit."
            )

    @property
    def root(self) -> Path:
        """Everything of this sandbox; `down` removes it."""
        # Not in the cache: container layers live here, and a home may lie on a file system that overlayfs cannot use.
        return Path(os.environ.get("ASSAY_SANDBOX_ROOT", "/var/lib/assay-sandbox")) / self.name

    @property
    def logs(self) -> Path:
        """One log per part."""
        return self.root / "logs"

    @property
    def config(self) -> Path:
        """Configuration files, certificates and kubeconfigs of the parts."""
        return self.root / "config"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def kubeconfig(self) -> Path:
        """For people, outside the namespace."""
        return self.root / "kubeconfig"

    @property
    def state(self) -> Path:
        """JSON: pid of the keeper outside, forwarded ports, dead parts."""
        return self.root / "state.json"

    @property
    def containerd(self) -> Path:
        """Socket of containerd."""
        return self.root / "containerd.sock"

    @property
    def orders(self) -> Path:
        """Socket on which the keeper is told to kill a part or to start it again."""
        return self.root / "keeper.sock"

    @property
    def node(self) -> str:
        """Name of the node."""
        return f"assay-{self.name}"


def program(name: str) -> str:
    """Return the path of a program that the sandbox built."""
    return str(cache() / "bin" / name)
