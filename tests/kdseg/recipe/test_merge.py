"""What a file, those that it extends, and settings say together."""

from __future__ import annotations

import pytest

from kdseg.recipe.schema import Frozen, Learner, Shadow
from kdseg.recipe.schema_train import ByName


@pytest.fixture
def child(load, reference):
    """Load a recipe that extends the reference."""

    def child(text: str, *settings: str):
        return load({"recipe.toml": 'extends = "base.toml"\n' + text, "base.toml": reference}, *settings).recipe

    return child


@pytest.fixture
def parts(load, reference):
    """The component classes of the plugin file, by name."""
    return {entry.name: entry.cls for entry in load(reference).plugins.registry.entries}


def test_a_child_says_what_its_parent_says_but_for_the_name(child, load, reference):
    recipe = child("")
    assert recipe.name == "recipe"
    assert load(reference.replace('"online-alternating"', '"recipe"')).recipe == recipe


def test_tables_merge_key_by_key(child, load, reference):
    recipe = child("[train]\nbatch_size = 4\n[models.teacher.optimizer]\nlr = 0.5\n[terms.mimic]\nweight = 2\n")
    assert (recipe.train.batch_size, recipe.train.epochs, recipe.train.workers) == (4, 6, 2)
    assert recipe.models["teacher"].optimizer.options == {"lr": 0.5, "weight_decay": 1e-4}
    assert recipe.models["teacher"].clip == 1.0
    assert recipe.terms["mimic"].weight == 2.0
    assert list(recipe.terms) == ["teacher-labels", "student-labels", "mimic"]


def test_arrays_and_weights_replace(child):
    recipe = child(
        '[data]\naugment = ["Blur"]\n[turns]\norder = ["study", "teach"]\n'
        "[terms.mimic]\nweight = { at = [0.0, 1.0], value = [0, 1] }\n"
    )
    assert recipe.data.augment == (ByName(use="Blur"),)
    assert recipe.turns.order == ("study", "teach")
    assert recipe.terms["mimic"].weight_at(0.25) == 0.25


def test_weights_of_a_participant_replace(load, reference, folder):
    base = reference.replace("clip = 1.0", 'weights = { recipe = "a.toml", which = "last" }')
    files = {"recipe.toml": 'extends = "base.toml"\nmodels.teacher.weights.run = "b"', "base.toml": base}
    weights = load(files).recipe.models["teacher"].weights
    assert (weights.recipe, weights.run, weights.which) == (None, folder / "b", "best")


@pytest.mark.parametrize("length", ["epochs = 2", "steps = 9", "steps_of = { student = 5 }"])
@pytest.mark.parametrize("inherited", ["epochs = 6", "steps = 7", "steps_of = { teacher = 8 }"])
def test_the_ways_to_give_a_length_replace_each_other(load, reference, length, inherited):
    base = reference.replace("epochs = 6", inherited)
    files = {"recipe.toml": f'extends = "base.toml"\n[train]\n{length}', "base.toml": base}
    train = load(files).recipe.train
    key, value = length.split(" = ", 1)
    given = {key: getattr(train, key) for key in ("epochs", "steps", "steps_of") if getattr(train, key) is not None}
    assert given == {key: {"student": 5} if value.startswith("{") else int(value)}


@pytest.mark.parametrize(
    "backbone",
    ['"unet1m"', '"parts/unet1m"', '{ use = "unet1m" }', '{ use = "parts/unet1m" }', "{}", "{ dropout = 0.0 }"],
)
def test_the_same_component_keeps_its_inherited_options(load, reference, parts, backbone):
    for stated in ('"unet1m", base = 16', '"parts/unet1m", base = 16'):
        base = reference.replace('"unet1m", base = 12', stated)
        files = {"recipe.toml": f'extends = "base.toml"\n[models.student]\nbackbone = {backbone}', "base.toml": base}
        assert load(files).recipe.models["student"].backbone == parts["unet1m"](base=16)


def test_another_component_drops_the_inherited_options(child, parts):
    recipe = child('[models.student]\nbackbone = "unet70m"\n[models.teacher.optimizer]\nuse = "SGD"\nmomentum = 0.9')
    assert recipe.models["student"].backbone == parts["unet70m"]()
    assert recipe.models["teacher"].optimizer == ByName(use="SGD", options={"momentum": 0.9})


def test_options_reach_a_component_named_by_a_string(child, parts):
    assert child("[models.teacher.backbone]\nbase = 3").models["teacher"].backbone == parts["unet70m"](base=3)


