"""The images of a sandbox: the base system, the programs, and the project's own from their Containerfiles."""

import functools
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.sandbox.cached import Report, alone, digest_of, run
from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import cache

DEBIAN_PROGRAMS = {"alertmanager": "prometheus-alertmanager"}


def build_base(report: Report) -> str:
    """Bootstrap a minimal Debian with Python as an image, in place of python:slim, and return its name."""
    suite, mirror = _debian()
    packages = "python3,python3-venv,ca-certificates"
    name = f"localhost/assay-base:{digest_of([], suite, packages)}"
    with alone():
        if not _has_image(name):
            _bootstrap(name, suite, mirror, packages, report)
    return name


def _bootstrap(name: str, suite: str, mirror: str, packages: str, report: Report) -> None:
    report("bootstrapping the base system", None)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        root = Path(folder, "root")
        run(["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(root), mirror],
            what="Bootstrapping the base system")  # fmt: skip
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(root / waste, ignore_errors=True)
        Path(folder, "Containerfile").write_text("FROM scratch\nCOPY root /\nENV LANG=C.UTF-8\n")
        buildah("build", "--tag", name, folder)


def _debian() -> tuple[str, str]:
    """Return the suite and the mirror that this machine itself uses."""
    _have_package_lists()
    suite = run(["sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME"], what="Reading the release").strip()
    targets = run(["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)",
                   "Created-By: Packages"], what="Asking apt for its mirror")  # fmt: skip
    for line in targets.splitlines():
        if line.split()[:2] == [suite, "main"]:
            return suite, line.split()[2]
    raise SandboxError(f"apt knows no mirror of {suite}/main; run `apt-get update` or add one to its sources.")


def _have_package_lists() -> None:
    """Fetch the lists of packages where a machine has none, as fresh ones do."""
    try:
        run(["apt-cache", "show", "base-files"], what="Reading the package lists")
    except SandboxError:
        run(["apt-get", "update"], what="Fetching the package lists")


def buildah(*argv: str) -> str:
    """Run buildah in a way that needs no engine and no nested namespaces."""
    return _buildah(_driver(), *argv)


def _buildah(driver: str, *argv: str) -> str:
    storage = cache() / f"storage-{driver}"
    environment = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": driver}
    return run(["buildah", "--root", str(storage), "--runroot", str(storage / "run"), *argv],
               environment=environment, what=f"buildah {argv[0]}")  # fmt: skip


@functools.cache
def _driver() -> str:
    """Overlay layers where the file system carries them; whole copies, three times as slow, elsewhere."""
    try:
        _buildah("overlay", "info")
    except SandboxError:
        return "vfs"
    return "overlay"


def _has_image(name: str) -> bool:
    listed = json.loads(buildah("images", "--json") or "[]") or []
    return any(name in (image.get("names") or ()) for image in listed)


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the cluster knows it, and the archive that holds it."""

    name: str
    archive: Path


def _archive(name: str, digest: str, build: Callable[[], None]) -> Image:
    """Return the archive of an image, building it unless the cache has it."""
    archive = cache() / "images" / f"{name.replace('/', '_').replace(':', '_')}-{digest}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with alone():
        if not archive.exists():
            build()
            partial = archive.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            buildah("push", f"localhost/build/{name}", f"oci-archive:{partial}:docker.io/{_qualified(name)}")
            for old in archive.parent.glob(f"{archive.name.removesuffix(f'-{digest}.tar')}-*.tar"):
                old.unlink()
            partial.rename(archive)
    return Image(name, archive)


def _qualified(name: str) -> str:
    return name if "/" in name else f"library/{name}"


def program_image(name: str, program: Path) -> Image:
    """Build an image that holds one static program."""

    def build() -> None:
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            shutil.copy(program, Path(folder, program.name))
            Path(folder, "Containerfile").write_text(
                f'FROM scratch\nCOPY {program.name} /{program.name}\nUSER 65532\nENTRYPOINT ["/{program.name}"]\n'
            )
            buildah("build", "--tag", f"localhost/build/{name}", folder)

    return _archive(name, digest_of([program]), build)


def debian_image(program: str, base: str, report: Report) -> Image:
    """Build an image of one of Debian's packages on the base system."""
    package = DEBIAN_PROGRAMS[program]
    name = f"assay/{program}:1"

    def build() -> None:
        _have_package_lists()
        report(f"fetching {package}", None)
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            Path(folder).chmod(0o755)
            run(["apt-get", "download", "-o", "APT::Sandbox::User=root", package], where=Path(folder),
                what=f"Fetching {package}")  # fmt: skip
            (deb,) = Path(folder).glob("*.deb")
            run(["dpkg-deb", "-x", str(deb), str(Path(folder, "root"))], what=f"Unpacking {package}")
            Path(folder, "Containerfile").write_text(
                # /usr alone: the package's /lib would replace the base's link of that name, and the loader with it.
                f'FROM {base}\nCOPY root/usr /usr\nUSER 65532\nENTRYPOINT ["/usr/bin/{package}"]\n'
            )
            buildah("build", "--tag", f"localhost/build/{name}", folder)

    return _archive(name, digest_of([], package, base), build)


def wheels(requirements: Path, project: Path, folder: Path, report: Report) -> None:
    """Fill a folder with the wheels of a hash-pinned requirements file and of the project itself."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    folder.mkdir(parents=True, exist_ok=True)
    pinned, sources = digest_of([requirements]), digest_of([project / "operator", project / "pyproject.toml"])
    if _stamped(folder / ".requirements") != pinned:
        _check_python()
        report(f"fetching the wheels of {requirements.name}", None)
        run([*pip, "--require-hashes", "--wheel-dir", str(folder), "--find-links", str(folder), "-r", str(requirements)],
            what=f"Fetching the wheels of {requirements.name}")  # fmt: skip
        (folder / ".requirements").write_text(pinned)
    if _stamped(folder / ".sources") != sources:
        for old in folder.glob("assay_operator-*.whl"):
            old.unlink()
        run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(project)],
            what="Building the project's own wheel")  # fmt: skip
        (folder / ".sources").write_text(sources)


def _check_python() -> None:
    """Wheels are fetched by this Python and installed by the base system's."""
    _have_package_lists()
    told = run(["apt-cache", "show", "--no-all-versions", "python3"], what="Looking up the base system's Python")
    theirs = next(line.split()[1].split(".")[:2] for line in told.splitlines() if line.startswith("Version: "))
    ours = [str(part) for part in sys.version_info[:2]]
    if ours != theirs:
        wanted = ".".join(theirs)
        raise SandboxError(
            f"The images have Debian's Python {wanted}, and this is Python {'.'.join(ours)}, whose wheels do not fit: "
            f"`make clean`, then run make with PYTHON=/usr/bin/python{wanted}."
        )


def _stamped(stamp: Path) -> str:
    return stamp.read_text() if stamp.exists() else ""


PROJECT_IMAGES = {  # image: (Containerfile, requirements, folder of wheels, other inputs)
    "assay": ("images/operator/Containerfile", "requirements/runtime.txt", "operator", ()),
    "assay-router": ("images/router/Containerfile", "requirements/router.txt", "router", ()),
    "flights": (
        "examples/flights/Containerfile", "examples/flights/requirements.txt", "flights", ("examples/flights",),
    ),
}  # fmt: skip


def project_image(name: str, version: str, project: Path, base: str, report: Report) -> Image:
    """Build one of the project's images from its own Containerfile."""
    containerfile, requirements, folder, inputs = PROJECT_IMAGES[name]
    tagged = f"{name}:{version}"
    wheels(project / requirements, project, project / "build" / "wheels" / folder, report)
    sources = [project / containerfile, project / requirements, project / "operator", *(project / i for i in inputs)]
    # buildah's cache of layers does not look into bind mounts: what lies there must show in the arguments.
    pinned, digest = digest_of([project / requirements]), digest_of(sources, base)

    def build() -> None:
        report(f"building the image {tagged}", None)
        buildah("build", "--layers", "--build-arg", f"BASE={base}", "--build-arg", f"REQUIREMENTS={pinned}",
                "--build-arg", f"SOURCES={digest}", "--tag", f"localhost/build/{tagged}",
                "--file", str(project / containerfile), str(project))  # fmt: skip

    return _archive(tagged, digest, build)
