"""What is generated is as it would be generated now, and what people copy from the docs is right."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.api.modeldeployment import ModelDeployment

ROOT = Path(__file__).parents[1]
GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()


@pytest.mark.parametrize("path", sorted(GENERATED))
def test_a_generated_file_is_up_to_date(path: str) -> None:
    target = ROOT / path

    assert target.exists(), "run `make generate`"
    assert target.read_text(encoding="utf-8") == GENERATED[path], "run `make generate`"


@pytest.mark.parametrize("folder", ["crds", "charts/assay/crds", "docs/reference"])
def test_nothing_lies_beside_the_generated_files(folder: str) -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / folder).iterdir()}

    assert found == {path for path in GENERATED if path.rpartition("/")[0] == folder}


class Strict(yaml.SafeLoader):
    """Refuses a key that occurs twice, as kubectl does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{[key for key in keys if keys.count(key) > 1]} occurs twice"
        return super().construct_mapping(node, deep=deep)


def snippets() -> Iterator[tuple[str, str]]:
    """Yield every YAML document that people may copy, with its place."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for path in pages:
        for number, text in enumerate(re.findall(r"```ya?ml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)):
            yield f"{path.relative_to(ROOT)}#{number}", text
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [pytest.param(text, id=place) for place, text in snippets()])
def test_a_model_deployment_in_the_docs_is_accepted_and_has_no_unknown_field(text: str) -> None:
    for document in yaml.load_all(text, Strict):
        if document.get("kind") == "ModelDeployment":
            spec = ModelDeployment.model_validate(document).spec.model_dump(
                by_alias=True, exclude_unset=True, mode="json"
            )

            assert spec == document["spec"]


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))])
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
