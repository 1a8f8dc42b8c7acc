"""A saved recipe is the recipe."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kdseg.recipe.load import load_recipe
from kdseg.recipe.save import dumps, plain, save_recipe

HERE = Path(__file__).parent
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
POSITIVE = st.floats(0.0, 1e6, exclude_min=True)
SHARES = st.floats(0, 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
PATHS = TEXT.filter(str.isprintable)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
PLAIN = st.recursive(
    st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


def table(required: dict, **optional) -> st.SearchStrategy:
    return st.fixed_dictionaries(required, optional=optional)


def component(name: str, **options) -> st.SearchStrategy:
    return table({"use": st.sampled_from([name, f"parts/{name}"])}, **options) | st.just(name)


def by_name(*names: str) -> st.SearchStrategy:
    options = st.dictionaries(TEXT.filter(lambda key: key != "use"), PLAIN, max_size=2)
    return st.builds(lambda use, rest: {"use": use, **rest}, st.sampled_from(names), options) | st.sampled_from(names)


BACKBONES = component("unet1m", base=st.integers(1, 64), dropout=SHARES) | component(
    "unet70m", norm=st.sampled_from(["batch", "group"])
)
SCENES = {
    "root": PATHS,
    "size": st.lists(st.integers(1, 99), min_size=2, max_size=2),
    "length": INTEGERS,
    "shares": st.dictionaries(TEXT, SHARES, max_size=2),
}
SUPERVISED = st.deferred(
    lambda: (
        component("cross_entropy", class_weights=TEXT, label_smoothing=SHARES)
        | table(
            {"use": st.just("mixed"), "main": SUPERVISED},
            by_tap=st.dictionaries(TEXT, component("penalty"), max_size=2),
        )
    )
)
WEIGHTS = table({"run": PATHS}, which=st.sampled_from(["best", "last"]), model=NAMES, sha256=st.just("0" * 64))
CURVES = (
    st.floats(0, 10)
    | st.integers(0, 10)
    | table({"curve": st.sampled_from(["linear", "cosine"]), "from": st.floats(0, 9), "to": st.floats(0, 9)})
    | st.dictionaries(SHARES, st.floats(0, 9), min_size=1, max_size=3).map(
        lambda points: {"at": sorted(points), "value": [points[at] for at in sorted(points)]}
    )
)


@st.composite
def recipes(draw) -> dict:
    """Give a document of a sound recipe."""
    names = draw(st.lists(NAMES, min_size=3, max_size=5, unique=True))
    turns = draw(st.lists(NAMES, max_size=3))
    learner, *others = names
    classes = {"optimizer": by_name("AdamW", "SGD"), "schedule": by_name("poly")}
    learners = table({"backbone": BACKBONES}, clip=POSITIVE, weights=WEIGHTS, **classes)
    buffers = st.sampled_from(["copy", "average"])
    shadows = table({"shadow_of": st.just(learner)}, decay=st.floats(0.1, 0.9), buffers=buffers)
    frozen = table({"frozen": st.sampled_from([True]), "backbone": BACKBONES, "weights": WEIGHTS})
    models = {learner: draw(learners)} | {name: draw(learners | shadows | frozen) for name in others}
    common = {"learner": st.just(learner)}
    optional = {"weight": CURVES}
    if turns:
        optional["turn"] = st.sampled_from(turns) | st.lists(st.sampled_from(turns), min_size=1, max_size=2)
    terms = st.one_of(
        table(common | {"loss": SUPERVISED}, **optional),
        table(
            common | {"loss": component("pixel_kl", temperature=POSITIVE), "source": st.sampled_from(others)},
            **optional,
        ),
    )
    document = draw(
        table(
            {
                "plugins": st.just([str(HERE / "parts.py")]),
                "train": st.one_of(
                    table({"epochs": st.integers(1, 9)}, batch_size=st.just(8), micro_batches=st.sampled_from([1, 4])),
                    table({"steps_of": st.just({learner: 5})}, precision=st.sampled_from(["fp32", "bf16"])),
                ),
                "data": table(
                    {"dataset": component("synthroad", **SCENES)},
                    train=table({}, **SCENES),
                    val=table({}, **SCENES),
                    augment=st.lists(by_name("HorizontalFlip", "Blur"), max_size=2),
                    std=st.lists(st.floats(0.001, 1), min_size=3, max_size=3),
                ),
                "models": st.just(models),
                "terms": st.dictionaries(NAMES, terms, min_size=1, max_size=3),
            },
            seed=st.integers(0, 2**63 - 1),
            callbacks=st.dictionaries(NAMES, component("checkpoint", keep=INTEGERS), max_size=2),
            tracking=table({}, wandb=table({}, tags=st.lists(TEXT, max_size=2))),
            output=table({"folder": PATHS}),
        )
    )
    return document | ({"turns": {"order": turns}} if turns else {})


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(recipes())
def test_a_saved_recipe_is_loaded_as_it_was(document):
    assume("\0" not in str(document))
    with TemporaryDirectory() as folder:
        path, saved = Path(folder) / "first" / "recipe.toml", Path(folder) / "saved.toml"
        path.parent.mkdir()
        path.write_bytes(dumps(document).encode())
        first = load_recipe(path)
        save_recipe(first.recipe, first.plugins.registry, saved)
        again = load_recipe(saved)
        assert again.recipe == first.recipe
        assert list(again.recipe.models) == list(first.recipe.models) == list(document["models"])
        assert list(again.recipe.terms) == list(first.recipe.terms) == list(document["terms"])
        save_recipe(again.recipe, again.plugins.registry, path)
        assert path.read_bytes() == saved.read_bytes()


def test_the_reference_recipe_is_saved_whole(load, reference, folder, monkeypatch):
    loaded = load(reference, "models.student.weights.run=old")
    save_recipe(loaded.recipe, loaded.plugins.registry, folder / "saved.toml")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_recipe(folder / "saved.toml").recipe == loaded.recipe
    document = tomllib.loads((folder / "saved.toml").read_text(encoding="utf-8"))
    assert document["plugins"] == [str(folder / "parts.py")]
    assert document["output"] == {"folder": str(folder / "runs")}
    assert document["data"]["dataset"] == {"use": "parts/synthroad", "size": [64, 128], "length": 100, "shares": {}}
    assert document["models"]["teacher"]["backbone"] == {"use": "parts/unet70m", "base": 48, "norm": "batch"}
    assert document["models"]["student"]["weights"] == {
        "run": str(folder / "old"),
        "which": "best",
        "partial": False,
        "prune": False,
    }
    assert document["terms"]["mimic"]["weight"] == {"curve": "cosine", "from": 0.7, "to": 0.3}
    assert document["train"]["tune_malloc"] is True


def test_extends_and_settings_are_resolved_away(load, reference, folder):
    files = {"recipe.toml": 'extends = "base.toml"\ndrop = ["terms.mimic"]\n', "base.toml": reference}
    loaded = load(files, "seed=9", "data.val.length=3")
    document = plain(loaded.recipe, loaded.plugins.registry)
    assert {"extends", "drop"}.isdisjoint(document)
    assert (document["seed"], list(document["terms"])) == (9, ["teacher-labels", "student-labels"])
    assert document["data"]["val"] == {"length": 3}
    assert "train" not in document["data"]


def test_a_component_of_no_plugin_cannot_be_saved(load, reference, folder):
    loaded = load(reference)
    (folder / "parts.py").write_text((folder / "parts.py").read_text() + "\n# changed: other classes now\n")
    other = load(reference)
    with pytest.raises(Exception, match="handed over by no plugin"):
        plain(loaded.recipe, other.plugins.registry)