def test_components_within_components_merge_likewise(load, reference, parts):
    base = reference.replace(
        'loss = "cross_entropy"', 'loss = { use = "mixed", main = "cross_entropy", more = ["penalty"] }'
    )
    child = 'extends = "base.toml"\n[terms.teacher-labels.loss]\nuse = "parts/mixed"\nmain.label_smoothing = 0.1\n'
    loss = load({"recipe.toml": child, "base.toml": base}).recipe.terms["teacher-labels"].loss
    assert loss == parts["mixed"](main=parts["cross_entropy"](label_smoothing=0.1), more=(parts["penalty"](),))


FROZEN = '{ frozen = true, backbone = "unet70m", weights = { run = "x" } }'
LEARNER = '{ backbone = "unet70m", optimizer = "SGD" }'
SHADOW = '{ shadow_of = "student" }'


@pytest.mark.parametrize(("own", "nature"), [(FROZEN, Frozen), (LEARNER, Learner), (SHADOW, Shadow)])
@pytest.mark.parametrize("inherited", [FROZEN, LEARNER, SHADOW])
def test_a_participant_that_changes_its_nature_is_replaced_whole(load, reference, inherited, own, nature):
    text = reference.replace("[models.student]", f"[models]\nother = {inherited}\n[models.student]")
    recipe = load({"recipe.toml": f'extends = "base.toml"\nmodels.other = {own}', "base.toml": text}).recipe
    assert type(recipe.models["other"]) is nature
    alone = load(reference.replace("[models.student]", f"[models]\nother = {own}\n[models.student]")).recipe
    assert recipe.models["other"] == alone.models["other"]


def test_details_of_a_frozen_participant_leave_it_frozen(load, reference):
    base = reference.replace("[models.student]", f"[models]\nother = {FROZEN}\n[models.student]")
    files = {
        "recipe.toml": 'extends = "base.toml"\n[models.other]\nbackbone = { use = "unet1m", base = 3 }',
        "base.toml": base,
    }
    other = load(files, "models.other.weights.which=last").recipe.models["other"]
    assert (type(other), other.backbone.base, other.weights.which) == (Frozen, 3, "last")


def test_drop_removes_what_the_parent_brought(child):
    recipe = child(
        'drop = ["terms.mimic", "models.teacher.clip", "data.augment", "tracking", "terms.student-labels"]\n'
        '[terms.student-labels]\nlearner = "student"\nloss = "cross_entropy"'
    )
    assert list(recipe.terms) == ["teacher-labels", "student-labels"]
    assert recipe.terms["student-labels"].turn == ()
    assert (recipe.models["teacher"].clip, recipe.data.augment, recipe.tracking.wandb) == (None, (), None)


def test_drop_of_nothing_is_told_with_the_nearest(problems, reference):
    child = 'extends = "base.toml"\ndrop = [\n  "terms.mimick",\n  "term.mimic",\n  "train.epochs.x",\n  "a b",\n]'
    assert problems({"recipe.toml": child, "base.toml": reference}) == [
        "recipe.toml:3: drop.0: nothing is inherited as 'terms.mimick'; did you mean 'terms.mimic'?",
        "recipe.toml:4: drop.1: nothing is inherited as 'term.mimic'; did you mean 'terms.mimic'?",
        "recipe.toml:5: drop.2: nothing is inherited as 'train.epochs.x'",
        "recipe.toml:6: drop.3: 'a b' is no dotted key, such as models.student.clip",
    ]


