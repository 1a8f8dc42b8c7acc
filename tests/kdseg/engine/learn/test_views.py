"""A participant's own look, images without labels and terms that count on them, against loops written by hand."""

from __future__ import annotations

import random

import albumentations
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kdseg.components import DatasetContext
from kdseg.data.streams import numpy_generator, stream
from kdseg.engine.check.phases import check
from kdseg.engine.learn.targets import filled
from kdseg.errors import ProblemsError
from kdseg.hooks import Hooks

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

TEACHING = """
[data]
unlabelled = {{ dataset = {{ use = "squares", images = 5 }}, split = "val", share = 0.5 }}
[models.student]
backbone = {{ use = "tiny", norm = "{norm}" }}
optimizer = {{ use = "AdamW", lr = 1e-2 }}
[models.mean]
shadow_of = "student"
decay = 0.4
view = {{ scale = 1.25, augment = [{{ use = "GaussNoise", p = 0.8 }}] }}
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.consistency]
learner = "student"
source = "mean"
loss = {{ use = "{loss}", temperature = 1.0 }}
on = "all"
weight = {{ curve = "linear", from = 0.1, to = 1.0 }}
[callbacks.precise]
use = "float64"
"""
RECIPE = TEACHING.format(norm="batch", loss="pixel_kl")


