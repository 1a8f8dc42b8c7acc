"""Recipes changed in every way: each is loaded and checked, or refused in words that name the place. Never a traceback.

The changes are drawn by number, so a run repeats; the number stands in the message of what fails.
"""

from __future__ import annotations

import copy
import datetime as dt
import random
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import toml

from kdseg.errors import KdsegError, ProblemsError
from kdseg.recipe.load import load_recipe
from kdseg.recipe.save import dumps, plain

REPOSITORY = Path(__file__).parents[2]
FILES = {
    path.stem: path
    for path in (*sorted((REPOSITORY / "recipes").glob("*.toml")), REPOSITORY / "docs/reference_recipe.toml")
}
SECONDS = 20
VALUES = [
    True, False, 0, 1, -1, 2, 7, 1000, 10**5, 10**9, 10**12, 2**63 - 1, -(2**63), 2**64, 10**30, 10**400,
    0.0, -0.0, 0.5, 1.0, -0.5, 1e-9, 1e-300, 1e9, 1e30, 1e308, float("nan"), float("inf"), -float("inf"),
    "", " ", "x", "student", "teacher", "unet1m", "unet", "cross_entropy", "pixel_kl", "SGD", "LBFGS", "StepLR", "Blur",
    "kdseg/unet1m", "other/unet1m", "..", "../x", "a/b", ".", "con", "~", "~root/x", "a\0b", "\x1b[31m", "\u2028",
    "ä", "道",
    "[bold]x[/bold]", "%s{0}", "x" * 300, "y" * 5000, "/", "/dev/null", "/proc/self/mem", "nan", "1e5",
    [], [[]], [1], [1, 2], [0, 0], [-1, 2, 3], [1e30] * 3, ["a", "b"], [[1, 2], [3]], [{}], {}, {"": 1}, {"use": ""},
    {"use": 3}, {"use": "unet1m", "base": -3}, {"a": {"b": {"c": {}}}}, {"use": {"use": "x"}},
    dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.time(1, 2),
]  # fmt: skip
LINES = [
    "[", "]", "=", "x", "x =", "x = [", 'x = """', "x = '''", "[a]", "[[a]]", "[train]", "[models]", "a.b.c = 1",
    "train.steps = 3", 'extends = "recipe.toml"', 'extends = "."', 'extends = "missing.toml"', 'extends = "binary"',
    "extends = 3", 'extends = "\\u0000"', 'extends = "/dev/zero"', 'plugins = ["recipe.toml"]', 'plugins = ["binary"]',
    'plugins = ["."]', 'plugins = ["missing.py"]', 'plugins = ["broken.py"]', 'plugins = "x"', 'drop = ["train"]',
    "drop = 1",
    'drop = ["a..b"]', "x = " + "[" * 30 + "]" * 30, "x = " + "[" * 5000, "x = " + "{ a = " * 3000,
    ".".join("a" * 3000) + " = 1",
    "x = 0x" + "f" * 6000, "x = " + "9" * 6000, "x = 1e999", "# " + "y" * 10**6, "x = '" + "y" * 10**5 + "'",
    '"' + "k" * 9000 + '" = 1',
    "x = 1979-13-45", "\0", "\ufeff", "\r", "\x1b[2J", "name = 'a\tb'", "\u2028 = 1", '"\\u2028" = 1',
]  # fmt: skip
SETTINGS = [
    "", "=", "x", "x=", "=1", "seed=", "seed=-1", "seed=1e3", "seed=nan", "train.steps=10", "train={}", "models={}",
    "terms=1",
    "models.student=1", "models.student.backbone=unet", "models.student.backbone.base=10000000000000", "extends=x.toml",
    "a..b=1", "a.b.c.d=1", "data.augment.0.p=7", "data.augment.9.p=1", "data.augment.-1.p=1", "drop=[]", "seed=[",
    'seed="',
    "seed=1\n[x]\ny=1", ".".join("a" * 5000) + "=1", "x=" + "[" * 5000, "name=..", "name=a/b", "output.folder=\0",
    "\ud800=1",
    "seed=\ud800", "plugins=[1]", "plugins.0=x", "callbacks.best=checkpoint", "callbacks.../x=checkpoint",
    'callbacks."../x"=checkpoint',
    "evaluate.metric=miuo", "train.workers=100000", "data.dataset.size=[100000,100000]", "turns.order=[]",
    "name=" + "n" * 3000,
]  # fmt: skip


