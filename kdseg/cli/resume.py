"""`kdseg resume RUN`: goes on with a run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Go on with a run that was stopped.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, for programs.")
def command(run: Path, as_json: bool) -> None:
    """Go on with a run from its newest checkpoint, as if it had never stopped.

    RUN is the run's folder, or the folder above it for its latest run.
    """
    from kdseg.cli._console import console_with_log
    from kdseg.cli._summary import print_finished
    from kdseg.engine.run.live_table import progress_on
    from kdseg.engine.run.start import resume_run

    console = console_with_log()
    print_finished(resume_run(run, console=lambda: progress_on(console)), as_json=as_json)