class Pictures:
    """Reads, by the documented streams alone, what a step of TEACHING sees."""

    def __init__(self, recipe):
        self.recipe = recipe
        data = recipe.data
        self.labelled = data.train.build(DatasetContext(split="train", seed=recipe.seed))
        self.unlabelled = data.unlabelled.dataset.build(DatasetContext(split="val", seed=recipe.seed))
        self.noise = albumentations.GaussNoise(p=0.8)

    def chosen(self, step):
        """Two samples with labels, two without, each with the key of its view."""
        epoch, number = divmod(step, len(self.labelled) // 2)
        order = numpy_generator(self.recipe.seed, "order", epoch).permutation(len(self.labelled)).tolist()
        for index in order[2 * number : 2 * number + 2]:
            yield self.labelled[index], True, ("view", "mean", epoch, index)
        for place in range(2 * step, 2 * step + 2):
            epoch, number = divmod(place, len(self.unlabelled))
            generator = numpy_generator(self.recipe.seed, "unlabelled-order", epoch)
            index = generator.permutation(len(self.unlabelled)).tolist()[number]
            yield self.unlabelled[index], False, ("unlabelled-view", "mean", epoch, index)

    def noisy(self, image, key):
        start = stream(self.recipe.seed, *key)
        draws = random.Random(start)
        draws.random()
        self.noise.set_random_state(np.random.Generator(np.random.PCG64(start)), draws)
        return self.noise(image=image)["image"]

    def normalised(self, images):
        mean, std = (np.array(values, np.float32) for values in (self.recipe.data.mean, self.recipe.data.std))
        scaled = (np.stack(images).astype(np.float32) / np.float32(255) - mean) / std
        return torch.from_numpy(scaled).permute(0, 3, 1, 2).double()

    def batch(self, step):
        """Images, images as the shadow sees them, and targets."""
        samples = [*self.chosen(step)]
        target = [sample.mask if labelled else np.full_like(sample.mask, 255) for sample, labelled, _ in samples]
        plain = self.normalised([sample.image for sample, _, _ in samples])
        seen = self.normalised([self.noisy(sample.image, key) for sample, _, key in samples])
        seen = F.interpolate(seen, (40, 40), mode="bilinear", align_corners=False)
        return plain, seen, torch.from_numpy(np.stack(target)).long()


def everywhere(logits, wanted):
    p, q = wanted.detach().softmax(1), logits.log_softmax(1)
    return (p * (p.log() - q)).sum(1).mean()


def follow(mean, student):
    keep = min(0.4, (1 + student.taken) / (10 + student.taken))
    trained = {name for name, _ in student.network.named_parameters()}
    for name, value in mean.network.state_dict().items():
        theirs = student.network.state_dict()[name]
        value.copy_(keep * value + (1 - keep) * theirs if name in trained else theirs)


@pytest.fixture
def taught(load, by_hand, hands):
    """Run the loop of TEACHING by hand, and give the student and its average."""

    def taught(recipe, steps=8, pull=everywhere):
        loaded = load(recipe, f"train.steps={steps}")
        hand, pictures = by_hand(loaded), Pictures(loaded.recipe)
        student, mean = hands.Hand(hand.network("student"), 1e-2, steps), hands.Hand(hand.network("student"), 0, 1)
        for step in range(steps):
            images, seen, target = pictures.batch(step)
            wanted = F.interpolate(mean.tell(seen), (32, 32), mode="bilinear", align_corners=False)
            logits = student.study(images)
            weight = 0.1 + 0.9 * step / steps
            student.learn(hands.labels(logits, target), weight * pull(logits, wanted))
            follow(mean, student)
        return student.network, mean.network

    return taught


@pytest.mark.parametrize("steps", [1, 20])
def test_a_mean_teacher_is_its_loop_by_hand(taught, train, weights, assert_same, steps):
    """Tarvainen and Valpola (1703.01780), over several epochs of both splits."""
    student, mean = taught(RECIPE, steps)
    run = train(RECIPE, f"train.steps={steps}")
    assert_same(weights(run, "student"), student.state_dict(), 1e-10)
    assert_same(weights(run, "mean"), mean.state_dict(), 1e-10)


class Targets(Hooks):
    """Notes what the loss of `consistency` is given."""

    def on_run_start(self, run):
        self.given, self.steps = [], []
        module = run.stepper.terms["consistency"].module
        forward = module.forward

        def watched(learner, source, target, call):
            self.given = [learner if source is None else source, target, module.count(target)]
            return forward(learner, source, target, call)

        module.forward = watched

    def on_step_end(self, run):
        self.steps.append([*self.given, run.batch.masks.long()])


@pytest.mark.parametrize(
    "changes",
    [
        ["terms.consistency.loss={use='gated_kl'}"],
        ["terms.consistency.source=['mean', 'student']", "terms.consistency.combine='min_logit'"],
        ["terms.consistency={learner='student', on='all', loss='confidence_penalty'}"],
    ],
)
def test_where_there_is_no_label_a_loss_reads_the_likeliest_class(train, changes):
    """The source's; of several their mean's; without one the learner's own. Labels stay."""
    watcher = Targets()
    recipe = RECIPE
    if "confidence" in changes[0]:
        recipe, changes = RECIPE.partition("source =")[0] + 'loss = "confidence_penalty"\non = "all"\n', []
    train(recipe, *changes, "train.fuse=off", watcher=watcher)
    assert len(watcher.steps) == 8
    for told, target, count, masks in watcher.steps:
        assert count == target.numel()
        assert (masks[2:] == 255).all()
        labelled = masks != 255
        assert torch.equal(target[labelled], masks[labelled])
        if "combine" not in str(changes):
            assert torch.equal(target[~labelled], told.logits.argmax(1)[~labelled])


def test_the_mean_of_several_sources_decides():
    target = torch.tensor([[[255, 255, 0]]])
    sure, unsure = (
        torch.tensor(logits).log().view(1, 3, 1, 1).expand(1, 3, 1, 3) for logits in ([0.8, 0.1, 0.1], [0.1, 0.5, 0.4])
    )
    assert filled(target, [sure, unsure]).tolist() == [[[0, 0, 0]]]
    assert filled(target, [unsure, unsure, sure * 0.01]).tolist() == [[[1, 1, 0]]]


@pytest.mark.parametrize("fuse", ["off", "torch", "auto"])
def test_a_fused_loss_counts_on_the_same_pixels(taught, train, weights, assert_same, fuse, caplog):
    student, _ = taught(RECIPE)
    with caplog.at_level("INFO", "kdseg"):
        run = train(RECIPE, f"train.fuse={fuse}")
    assert_same(weights(run, "student"), student.state_dict(), 1e-10)
    assert not any("terms.consistency and terms.labels" in line for line in caplog.messages)


@pytest.mark.parametrize("parts", [2])
def test_micro_batches_and_processes_change_nothing(train, processes, weights, assert_same, parts):
    recipe = TEACHING.format(norm="group", loss="pixel_kl")
    whole = train(recipe, "train.batch_size=8")
    for run in (
        train(recipe, "train.batch_size=8", f"train.micro_batches={parts}", name="parted"),
        processes(parts, recipe, "train.batch_size=8", name="shared"),
        processes(2, recipe, "train.batch_size=8", "train.micro_batches=2", name="both"),
    ):
        for name in ("student", "mean"):
            assert_same(weights(run, name), weights(whole, name), 1e-10)


def test_others_see_what_they_saw_before(train, weights, assert_same):
    """A view of one participant changes nothing for another, to the bit."""
    recipe = RECIPE.partition("[terms.consistency]")[0]
    plain = recipe.replace('view = { scale = 1.25, augment = [{ use = "GaussNoise", p = 0.8 }] }', "")
    assert_same(weights(train(recipe), "student"), weights(train(plain, name="plain"), "student"))


class Sizes(Hooks):
    def on_run_start(self, run):
        self.taps, self.shapes = [], run.checked.tap_shapes
        run.participants["student"].encoder.register_forward_hook(
            lambda network, _inputs, output: self.taps.append(tuple(output.shape[1:])) if network.training else None
        )
        self.logits = []
        module = run.stepper.terms["both"].module
        module.register_forward_pre_hook(lambda _module, given: self.logits.append(given[0].logits.shape))


def test_a_learner_s_view_scales_its_taps_and_resizes_its_logits_and_heads(train):
    recipe = """
[models.student]
backbone = { use = "tiny", branch = true }
view = { scale = 1.5 }
[models.teacher]
backbone = { use = "tiny", width = 6 }
[terms.labels]
learner = "teacher"
loss = "cross_entropy"
[terms.both]
learner = "student.both"
loss = "cross_entropy"
[terms.features]
learner = "student"
source = "teacher"
loss = { use = "fitnet", between = ["encoder.1"] }
"""
    watcher = Sizes()
    train(recipe, watcher=watcher)
    assert watcher.shapes["student"]["encoder.1"] == watcher.taps[0] == (4, 48, 48)
    assert set(watcher.logits) == {(4, 3, 32, 32)}


REFUSED = [
    (
        ["models.mean.view.augment=[{use='HorizontalFlip'}]"],
        "--set: models.mean.view.augment.0.use",
        (
            "'HorizontalFlip' changes masks too, and a view shares the geometry of its sample; put it into "
            "data.augment, or take one that changes pixels alone, such as ColorJitter or GaussianBlur"
        ),
    ),
    (
        ["models.mean.view.augment=[{use='GausNoise'}]"],
        "--set: models.mean.view.augment.0.use",
        "albumentations has no BasicTransform called 'GausNoise'; did you mean 'GaussNoise'?",
    ),
    (
        ["models.mean.view.scale=0.5"],
        "--set: models.mean.view.scale",
        "at scale 0.5 an image of 32x32 is 16x16; networks take images of 32x32 or more",
    ),
    (
        ["data.unlabelled.share=0.25", "train.micro_batches=2"],
        "--set: data.unlabelled.share",
        (
            "0.25 of a step's 4 images are 1, which does not give each of 1 processes with 2 micro-batches as "
            "many images with and without labels; share = 0.5 would"
        ),
    ),
    (
        ["data.unlabelled.share=0.1"],
        "--set: data.unlabelled.share",
        (
            "0.1 of a step's 4 images are 0, which does not give each of 1 processes with 1 micro-batches as many "
            "images with and without labels; share = 0.25 would"
        ),
    ),
    (
        ["train.batch_size=1"],
        "recipe.toml:4: data.unlabelled.share",
        (
            "0.5 of a step's 1 images are 0, which does not give each of 1 processes with 1 micro-batches as many "
            "images with and without labels; with a batch_size of 2 or more some would"
        ),
    ),
    (
        ["data.unlabelled.split=tset"],
        "--set: data.unlabelled.split",
        "squares has no split 'tset'; it has train, val",
    ),
    (
        ["data.train.images=1"],
        "base.toml:4: train.batch_size",
        ("the training split has 1 samples, fewer than the 2 that a step wants with labels; make them 1 or less"),
    ),
    (
        ["terms.labels.on=all"],
        "--set: terms.labels.on",
        "the loss 'cross_entropy' compares with the labels, which not all pixels have; leave this key out",
    ),
    (
        ["terms.consistency.loss={use='boundary_kl'}"],
        "recipe.toml:19: terms.consistency.on",
        (
            "the loss 'boundary_kl' divides by what follows from the labels, which not all pixels have; leave "
            "this key out"
        ),
    ),
]


@pytest.mark.parametrize(("changes", "where", "told"), REFUSED, ids=[changes[0] for changes, *_ in REFUSED])
def test_what_cannot_be_is_told(load, changes, where, told):
    with pytest.raises(ProblemsError) as error:
        check(load(RECIPE, *changes))
    assert str(error.value) == f"{where}: {told}"


def test_images_that_nothing_counts_on_are_told(load):
    (warning,) = check(load(RECIPE, "terms.consistency.on=labelled")).warnings
    assert warning == ('data.unlabelled: no term counts on these images; a distillation with on = "all" would')


def test_an_epoch_is_that_of_the_labelled_images(load):
    assert check(load(RECIPE)).plan.steps_per_epoch == 8  # 16 of them, 2 a step
