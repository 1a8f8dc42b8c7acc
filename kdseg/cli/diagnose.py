"""`kdseg diagnose NAME TARGET…`: a diagnostic over trained networks, or over trainings of a recipe."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.engine.judge.arms import ArmRuns
    from kdseg.engine.study.diagnosis import Diagnosis
    from kdseg.recipe.load import LoadedRecipe


@click.command(short_help="Look into trained networks.")
@click.argument("name")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option(
    "--against", multiple=True, metavar="TARGET",
    help="Hold the trials against those of another recipe, or against other runs, as many: given once for each.",
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="OPTION=VALUE",
    help="An option of the diagnostic and a TOML value, as radius=5. May be given again.",
)  # fmt: skip
@click.option(
    "--reference", type=click.Path(path_type=Path), metavar="RUN",
    help="A run, or a copy of a models/NAME folder, whose probabilities are a target beside the labels.",
)  # fmt: skip
@click.option(
    "--reference-model", metavar="NAME",
    help="Which participant of that run: the one named student, or the only one, if left out.",
)  # fmt: skip
@click.option("--split", default="val", show_default=True, help="Which split of the first target's dataset.")
@click.option(
    "--model", "models", multiple=True,
    help="Which participant of each run; given again, of each in order. The one named student, or the only one, if "
    "left out.",
)  # fmt: skip
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Which weights.")
@click.option("--images", type=click.IntRange(min=1), help="How many, spread over the split. All, if left out.")
@click.option("--picture", "pictures", multiple=True, metavar="ID", help="Picture this image; may be given again.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images at once. The recipe's, if left out.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Trainings at once. One a GPU, or one, if left out.")
@click.option("--dry-run", is_flag=True, help="Of a recipe: check everything, list the trainings, and train nothing.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("diagnosis"), show_default=True,
    help="Folder for the findings and pictures.",
)  # fmt: skip
@click.option("--trust-code", is_flag=True, help="Run the Python file that came with a network, where one did.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(
    name: str,
    targets: tuple[str, ...],
    against: tuple[str, ...],
    settings: tuple[str, ...],
    jobs: int | None,
    dry_run: bool,
    output: Path,
    as_json: bool,
    **looks: Any,
) -> None:
    """Run a diagnostic over trained networks, each a trial, on the same images.

    NAME is a diagnostic: `kdseg list-plugins` lists them, `kdseg show diagnostic NAME` tells its options. TARGET is a
    run's folder, the folder above it for its latest run, or a copy of one of its models/NAME folders; or else one
    recipe, which is trained as often as the diagnostic wants: trainings that are finished are not made again, so the
    same command goes on after a kill. The images are those of the first run's dataset, or the recipe's.
    """
    from kdseg.cli._console import console_with_log, is_first_process
    from kdseg.cli._findings import print_findings, write_findings
    from kdseg.engine.judge.diagnose import diagnose

    recipes = _recipes(targets, against)
    planned = _plan(name, recipes, settings) if recipes else None
    if dry_run:
        _print_plan(planned)
        return
    arms = _runs(targets, against) if planned is None else _trained(planned, jobs)
    shown: LoadedRecipe | None = None if planned is None else planned.shown
    console = console_with_log()
    findings = diagnose(name, arms, settings=settings, shown=shown, console=console, **looks)
    if not is_first_process():
        return
    heading = f"{name}, {looks['split']} split"
    if not as_json:
        print_findings(findings, heading)
    text, files = write_findings(findings, output)  # after the numbers: a full disk takes none of those
    for line in [text] if as_json else files:
        click.echo(line)


def _recipes(targets: Sequence[str], against: Sequence[str]) -> tuple[str, ...]:
    """Give the recipes that are meant, if recipes are: what is no folder is one.

    Raises:
        KdsegError: recipes and runs are mixed, or there are more than one of a side.
    """
    from kdseg.errors import KdsegError

    words = (*targets, *against)
    recipes = tuple(word for word in words if not Path(word).is_dir() and (word.endswith(".toml") or _is_bundled(word)))
    if not recipes:
        return ()
    if len(recipes) < len(words):
        runs = ", ".join(word for word in words if word not in recipes)
        raise KdsegError(f"{recipes[0]} is a recipe, {runs} is none; give recipes alone, or runs alone")
    if len(targets) > 1 or len(against) > 1:
        raise KdsegError("a diagnostic takes one recipe, and one more by --against")
    return recipes


def _is_bundled(word: str) -> bool:
    from kdseg.errors import KdsegError
    from kdseg.recipe.load import find_recipe

    try:
        find_recipe(word)
    except KdsegError:
        return False
    return True


def _runs(targets: Sequence[str], against: Sequence[str]) -> list[ArmRuns]:
    from kdseg.engine.judge.arms import arms_of

    sides = {"trials": targets, **({"against": against} if against else {})}
    return arms_of({label: [Path(word) for word in words] for label, words in sides.items()})


def _plan(name: str, recipes: Sequence[str], settings: Sequence[str]) -> Diagnosis:
    import os

    from kdseg.engine.study.diagnosis import plan_diagnosis
    from kdseg.errors import KdsegError

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise KdsegError("kdseg diagnose starts the trainings of a recipe itself: leave `accelerate launch` out")
    return plan_diagnosis(name, recipes, settings)


def _trained(planned: Diagnosis, jobs: int | None) -> tuple[ArmRuns, ...]:
    """Train what is missing; a training that fails ends the process with status 1."""
    from kdseg.cli._console import console_with_log
    from kdseg.engine.study.children import jobs_here
    from kdseg.engine.study.watch import ConsoleWatch
    from kdseg.errors import display_path

    console = console_with_log()
    for warning in planned.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    at_once, go_on = jobs or jobs_here(), _same_command()
    watch = ConsoleWatch(console, display_path(planned.folder), planned.costs, at_once, go_on=go_on)
    failures = planned.train(watch, at_once, go_on)
    if failures:
        console.print(
            f"{len(failures)} trainings failed; to go on: {go_on}", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)
    return planned.trained()


def _same_command() -> str:
    """Give the command as it was typed."""
    ctx = click.get_current_context()
    words = ["kdseg", "diagnose"]
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if name not in ctx.params or ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value, option = ctx.params[name], parameter.opts[-1]
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(parameter, click.Argument):
            words += map(str, values)
        elif value is True:
            words.append(option)
        else:
            words += [word for one in values for word in (option, str(one))]
    return shlex.join(words)


def _print_plan(planned: Diagnosis | None) -> None:
    """Print the trainings that would be made.

    Raises:
        KdsegError: nothing would be trained.
    """
    from kdseg.cli._tables import print_rows
    from kdseg.engine.study.planned import in_order
    from kdseg.errors import KdsegError, display_path

    if planned is None:
        raise KdsegError("--dry-run lists the trainings of a recipe; of runs none are made")
    for warning in planned.warnings:
        click.echo(f"warning: {warning}")
    print_rows("arms", [(arm.arm.name, arm.arm.description) for arm in planned.arms])
    rows = []
    for run in in_order(planned.runs):
        folder = run.finished()
        rows.append((run.name, "to be made" if folder is None else display_path(folder)))
    print_rows("trainings", rows)