def places(value, path=()):
    """Give the path of every value below this one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def at(document, path):
    for key in path:
        document = document[key]
    return document


def put(document, path, value):
    at(document, path[:-1])[path[-1]] = value


def change(document, rng):
    """Change a document in one place: drop, rename, move, copy, swap, replace or nest."""
    paths = list(places(document))
    if not paths:
        return
    path, other = rng.choice(paths), rng.choice(paths)
    holder, value = at(document, path[:-1]), copy.deepcopy(at(document, path))
    tables = [(), *(p for p in paths if isinstance(at(document, p), dict))]
    match rng.randrange(12):
        case 0:
            del holder[path[-1]]
        case 1 if isinstance(holder, dict):
            name = str(path[-1])
            cut = rng.randrange(len(name) + 1)
            holder[rng.choice([name[:cut] + name[cut + 1 :], name + "s", name.upper(), "", "a b", "é", name * 60])] = (
                holder.pop(name)
            )
        case 2 if isinstance(holder, dict):
            del holder[path[-1]]
            at(document, rng.choice([p for p in tables if p[: len(path)] != path]))[str(path[-1])] = value
        case 3:
            at(document, rng.choice(tables))[str(path[-1])] = value
        case 4:
            second = copy.deepcopy(at(document, other))
            put(document, path, second)
            if path[: len(other)] != other and other[: len(path)] != path:
                put(document, other, value)
        case 5:
            put(document, path, rng.choice([[value], [value] * 40, {str(path[-1]): value}, {"use": value}]))
        case 6 | 7 | 8 | 9 if isinstance(value, int | float) and not isinstance(value, bool):
            number = max(min(value, 10**12), -(10**12))
            put(
                document,
                path,
                rng.choice([-number, number * 10, number * 1000, number * 10**9, number * 0.5, number + 0.5]),
            )
        case _:
            put(document, path, copy.deepcopy(rng.choice(VALUES)))


def written(value, rng):
    """Write a value as TOML; what the project's writer refuses too."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{toml.encoder._dump_str(key)} = {written(item, rng)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(written(item, rng) for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, int) and abs(value) > 10**300:
        return hex(value) if value > 0 else "-1"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def structured(text, rng):
    document = tomllib.loads(text)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        change(document, rng)
    key = lambda name: written(name, rng)  # noqa: E731
    return "".join(f"{key(name)} = {written(item, rng)}\n" for name, item in document.items()).encode()


def textual(text, rng, damage):
    for _ in range(rng.choice([1, 1, 2, 5])):
        lines = text.split("\n")
        number, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                del lines[number]
            case 1:
                lines.insert(other, lines[number])
            case 2:
                lines[number], lines[other] = lines[other], lines[number]
            case 3:
                lines.insert(rng.choice([0, number]), rng.choice(LINES))
            case 4:
                del lines[number:]
            case 5:
                lines = "\n".join(lines).replace("\n", "\r\n" if rng.random() < 0.5 else "\r").split("\n")
            case _:
                lines = (
                    damage("\n".join(lines).encode(errors="surrogateescape"), rng)
                    .decode(errors="surrogateescape")
                    .split("\n")
                )
        text = "\n".join(lines)
    return text.encode(errors="surrogateescape")


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """As many small images in CamVid's layout as its recipes' batches need."""
    import cv2
    import numpy as np

    root = tmp_path_factory.mktemp("camvid")
    for split, count in (("train", 8), ("val", 2)):
        for folder, shape in ((split, (180, 240, 3)), (f"{split}annot", (180, 240))):
            (root / folder).mkdir()
            for number in range(count):
                cv2.imwrite(str(root / folder / f"{number}.png"), np.full(shape, number, np.uint8))
    return root


@pytest.fixture
def beside(folder, camvid, monkeypatch):
    """A folder with all recipes, and with what broken ones may name."""
    monkeypatch.setenv("KDSEG_CAMVID", str(camvid))
    for name, path in FILES.items():
        (folder / f"{name}.toml").write_bytes(path.read_bytes())
    (folder / "binary").write_bytes(random.Random(0).randbytes(3000))
    (folder / "broken.py").write_text("import no_such_module\n")
    return folder


def sane(error, what):
    """See that what is told is short, visible and says where."""
    lines = str(error).split("\n")
    assert str(error).strip(), what
    assert "Traceback" not in str(error), what
    assert all(line.isprintable() and len(line) < 6000 for line in lines), (what, lines)
    if isinstance(error, ProblemsError):
        assert len(lines) == len(error.problems), what
        for problem in error.problems:
            assert re.fullmatch(r"(.+:\d+|--set.*)", problem.where), (what, problem)
    else:
        assert len(lines) == 1, what


def tried(path, settings, within, what, *, checks):
    """Load and check what may be a recipe, and give how that ended."""
    from kdseg.engine.check.phases import check

    with within(SECONDS, what):
        try:
            loaded = load_recipe(path, settings)
        except KdsegError as error:
            sane(error, what)
            return "refused"
        saved = path.with_name("saved.toml")
        saved.write_bytes(dumps(plain(loaded.recipe, loaded.plugins.registry)).encode())
        assert load_recipe(saved).recipe == loaded.recipe, what
        if not checks:
            return "loaded"
        try:
            check(loaded)
        except KdsegError as error:
            sane(error, what)
            return "refused by check"
    return "accepted"


def search(beside, within, damage, numbers, *, checks):
    """Try a change of some recipe for each number, and count how they ended."""
    count = Counter()
    path = beside / "recipe.toml"
    for number in numbers:
        rng = random.Random(number)
        name = rng.choice([*FILES])
        text = FILES[name].read_text(encoding="utf-8")
        content, settings = text.encode(), []
        way = rng.randrange(8)
        if way < 5:
            content = structured(text, rng)
        elif way < 7:
            content = textual(text, rng, damage)
        else:
            settings = rng.choices(SETTINGS, k=rng.choice([1, 2]))
        path.write_bytes(content)
        count[
            tried(
                path,
                settings,
                within,
                f"{number}: {name} {settings}\n{content[:3000].decode(errors='replace')}",
                checks=checks,
            )
        ] += 1
    return count


def test_recipes_changed_in_some_way_load_or_tell_the_place(beside, within, damage):
    assert search(beside, within, damage, range(150), checks=False)["refused"] > 50


def test_recipes_changed_in_some_way_check_or_tell_the_place(beside, within, damage):
    assert search(beside, within, damage, range(1000, 1020), checks=True)["accepted"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_thousands_of_changed_recipes_check_or_tell_the_place(beside, within, damage, capsys):
    count = search(beside, within, damage, range(10_000, 13_000), checks=True)
    with capsys.disabled():
        sys.stdout.write(f"\n{count.total()} inputs tried: {dict(count)}\n")
