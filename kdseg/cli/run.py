"""`kdseg run RECIPE`: trains."""

from __future__ import annotations

import click

from kdseg.cli._options import settings_option


@click.command(short_help="Train a recipe.")
@click.argument("recipe")
@settings_option
@click.option("--resume", is_flag=True, help="Go on with the newest unfinished run of this recipe, or start one.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, for programs.")
def command(recipe: str, settings: tuple[str, ...], resume: bool, as_json: bool) -> None:
    """Check a recipe, then train it.

    RECIPE is a file, or the name of a bundled recipe such as online_alternating.
    """
    from kdseg.recipe.load import load_recipe

    loaded = load_recipe(recipe, settings)

    from kdseg.cli._console import console_with_log
    from kdseg.cli._summary import print_finished
    from kdseg.engine.run.live_table import progress_on
    from kdseg.engine.run.start import run_recipe

    console = console_with_log()
    print_finished(run_recipe(loaded, resume=resume, console=lambda: progress_on(console)), as_json=as_json)
