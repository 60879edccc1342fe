"""What can be asked of Assay on the command line?"""

import asyncio
import importlib
import json
import platform
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal, NamedTuple, get_args, get_origin

import click

from assay import __version__
from assay.app import logs
from assay.app.settings import PREFIX, Settings
from assay.core.errors import AssayError


class Late(NamedTuple):
    """A command that is loaded when it is asked for: the operator's image does without its packages."""

    module: str
    extra: str
    """What to install for it."""
    summary: str
    """What `assay --help` says, which need not load it."""


LATE = {
    "plan": Late("assay.app.plan", "tools", "Say how long a rollout needs, and which harm it will not find."),
    "replay": Late("assay.app.replay", "tools", "Judge recorded counters exactly as the operator would."),
    "sandbox": Late("assay.sandbox.cli", "sandbox", "Start a whole Kubernetes on this machine, with Prometheus."),
}


class _Lazy(click.Group):
    """A group some of whose commands are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *LATE])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with a line about each, without loading those that are late."""
        rows = []
        for name in self.list_commands(ctx):
            known = super().get_command(ctx, name)
            rows.append((name, LATE[name].summary if known is None else known.get_short_help_str(formatter.width)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; a stand-in that says what is missing where one cannot be loaded."""
        if cmd_name not in LATE:
            return super().get_command(ctx, cmd_name)
        try:
            command = getattr(importlib.import_module(LATE[cmd_name].module), cmd_name)
        except ModuleNotFoundError as error:
            return _missing(cmd_name, error.name or LATE[cmd_name].module)
        if not isinstance(command, click.Command):
            raise TypeError(f"{LATE[cmd_name].module}.{cmd_name} is no command")
        return command


def _missing(name: str, module: str) -> click.Command:
    """Return a command in place of one that says which package it lacks."""

    def explain(**_: object) -> None:
        raise click.ClickException(
            f"`assay {name}` needs the Python module {module!r}, which is not installed."
            f" Install the extra: pip install 'assay-operator[{LATE[name].extra}]'."
        )

    return click.Command(
        name,
        callback=explain,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=f"Needs the extra '{LATE[name].extra}', which is not installed.",
        context_settings={"ignore_unknown_options": True},
    )


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Quality assessment in production for machine-learning models on Kubernetes.

    Install the custom resources with `assay crds | kubectl apply --server-side -f -`, then run the operator: in a
    cluster with the Helm chart, or from here with `assay run` and your kubeconfig.
    """


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per setting."""
    for one in reversed(fields(Settings)):
        choices = get_args(one.type) if get_origin(one.type) is Literal else ()
        many = one.default == ()
        shown = f" [default: {one.default}]" if one.default not in ((), "") else ""
        command = click.option(
            f"--{one.name.removesuffix('s') if many else one.name}".replace("_", "-"),
            one.name,
            type=click.Choice(choices) if choices else (str if many else type(one.default)),
            multiple=many,
            help=f"{one.metadata['help']} [env: {PREFIX}{one.name.upper()}]{shown}",
        )(command)
    return command


@main.command()
@_options
def run(**given: Any) -> None:  # noqa: ANN401 - of many types
    """Run the operator until it is stopped by SIGTERM or Ctrl-C.

    It talks to the cluster it runs in, or else to the current context of your kubeconfig. Every option can be given as
    an environment variable; an option wins.
    """
    from assay.app import operator  # noqa: PLC0415 - kopf takes most of a second, which --help need not

    try:
        settings = Settings.from_env(**given)
        logs.set_up(settings.log_format, settings.log_level)
        asyncio.run(operator.run(settings))
    except AssayError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"Could not listen on the port of --http-port: {error.strerror}.") from error


@main.group(invoke_without_command=True)
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", help="Format. [default: yaml]")
@click.pass_context
def crds(context: click.Context, output: str) -> None:
    """Print the custom resource definitions, or apply them.

    What is printed is ready for `kubectl apply --server-side -f -`.
    """
    from assay.api import crd  # noqa: PLC0415 - needed here only

    if context.invoked_subcommand is not None:
        return
    if output == "yaml":
        click.echo("---\n".join(crd.to_yaml(one) for one in crd.crds()), nl=False)
    else:
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": crd.crds()}, indent=2))


@crds.command()
@click.option("--only-existing", is_flag=True, help="Leave out a definition that is not there yet.")
def apply(only_existing: bool) -> None:  # noqa: FBT001 - click's
    """Apply the custom resource definitions to the cluster.

    Definitions of a newer release are left as they are, so that going back to this one takes no field from what is
    stored. The chart runs this before an upgrade.
    """
    from assay.adapters import definitions  # noqa: PLC0415 - brings the client of Kubernetes along
    from assay.adapters.apiserver import ApiServer  # noqa: PLC0415
    from assay.adapters.kube import connect  # noqa: PLC0415

    try:
        server = ApiServer(connect(threads=1), lambda _verb, _resource, _code: None)
        for sentence in definitions.apply(server, only_existing=only_existing):
            click.echo(sentence)
    except AssayError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Format. [default: text]")
def version(output: str) -> None:
    """Print the version."""
    if output == "json":
        click.echo(json.dumps({"version": __version__, "python": platform.python_version()}))
    else:
        click.echo(f"assay {__version__}")