def test_each_problem_is_told_in_the_file_that_states_it(problems, reference):
    base = (
        reference.replace("seed = 7", "seed = 7.5").replace("base = 12", "bsae = 12").replace("clip = 1.0", "clip = -1")
    )
    child = 'extends = "sub/middle.toml"\n[models.teacher]\nclip = -2\n'
    child += '[terms.mimic.loss]\nuse = "pixel_kl"\ntemperatur = 1\n[terms.new]\n'
    middle = 'extends = "../base.toml"\nplugins = ["../parts.py"]\n[train]\nworkers = -1\n'
    assert problems({"recipe.toml": child, "sub/middle.toml": middle, "base.toml": base}, "terms.set.learner=1") == [
        "--set: terms.set.loss: missing: the loss",
        "--set: terms.set.learner: expected a string, found the integer 1",
        "base.toml:3: seed: expected an integer, found the number 7.5",
        "base.toml:25: models.student.backbone.bsae: unknown key; did you mean 'base'?",
        "recipe.toml:3: models.teacher.clip: must be > 0: -2.0",
        "recipe.toml:6: terms.mimic.loss.temperatur: unknown key; did you mean 'temperature'?",
        "recipe.toml:7: terms.new.learner: missing: who learns from it, or one of its heads: student.branch2",
        "recipe.toml:7: terms.new.loss: missing: the loss",
        "sub/middle.toml:4: train.workers: must be >= 0: -1",
    ]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("models.studnt.backbone.base=4", ["models.studnt.backbone.use: missing: the name of a backbone"]),
        ("models.studnt.clip=4", ["models.studnt.backbone: missing: "]),
        (
            "terms.mimc.weight=2",
            ["terms.mimc.learner: missing: ", "terms.mimc.loss: missing: the loss"],
        ),
        ("terms.mimc.loss.temperature=2.0", ["terms.mimc.learner: missing: ", "terms.mimc.loss.use: missing: "]),
        ("callbacks.bst.keep=3", ["callbacks.bst.use: missing: the name of a callback"]),
    ],
)
def test_a_name_mistyped_is_told_with_the_near_one(problems, reference, setting, told):
    near = {"models": "student", "terms": "mimic", "callbacks": "best"}[setting.partition(".")[0]]
    name = setting.split(".")[1]
    child = {"recipe.toml": f'extends = "base.toml"\n{setting}\n', "base.toml": reference}
    for found in (problems(reference, setting), problems(child)):
        assert len(found) == len(told)
        for line, wanted in zip(found, told, strict=True):
            assert wanted in line
            assert line.endswith(f"; {name!r} is a new name here; did you mean {near!r}?")


@pytest.mark.parametrize(
    "setting",
    ["terms.zebra.weight=2", "terms.mimc.loss='pixel_kl'", "models.studnt={optimizer={lr=1.0}, backbone='unet1m'}"],
)
def test_a_table_that_is_far_from_others_or_says_something_of_its_own_is_new(problems, reference, setting):
    assert not any("did you mean" in line for line in problems(reference, setting))


def test_a_circle_of_files_is_told_with_the_chain(problems):
    files = {"recipe.toml": 'extends = "b.toml"', "b.toml": 'extends = "c.toml"', "c.toml": '\n\nextends = "./b.toml"'}
    assert problems(files) == ["c.toml:3: extends: goes round in a circle: recipe.toml -> b.toml -> c.toml -> b.toml"]


def test_relative_paths_start_from_the_file_or_the_working_folder(load, reference, folder):
    base = reference.replace('"parts.py"', '"../parts.py"').replace("size = [64, 128]", 'root = "images"')
    base = base.replace("clip = 1.0", 'weights = { recipe = "../a/./b.toml" }')
    child = 'extends = "sub/base.toml"\n[data.val]\nroot = "val"\n[data.dataset]\nlength = 3\n'
    recipe = load({"recipe.toml": child, "sub/base.toml": base}, "data.train.root=here/there").recipe
    assert recipe.plugins == (folder / "parts.py",)
    assert recipe.output.folder == folder / "sub/runs"
    assert recipe.models["teacher"].weights.recipe == folder / "a/b.toml"
    assert recipe.data.dataset.root == folder / "sub/images"
    assert recipe.data.for_split("val").root == folder / "val"
    assert recipe.data.for_split("train").root == folder / "here/there"
    assert {recipe.data.for_split(split).length for split in ("train", "val", "test")} == {3}


