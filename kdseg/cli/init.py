"""`kdseg init FOLDER`: a recipe for a folder of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._tables import print_rows

if TYPE_CHECKING:
    from kdseg.proposals import Proposal
    from kdseg.registry import Entry

_SHOWN = 20
"""Values of masks that are printed."""


@click.command(short_help="Look at a folder of images and masks, and write a recipe for it.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("recipe.toml"), show_default=True,
    help="The recipe to write.",
)  # fmt: skip
@click.option(
    "--classes", type=click.Path(path_type=Path),
    help="A file of the classes' names, a line each, or CSV with name,r,g,b. By default classes.txt, class_dict.csv or "
    "one alike, where it lies in FOLDER and fits.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(folder: Path, output: Path, classes: Path | None, force: bool, as_json: bool) -> None:
    """Find images, masks, splits and classes in a folder, and write a recipe that trains on them.

    What was assumed stands in comments at the recipe's head: names of classes, above all, are yours to give. Nothing in
    FOLDER is changed.
    """
    from kdseg.errors import KdsegError, display_path
    from kdseg.recipe.draft import draft

    if not folder.is_dir():
        found = "is a file; name the folder of the images" if folder.exists() else "there is no such folder"
        raise KdsegError(f"{display_path(folder)}: {found}")
    if output.exists() and not force:
        raise KdsegError(f"{display_path(output)} is there already; -o names another file, --force writes over it")
    dataset, proposal = _proposal(folder, classes)
    if not proposal.values:
        raise KdsegError(f"{display_path(folder)}: {_without_labels(dataset, folder, proposal)}")
    text = draft(dataset, folder, proposal, output)

    from kdseg.engine.folders.files import json_text, write_whole

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, lambda path: path.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise KdsegError(f"{display_path(output)}: cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(json_text({"recipe": str(output), "dataset": dataset, **_plain(proposal)}, indent=2))
    else:
        _print(proposal, output)


def _without_labels(dataset: str, folder: Path, proposal: Proposal) -> str:
    """Say what images alone are good for, and how a recipe says that."""
    said = {"use": dataset, "root": str(folder), "images": proposal.options.get("images")}
    table = ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in said.items())
    return (
        "there are images, but no masks to learn from. A teacher can teach on them beside a labelled dataset, as the "
        'recipe distil_unlabelled and docs/own_images.md show: the term whose source is the teacher says on = "all", '
        f"and [data] of the labelled dataset's recipe says unlabelled = {{ dataset = {{ {table} }} }}"
    )


def _proposal(folder: Path, classes: Path | None) -> tuple[str, Proposal]:
    """Ask the datasets until one knows how to read the folder; those that are bundled last, for one reads any.

    Where its options say the classes, a file gives their names.
    """
    from kdseg.errors import KdsegError
    from kdseg.plugins import load_plugins

    entries = load_plugins().registry.of_kind("dataset")
    for entry in sorted(entries, key=lambda entry: entry.distribution == "kdseg"):
        proposal = _proposal_by(entry, folder)
        if proposal is not None:
            alone = [one.name for one in entries].count(entry.name) == 1
            return entry.name if alone else entry.qualified, _named(entry, proposal, folder, classes)
    raise KdsegError(f"{folder}: no dataset knows how to read this folder; `kdseg list-plugins` tells which there are")


def _proposal_by(entry: Entry, folder: Path) -> Proposal | None:
    """Ask a dataset; one that fails is left out and told, for the folder may well be another's."""
    from kdseg.errors import KdsegError, display_path, one_line
    from kdseg.proposals import Proposal

    try:
        proposal: object = entry.cls.propose(folder)  # type: ignore[attr-defined] # a dataset
    except KdsegError:
        raise
    except Exception as error:  # noqa: BLE001 (of any plugin)
        found = f"{type(error).__name__}: {one_line(error)}"
    else:
        if proposal is None or isinstance(proposal, Proposal):
            return proposal
        found = f"TypeError: it gave {proposal!r:.80}, no Proposal"
    click.echo(f"warning: dataset {entry.qualified} cannot look at {display_path(folder)}: {found}", err=True)
    return None


def _named(entry: Entry, proposal: Proposal, folder: Path, classes: Path | None) -> Proposal:
    from kdseg.errors import KdsegError
    from kdseg.mask_values.by_values import ByValues
    from kdseg.mask_values.class_files import read_class_file
    from kdseg.mask_values.naming import named, named_nearby

    if not issubclass(entry.cls, ByValues):
        if classes is not None:
            raise KdsegError(f"--classes: the dataset {entry.name}, which reads this folder, knows its classes itself")
        return proposal
    if not proposal.values:
        return proposal
    return named_nearby(proposal, folder) if classes is None else named(proposal, read_class_file(classes))


def _plain(proposal: Proposal) -> dict[str, Any]:
    return {
        "options": dict(proposal.options),
        "images": dict(proposal.images),
        "sizes": {f"{height}x{width}": count for (height, width), count in proposal.sizes.items()},
        "values": dict(proposal.values),
        "assumed": [*proposal.notes, *proposal.class_notes],
    }


def _print(proposal: Proposal, output: Path) -> None:
    found = _plain(proposal)
    rows = [(split, f"{count} images") for split, count in found["images"].items()]
    print_rows("splits", rows)
    values = list(found["values"].items())
    rows = [(value, f"{100 * share:.2f} % of the pixels") for value, share in values[:_SHOWN]]
    rows += [("…", f"{len(values) - _SHOWN} more")] if len(values) > _SHOWN else []
    print_rows("what the masks hold", rows)
    for note in found["assumed"]:
        click.echo(f"assumed: {note}")
    click.echo(f"written: {output}; look at it, then: kdseg check {output} && kdseg run {output}")
