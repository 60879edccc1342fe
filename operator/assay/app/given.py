"""What did somebody give to a command that judges offline, and how is it told that it cannot be judged?"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import yaml
from pydantic import ValidationError

from assay.api.base import GROUP, VERSION, Manifest
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from assay.app.reconcile import validated
from assay.core.errors import AssayError, InvalidSpec


class Refused(click.ClickException):
    """What was given cannot be judged."""

    exit_code = 2


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what cannot be judged, or cannot be written, into one sentence and exit code 2."""
    try:
        yield
    except AssayError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(f"Could not write: {error.strerror}.") from error


def read_resource(path: Path) -> ModelDeployment:
    """Return the ModelDeployment in a file of YAML documents.

    Raises:
        InvalidSpec: There is none, or more than one, or the operator would refuse it.
    """
    try:
        documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]
    except OSError as error:
        raise InvalidSpec(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, RecursionError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidSpec(f"{path} is no YAML file: {' '.join(str(error).split())}.") from error
    found: list[Manifest] = [one for one in documents if isinstance(one, dict) and one.get("kind") == "ModelDeployment"]
    if len(found) != 1:
        raise InvalidSpec(
            f"{path} holds {len(found) or 'no'} ModelDeployments, where one is needed to say what is judged."
        )
    wanted, metadata = f"{GROUP}/{VERSION}", found[0].get("metadata")
    if isinstance(metadata, dict) and not isinstance(metadata.get("name", ""), str):
        raise InvalidSpec(f"{path}: metadata.name must be a text, in quotes where it looks like a number or a date.")
    resource = validated(ModelDeployment, {**found[0], "status": {}})
    if found[0].get("apiVersion") != wanted:
        raise InvalidSpec(f"{path}: apiVersion is {found[0].get('apiVersion')!r}, and must be {wanted}.")
    _refuse_unknown_fields(found[0]["spec"])
    return resource


def _refuse_unknown_fields(spec: Manifest) -> None:
    """Refuse what the API server would drop with a warning: a misspelt field would be judged by its default."""
    try:
        ModelDeploymentSpec.model_validate(spec, extra="forbid")
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidSpec(
            f"spec.{place}: there is no such field; see `kubectl explain modeldeployment.spec`."
        ) from error
