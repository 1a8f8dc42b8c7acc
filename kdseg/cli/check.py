"""`kdseg check RECIPE`: everything that can be wrong, before a GPU is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._options import settings_option
from kdseg.cli._tables import print_rows

if TYPE_CHECKING:
    from kdseg.engine.check.phases import Checked


@click.command(short_help="Find all that is wrong with a recipe, training nothing.")
@click.argument("recipe")
@settings_option
@click.option("--quick", is_flag=True, help="Syntax, keys, types and names only: no data, no torch.")
@click.option("--timeline", is_flag=True, help="Print who learns what from whom over the run, idle stretches too.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON, for programs.")
def command(recipe: str, settings: tuple[str, ...], quick: bool, timeline: bool, as_json: bool) -> None:
    """Check a recipe as `kdseg run` does before it trains, and print what would happen.

    RECIPE is a file, or the name of a bundled recipe such as online_alternating.
    """
    from kdseg.recipe.load import load_recipe

    loaded = load_recipe(recipe, settings)
    if quick:
        click.echo(json.dumps({"ok": True}) if as_json else "no problem found in the recipe's keys, types and names")
        return

    from kdseg.engine.check.phases import check

    checked = check(loaded)
    plan = _plan(checked)
    if timeline:
        from kdseg.engine.check.timeline import timeline as timeline_of

        plan["timeline"] = timeline_of(checked.plan)
    if as_json:
        click.echo(json.dumps(plan, indent=2))
    else:
        _print(plan)


def _plan(checked: Checked) -> dict[str, Any]:
    plan = checked.plan
    return {
        "ok": True,
        "gate": plan.recipe.turns.gate.name if plan.recipe.turns is not None and plan.recipe.turns.gate else None,
        "steps": plan.total_steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "images": {
            "train": len(checked.train),
            "val": len(checked.val),
            "unlabelled": 0 if checked.unlabelled is None else len(checked.unlabelled),
            "size": list(checked.image_size),
        },
        "participants": {
            name: {"parameters": parameters, "steps": plan.learner_steps[name]}
            for name, parameters in checked.parameters.items()
        },
        "weights": {name: [*match.told()] for name, match in checked.weights.items()},
        "terms": {name: {"steps": plan.term_steps[name]} for name in plan.recipe.terms},
        "memory_bytes": checked.memory,
        "warnings": list(checked.warnings),
    }


def _print(plan: dict[str, Any]) -> None:
    images = plan["images"]
    height, width = images["size"]
    besides = f" and {images['unlabelled']} without labels" if images["unlabelled"] else ""
    click.echo(
        f"{plan['steps']} steps, {plan['steps_per_epoch']} an epoch; {images['train']} training images of "
        f"{height}x{width}{besides}, {images['val']} validation images; about {plan['memory_bytes'] / 2**30:.1f} GiB"
    )
    most = "" if plan["gate"] is None else "at most "  # who steps when is the gate's to say
    rows = [
        (name, f"{participant['parameters'] / 1e6:.3f}M parameters", f"learns at {most}{participant['steps']} steps")
        for name, participant in plan["participants"].items()
    ]
    print_rows("participants", rows)
    told = [(name, line) for name, lines in plan["weights"].items() for line in lines]
    if told:
        print_rows("weights from files", told)
    print_rows("terms", [(name, f"counts at {most}{term['steps']} steps") for name, term in plan["terms"].items()])
    for stretch in plan.get("timeline", ()):
        _print_stretch(stretch, plan["gate"])
    for warning in plan["warnings"]:
        click.echo(f"warning: {warning}")
    click.echo("no problem found")


def _print_stretch(stretch: dict[str, Any], gate: str | None) -> None:
    """Print who learns what from whom while the same terms have a weight."""
    rows = []
    for turn in stretch["turns"]:
        name = "" if turn["turn"] is None else turn["turn"]
        steps = f"{'up to ' if gate else ''}{turn['steps']} steps"
        for term in turn["terms"] or [None]:
            rows.append((name, steps, *(_term_cells(term) if term else ("nothing counts", "", "", "", ""))))
            name = steps = ""
    chosen = f", turns as {gate} chooses" if gate else ""
    print_rows(f"steps {stretch['first']} to {stretch['last']}{chosen}", rows)
    if stretch["idle"]:
        click.echo(f"  idle: {', '.join(stretch['idle'])}")


def _term_cells(term: dict[str, Any]) -> tuple[str, ...]:
    first, last = (f"{weight:.3g}" for weight in term["weight"])
    weight = first if first == last else f"{first} to {last}"
    sources = " and ".join(term["sources"]) or "labels"
    return term["learner"], f"from {sources}", term["loss"], f"weight {weight}", term["name"]
