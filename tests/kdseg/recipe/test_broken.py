"""Broken recipes: each tells file, line, key and mend, all at once and one a line."""

from __future__ import annotations

from pathlib import Path

import pytest


def broken_recipes() -> list[tuple[str, str, list[str]]]:
    """Read broken.txt: what is replaced, by what, and what is told then."""
    blocks = (Path(__file__).parent / "broken.txt").read_text(encoding="utf-8").split("\n\n")[1:]
    cases = []
    for block in blocks:
        lines = {sign: [line[2:] for line in block.splitlines() if line[0] == sign] for sign in "-+>"}
        cases.append(("\n".join(lines["-"]), "\n".join(lines["+"]), lines[">"]))
    return cases


BROKEN = broken_recipes()


@pytest.mark.parametrize(("good", "bad", "told"), BROKEN, ids=[bad or f"no {good}" for good, bad, _ in BROKEN])
def test_a_broken_recipe_tells_line_key_and_mend(problems, reference, good, bad, told):
    assert good in reference
    assert problems(reference.replace(good, bad, 1)) == [f"recipe.toml:{line}" for line in told]


def test_an_empty_recipe_tells_what_it_needs(problems):
    assert problems("# nothing\n") == [
        "recipe.toml:1: train: missing: how long and how the learners train",
        "recipe.toml:1: data: missing: the images",
        "recipe.toml:1: models: missing: the participants, by names of your own",
        "recipe.toml:1: terms: missing: the losses, by names of your own",
    ]


def test_a_recipe_without_learner_or_term_says_so(problems, reference):
    head = reference[: reference.index("[models.teacher]")]
    frozen = '[models.teacher]\nfrozen = true\nbackbone = "unet70m"\nweights = { run = "x" }\n[terms]\n'
    assert problems(head + frozen) == [
        "recipe.toml:18: models: no participant learns; one without `frozen` and `shadow_of` would",
        "recipe.toml:22: terms: no term; without one nothing is learned",
    ]


def test_frozen_false_says_how_to_learn(problems, reference):
    told = problems(reference.replace("clip = 1.0", "frozen = false"))
    assert "recipe.toml:22: models.teacher.frozen: is true or left out: without it the participant learns" in told


def test_all_problems_are_told_in_the_order_of_their_lines(problems, reference):
    text = reference.replace("keep = 2", "kep = 2").replace("seed = 7", "seed = 7.5")
    text = text.replace("base = 12", "base = 0").replace("epochs = 6", "epoch = 6")
    assert [line.split(": ")[:2] for line in problems(text)] == [
        ["recipe.toml:3", "seed"],
        ["recipe.toml:6", "train"],
        ["recipe.toml:7", "train.epoch"],
        ["recipe.toml:25", "models.student.backbone.base"],
        ["recipe.toml:55", "callbacks.best.kep"],
    ]


def test_a_name_that_several_plugins_offer_prints_the_qualified_ones(problems, reference, folder):
    (folder / "twin.py").write_text((folder / "parts.py").read_text())
    text = reference.replace('"parts.py"', '"parts.py", "twin.py"').replace('"unet70m"', '"parts/unet70m"')
    told = problems(text)
    several = "backbone 'unet1m' is offered by several plugins; write 'parts/unet1m' or 'twin/unet1m'"
    assert f"recipe.toml:25: models.student.backbone.use: {several}" in told
    assert not any("unet70m" in line for line in told)


def test_text_that_is_not_utf8_is_placed(problems, folder, load):
    (folder / "bytes.toml").write_bytes(b"name = 'a'\nx = '\xff'\n")
    assert problems('extends = "bytes.toml"') == ["bytes.toml:2: is no UTF-8 text: byte 0xff; save the file as UTF-8"]


def test_a_plugin_file_that_fails_is_told_alone(problems, reference, folder):
    (folder / "broken.py").write_text("import no_such_module_at_all\n")
    told = problems(reference.replace('"parts.py"', '"broken.py"'))
    assert len(told) == 1
    assert told[0].startswith("recipe.toml:4: plugins.0: ")
    assert "no_such_module_at_all" in told[0]


def test_two_plugin_files_of_one_name_are_told_each_by_its_own_path(problems, reference, folder):
    for place in "ab":
        (folder / place).mkdir()
        (folder / place / "parts.py").write_text((folder / "parts.py").read_text())
    assert problems(reference.replace('["parts.py"]', '["a/parts.py", "b/parts.py"]')) == [
        f"recipe.toml:4: plugins.{number}: {place}/parts.py: another plugin file is called 'parts' too; rename the file"
        for number, place in enumerate("ab")
    ]