def test_absolute_paths_and_those_of_the_home_folder_stay(load, reference, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    recipe = load(reference.replace("size = [64, 128]", 'root = "~/images"'), f"output.folder={tmp_path}/out").recipe
    assert recipe.data.dataset.root == tmp_path / "home/images"
    assert recipe.output.folder == tmp_path / "out"


def test_options_of_a_split_lie_over_those_of_the_dataset(load, reference, parts):
    text = reference.replace(
        "size = [64, 128] }", "length = 9, shares = { car = 1.0 } }\nval = { length = 3, shares.bus = 2 }"
    )
    data = load(text).recipe.data
    scenes = parts["synthroad"]
    assert data.for_split("train") == data.for_split("test") == data.dataset == scenes(length=9, shares={"car": 1.0})
    assert data.for_split("val") == scenes(length=3, shares={"car": 1.0, "bus": 2.0})


@pytest.mark.parametrize(
    ("setting", "get", "value"),
    [
        ("seed=3", lambda r: r.seed, 3),
        ("train.precision=bf16", lambda r: r.train.precision, "bf16"),
        ('train.precision="bf16"', lambda r: r.train.precision, "bf16"),
        ("train.compile=true", lambda r: r.train.compile, True),
        ("train.steps=3", lambda r: (r.train.steps, r.train.epochs), (3, None)),
        ("train.steps_of.student=3", lambda r: (r.train.steps_of, r.train.epochs), ({"student": 3}, None)),
        ("models.teacher.clip=2", lambda r: r.models["teacher"].clip, 2.0),
        ("models.student.backbone.base=16", lambda r: r.models["student"].backbone.base, 16),
        ("models.student.backbone=unet70m", lambda r: r.models["student"].backbone.base, 48),
        ("models.student.backbone=parts/unet1m", lambda r: r.models["student"].backbone.base, 12),
        ("models.teacher.backbone.base=3", lambda r: r.models["teacher"].backbone.base, 3),
        ("data.augment.0.p=1", lambda r: r.data.augment[0].options, {"p": 1}),
        ("data.augment.0=Blur", lambda r: r.data.augment, (ByName(use="Blur"),)),
        ('data.augment=["Blur", { use = "Flip" }]', lambda r: [a.use for a in r.data.augment], ["Blur", "Flip"]),
        ("terms.mimic.weight.to=0.9", lambda r: [r.terms["mimic"].weight_at(p) for p in (0, 1)], [0.7, 0.9]),
        ("terms.mimic.weight=0.9", lambda r: r.terms["mimic"].weight, 0.9),
        ("turns.order.0=study", lambda r: r.turns.order, ("study",) * 3),
        ("name=other", lambda r: r.name, "other"),
        ('name="two words"', lambda r: r.name, "two words"),
        (" seed = 3 ", lambda r: r.seed, 3),
        ('terms."mimic".weight=1', lambda r: r.terms["mimic"].weight, 1.0),
    ],
)  # fmt: skip
def test_settings_change_one_thing(load, reference, setting, get, value):
    text = reference.replace('["teach", "study", "study"]', '["teach", "study", "study"]').replace(
        'turn = "teach"\n', ""
    )
    assert get(load(text, setting).recipe) == value


def test_the_last_setting_holds_and_settings_work_together(child, parts):
    recipe = child("", "seed=1", "models.student.backbone.base=16", "seed=2", "models.student.backbone=unet70m")
    assert recipe.seed == 2
    assert recipe.models["student"].backbone == parts["unet70m"](base=16)


def test_settings_reach_what_earlier_settings_made(child):
    recipe = child("", "data.augment=[{ use = 'Blur' }, 'Flip']", "data.augment.1.p=0.5")
    assert recipe.data.augment[1] == ByName(use="Flip", options={"p": 0.5})


BROKEN = """
train.epochs
--set train.epochs: write KEY=VALUE, such as models.student.backbone.base=16

train.epochs=
--set train.epochs=: write KEY=VALUE, such as models.student.backbone.base=16

train epochs=1
--set train epochs=1: 'train epochs' is no dotted key, such as models.student.clip

seed=[1
--set seed=[1: '[1' is no TOML value (Unclosed array); put quotes around text that is more than a plain word

drop=['a']
--set drop=['a']: `drop` has its place in a file alone

seed=x
--set: seed: expected an integer, found the string 'x'

seed=True
--set: seed: expected an integer, found the string 'True'

models.student.zzz=3
--set: models.student.zzz: unknown key; known here: backbone, optimizer, schedule, clip, weights, source_mode, view

models.student.backbone=unet2
--set: models.student.backbone: unknown backbone 'unet2'; did you mean 'unet1m'?

data.augment.3.p=1
--set: data.augment.3.p: data.augment has 1 items, counted from 0; '3' is none of them

plugins=['x.py']
--set: plugins.0: x.py: there is no such file

terms.mimic.source=student
--set: terms.mimic.source: 'student' is the learner itself; its source may be a shadow of it
"""


@pytest.mark.parametrize(("setting", "told"), [block.strip().split("\n") for block in BROKEN.split("\n\n")])
def test_a_broken_setting_is_told_as_a_setting(problems, reference, setting, told):
    assert problems(reference, setting) == [told]


def test_all_broken_settings_are_told_at_once(problems, reference):
    assert len(problems(reference, "a", "b", "seed=1", "c")) == 3
