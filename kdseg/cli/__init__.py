"""The command line: one file a verb, each defining a click command called `command`."""

from __future__ import annotations

import pkgutil
import sys
from copy import copy
from importlib import import_module

import click

from kdseg.errors import KdsegError, did_you_mean


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit.

    The status is 0 when done, 2 for a mistake of the user's (told without a traceback unless `--debug` is given),
    130 after Ctrl-C and 1 for anything else. A run that SIGTERM or a closed terminal ends, its checkpoint written,
    leaves with 143 or 129, as shells report those signals.

    Args:
        args: the words after ``kdseg``; those of the process where None.
    """
    settings: dict[str, bool] = {}
    try:
        sys.exit(cli.main(args, prog_name="kdseg", standalone_mode=False, obj=settings))
    except click.ClickException as error:
        error.show()
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except KdsegError as error:
        if settings.get("debug"):
            import traceback

            traceback.print_exc()
        else:
            click.echo(str(error), err=True)
    sys.exit(2)


def _ask_for_traceback(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Remember `--debug` for `main`."""
    if value:
        ctx.find_root().ensure_object(dict)["debug"] = True


_DEBUG = click.Option(
    ["--debug"],
    is_flag=True,
    expose_value=False,
    callback=_ask_for_traceback,
    help="Print the traceback of a mistake, too.",
)


def verbs() -> list[str]:
    """Give the names of the verbs: those of the files beside this one."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def _verb(name: str) -> click.Command:
    """Load one verb and let it take `--debug`, too."""
    command: click.Command = copy(import_module(f"{__name__}.{name.replace('-', '_')}").command)
    command.params = [*command.params, _DEBUG]
    return command


class _Verbs(click.Group):
    """A group whose commands are files, each loaded when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return verbs()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in verbs():
            return _verb(cmd_name)
        if not ctx.resilient_parsing:
            ctx.fail(f"unknown verb {cmd_name!r}{did_you_mean(cmd_name, verbs())}; the verbs are {', '.join(verbs())}")
        return None


@click.group(
    cls=_Verbs, params=[_DEBUG], context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="kdseg", message="%(prog)s %(version)s")
def cli() -> None:
    """Distil large segmentation networks into small ones that run in real time.

    A recipe says who learns what from whom: `kdseg run RECIPE` trains it.
    """
