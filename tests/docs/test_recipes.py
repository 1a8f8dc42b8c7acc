"""Every recipe, and every part of one, that a page shows can be loaded; the reference recipe has every key."""

from __future__ import annotations

import re
import shutil
import tomllib
from typing import get_args

import attrs
import pytest

from kdseg.components import Component
from kdseg.errors import KdsegError
from kdseg.recipe import schema, schema_keys, schema_train
from kdseg.recipe.curves import Points
from kdseg.recipe.load import load_recipe

KEY = re.compile(r"(train|data|turns|evaluate|checkpoint|tracking|output)\.(\w+)")
"""A dotted key of a table whose keys do not depend on names."""


@pytest.fixture
def beside(tmp_path, root, pages, monkeypatch):
    """A folder with all that recipes of the pages may build on."""
    for recipe in root.glob("recipes/*.toml"):
        shutil.copy(recipe, tmp_path)
    shutil.copy(root / "docs" / "reference_recipe.toml", tmp_path)
    pages["docs/plugins.md"].write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_recipe_of_a_page_loads(recipe_block, beside):
    page, block = recipe_block
    page.write_files(beside)
    says = tomllib.loads(block.text)
    whole = "extends" in says or {"train", "data", "models", "terms"} <= says.keys()
    file = beside / (block.file or "shown.toml")
    head = 'extends = "reference_recipe.toml"\n'
    if "dataset" in says.get("data", {}):  # another one, which has other options for its splits
        head += 'drop = ["data.train", "data.val"]\n'
    file.write_text(block.text if whole else f"{head}{block.text}", encoding="utf-8")
    try:
        recipe = load_recipe(file).recipe
    except KdsegError as error:
        if "(not installed): pip install" in str(error):
            pytest.skip(str(error))
        raise
    if "extends" not in says:
        assert_classes_by_name_fit(recipe)


def test_every_study_of_a_page_is_read_and_its_runs_planned(pages, beside):
    from kdseg.engine.study.planned import in_order
    from kdseg.engine.study.runs import plan_sweep
    from kdseg.engine.study.search import first_variants
    from kdseg.engine.study.sweep_file import read_sweep

    blocks = [block for page in pages.values() for block in page.blocks if block.language == "toml"]
    studies = [block.text for block in blocks if "sweep" in tomllib.loads(block.text)]
    assert len(studies) >= 3
    for text in studies:
        (beside / "shown.toml").write_text(text, encoding="utf-8")
        file = read_sweep(beside / "shown.toml")
        variants = first_variants(file) if "low" in text else plan_sweep(file)
        assert in_order(run for variant in variants for run in variant.runs)


def test_every_key_in_the_prose_exists(page):
    for text in page.code:
        found = KEY.match(text)
        if found:
            table = schema_keys.keys_of(schema.Recipe)[found[1]].type
            cls = next(arg for arg in (*get_args(table), table) if attrs.has(arg))
            assert found[2] in schema_keys.keys_of(cls), f"`{text}`"


def test_the_reference_recipe_has_every_key(root):
    text = (root / "docs" / "reference_recipe.toml").read_text(encoding="utf-8")
    recipe = load_recipe(root / "docs" / "reference_recipe.toml").recipe
    assert_classes_by_name_fit(recipe)
    shown = {path: (cls, set(table)) for path, cls, table in tables(tomllib.loads(text), schema.Recipe)}
    for path, _ in alternatives(text):
        shown[path[:-1]][1].add(path[-1])
    for cls in classes(schema.Recipe):
        found = set().union(*(keys for other, keys in shown.values() if other is cls))
        layering = {"extends", "drop"} if cls is schema.Recipe else set()
        assert found == schema_keys.keys_of(cls).keys() | layering, cls.__name__


def test_what_the_reference_recipe_says_in_comments_holds_too(root, beside):
    text = (beside / "reference_recipe.toml").read_text(encoding="utf-8")
    tried = [f"{'.'.join(path)}={value}" for path, value in alternatives(text) if path not in (("extends",), ("drop",))]
    assert len(tried) == 4
    for setting in tried:
        load_recipe(beside / "reference_recipe.toml", [setting])


def test_the_reference_describes_every_table(generate):
    assert set(generate["TABLES"]) == set(classes(schema.Recipe))


def assert_classes_by_name_fit(recipe):
    """Make the optimizers, schedules and augmentations, whose keys loading does not check."""
    import torch

    from kdseg.data.augment import Augmentation
    from kdseg.engine.learn.optim import build_optimizer, build_schedule

    Augmentation([(spec.use, spec.options) for spec in recipe.data.augment], recipe.seed)
    for model in recipe.models.values():
        if isinstance(model, schema.Learner):
            optimizer = build_optimizer(model.optimizer, [torch.nn.Parameter(torch.zeros(2, 2))])
            build_schedule(model.schedule, optimizer, 10)


def alternatives(text):
    """Give the keys that stand behind a ``#`` at the start of a line, each with its table and value."""
    table = ()
    for line in text.splitlines():
        header = re.match(r"\[([\w.-]+)\]", line)
        table = tuple(header[1].split(".")) if header else table
        found = re.match(r"# (\w+) = ([^#]+?)\s*(#|$)", line)
        if found:
            yield (*table, found[1]), found[2]


def tables(value, cls, path=()):
    """Give path, class and content of each table of a recipe's document that a class of the schema describes."""
    yield path, cls, value
    for key, option in schema_keys.keys_of(cls).items():
        below = value.get(key)
        named = key in ("models", "terms")
        for name, table in below.items() if named else [(None, below)]:
            inner = table_class(option.type, table)
            if inner:
                yield from tables(table, inner, (*path, key, name) if named else (*path, key))


def table_class(hint, value):
    """Give the class of the schema that describes a value at a key of this type; None where none does."""
    known = classes_in(hint)
    if not known or not isinstance(value, dict):
        return None
    if schema.Learner in known:
        return schema.nature_of(value)
    return Points if Points in known and "at" in value else known[0]


def classes(cls):
    """Give a class of the schema and all that are reached from it."""
    found = [cls]
    for option in schema_keys.keys_of(cls).values():
        for inner in classes_in(option.type):
            found += [other for other in classes(inner) if other not in found]
    return found


def classes_in(hint):
    """Give the classes of the schema that a type holds."""
    if isinstance(hint, type) and attrs.has(hint):
        return [] if issubclass(hint, Component | schema_train.ByName) else [hint]
    return [cls for arg in get_args(hint) for cls in classes_in(arg)]
