"""The page of the losses tells of every one that is bundled."""

from __future__ import annotations

from kdseg.plugins import load_plugins


def test_every_loss_has_a_row_with_its_formula_and_source(pages):
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in pages["docs/losses.md"].prose.splitlines()
        if row.startswith("| `")
    ]
    told = {cells[0].strip("`"): cells for cells in rows if len(cells) >= 6}
    bundled = {entry.name for entry in load_plugins().registry.of_kind("loss") if entry.distribution == "kdseg"}
    assert told.keys() == bundled
    assert all(all(cells) for cells in told.values())


def test_what_a_loss_cannot_keep_is_told(pages):
    text = pages["docs/losses.md"].prose
    for entry in load_plugins().registry.of_kind("loss"):
        if entry.distribution == "kdseg" and entry.cls.exempt:
            assert f"`{entry.name}` (" in text
