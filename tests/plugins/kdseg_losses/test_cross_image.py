"""Relations across images against the paper's formulas, relation by relation, and lists for queues; in float64."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError
from kdseg.losses import LossCall, Prediction
from kdseg_losses.components.relation import CrossImage


def call(progress=0.0, **options):
    return LossCall(progress=progress, images=torch.zeros(0), generator=torch.Generator().manual_seed(0), **options)


def built(options, learner, source, classes):
    ctx = LossContext(
        num_classes=classes,
        class_shares=lambda: pytest.fail("nobody asked for the shares"),
        learner_taps={"bottleneck": tuple(learner.shape[1:])},
        source_taps={"bottleneck": tuple(source.shape[1:])},
    )
    torch.manual_seed(0)
    return options.build(ctx).double()


def value(module, learner, source, target, step):
    one, other = (Prediction(logits=torch.zeros(0), taps={"bottleneck": values}) for values in (learner, source))
    return module(one, other, target, step)


def unit(vector):
    length = np.sqrt((vector**2).sum())
    return vector / length if length else 0 * vector


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def divergence(learner, source, others, theirs, temperature):
    """KL between a cell's relations to some others: the learner's own, and the source's."""
    found = softmax(np.array([learner @ other for other in others]) / temperature)
    wanted = softmax(np.array([source @ other for other in theirs]) / temperature)
    return float((wanted * np.log(wanted / found)).sum())


@define
class Formula:
    """Yang et al. (2204.06986), for images whose cells are pixels, with lists for queues."""

    options: CrossImage
    classes: int
    projection: object
    pixels: list = field(init=False)
    regions: list = field(init=False)

    def __attrs_post_init__(self):
        self.pixels, self.regions = ([[] for _ in range(self.classes)] for _ in range(2))

    def __call__(self, learner, source, target):
        cells = []  # of each image, those that are valid: learner's, its projection, source's, label
        for image in range(len(target)):
            places = list(zip(*np.nonzero(target[image] != IGNORE_INDEX), strict=True))
            at = [(learner[image][:, y, x], source[image][:, y, x], int(target[image][y, x])) for y, x in places]
            cells.append([(unit(one), unit(self.projection(one)), unit(other), label) for one, other, label in at])
        options = self.options
        loss = options.batch * self.to_batch([image for image in cells if image])
        loss += options.pixel_queue * self.to_queue(cells, self.pixels)
        loss += options.region_queue * self.to_queue(cells, self.regions)
        for image in cells:
            self.fill(image)
        return loss

    def to_batch(self, cells):
        means = []
        for image in cells:
            for other in cells:
                mine, theirs = [cell[0] for cell in other], [cell[2] for cell in other]
                rows = [divergence(cell[0], cell[2], mine, theirs, self.options.temperature) for cell in image]
                means.append(sum(rows) / len(rows))
        return sum(means) / len(means) if means else 0.0

    def to_queue(self, cells, queue):
        others = [vector for of_class in queue for vector in of_class]
        anchors = [cell for image in cells for cell in image]
        if not others or not anchors:
            return 0.0
        rows = [divergence(cell[1], cell[2], others, others, self.options.temperature) for cell in anchors]
        return sum(rows) / len(rows)

    def fill(self, image):
        for number in range(self.classes):
            of_class = [cell[2] for cell in image if cell[3] == number]
            count, most = len(of_class), self.options.samples
            self.pixels[number] += [of_class[i * count // most] for i in range(most)] if count > most else of_class
            self.regions[number] += [unit(np.mean(of_class, axis=0))] if of_class else []
            del self.pixels[number][: -self.options.pixel_queue_length]
            del self.regions[number][: -self.options.region_queue_length]


def drawn_batch(numbers, shape, channels, classes, ignored):
    learner, source = (numbers.normal(size=(shape[0], count, *shape[1:])) for count in channels)
    target = numbers.integers(0, classes, shape)
    target[numbers.random(target.shape) < ignored] = IGNORE_INDEX
    return learner, source, target


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 1000),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    st.sampled_from([(3, 3), (2, 4)]),
    st.sampled_from([2, 3, 5]),
    st.sampled_from([0.0, 0.3, 0.8]),
    st.sampled_from([0.1, 1.0]),
)
def test_it_is_the_formula_at_every_step(seed, shape, channels, classes, ignored, temperature):
    numbers = np.random.default_rng(seed)
    options = CrossImage(
        temperature=temperature,
        pixel_queue=0.7,
        region_queue=1.3,
        pixel_queue_length=5,
        region_queue_length=2,
        samples=2,
    )
    module = built(options, np.zeros((1, channels[0], *shape[1:])), np.zeros((1, channels[1], *shape[1:])), classes)

    def projected(vector):
        return module.projector(torch.as_tensor(vector)[:, None, None]).detach().numpy().ravel()

    formula = Formula(options, classes, projected)
    for step in range(3):
        batch = drawn_batch(numbers, shape, channels, classes, ignored)
        found = value(module, *map(torch.as_tensor, batch), call(step / 3))
        assert found.item() == pytest.approx(formula(*batch), rel=1e-10, abs=1e-13)


def filled(learner, source, target, classes=3, **options):
    """Give a module whose queues hold something."""
    module = built(CrossImage(**{"pixel_queue": 1.0, "region_queue": 1.0} | options), learner, source, classes)
    numbers = torch.Generator().manual_seed(5)
    for step in range(2):
        before = torch.randn(source.shape, generator=numbers, dtype=torch.float64)
        value(module, learner, before, torch.where(target == IGNORE_INDEX, 0, target), call(step / 10))
    return module


def tensors(seed=0, channels=(3, 3), shape=(2, 3, 4), ignored=0.3):
    numbers = np.random.default_rng(seed)
    return [torch.as_tensor(one) for one in drawn_batch(numbers, shape, channels, 3, ignored)]


def test_identical_predictions_give_0_with_filled_queues():
    learner, _, target = tensors()
    for options in ({}, {"anchors": 5, "pixel_contrast": 4, "region_contrast": 1}):
        module = filled(learner, learner, target, **options)
        assert value(module, learner, learner.clone(), target, call(0.5)) == 0
        assert value(module, learner, learner + 1, target, call(0.5)) > 0


def test_identical_predictions_give_0_at_any_size_in_float32():
    """Where sums are added in blocks, in an order that depends on how the numbers lie in memory."""
    learner, _, target = (one.float() for one in tensors(channels=(48, 48), shape=(2, 17, 41)))
    module = built(CrossImage(anchors=300, pixel_queue_length=50), learner, learner, 3).float()
    for step in range(3):
        assert value(module, learner, learner.clone(), target.long(), call(step / 3)) == 0
    assert module.queues["pixel"].filled.min() > 0


def test_the_gradient_is_that_of_finite_differences_with_filled_queues():
    learner, source, target = tensors(channels=(2, 3), shape=(2, 2, 3))
    module = filled(learner, source, target)
    torch.autograd.gradcheck(lambda one: value(module, one, source, target, call(0.5)), [learner.requires_grad_()])


def test_each_part_is_felt_and_source_has_no_gradient():
    learner, source, target = tensors(channels=(2, 3))
    source.requires_grad_()
    for part in ("batch", "pixel_queue", "region_queue"):
        module = filled(
            learner, source.detach(), target, **{"batch": 0.0, "pixel_queue": 0.0, "region_queue": 0.0, part: 1.0}
        )
        moving = learner.clone().requires_grad_()
        value(module, moving, source, target, call(0.5)).backward()
        assert moving.grad.abs().max() > 1e-4
        assert source.grad is None
        assert all((weight.grad is None) == (part == "batch") for weight in module.parameters())


def test_ignored_cells_are_in_no_queue_and_change_nothing():
    learner, source, target = tensors()
    hidden = (target == IGNORE_INDEX).unsqueeze(1)
    after = []
    for poison in (0.0, float("nan"), float("inf")):
        module = filled(learner, source, target)
        poisoned = [one.masked_fill(hidden, poison).requires_grad_() for one in (learner, source)]
        loss = value(module, *poisoned, target, call(0.5))
        loss.backward()
        later = value(module, learner, source, target, call(0.6))
        after.append([loss.detach(), poisoned[0].grad, later.detach(), *module.state_dict().values()])
    for other in after[1:]:
        assert all(torch.equal(one, same) for one, same in zip(after[0], other, strict=True))


def test_an_all_ignored_batch_gives_0_and_fills_nothing():
    learner, source, target = tensors()
    module = filled(learner, source, target)
    before = {name: values.clone() for name, values in module.state_dict().items()}
    loss = value(module, learner.requires_grad_(), source, torch.full_like(target, IGNORE_INDEX), call(0.5))
    loss.backward()
    assert loss == 0
    assert (learner.grad == 0).all()
    assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())


def test_repeated_images_change_nothing_with_filled_queues():
    learner, source, target = tensors(ignored=0.4)
    twice = [torch.cat([one, one]) for one in (learner, source, target)]
    module = filled(learner, source, target)
    found, again = (value(module, *batch, call(0.5)) for batch in ((learner, source, target), twice))
    assert again.item() == pytest.approx(found.item(), rel=1e-12)


def test_cells_without_features_count_as_unlike_all():
    """A cell of length 0 has cosine 0 to everything, no gradient, and enters no queue."""
    learner, source, target = tensors(ignored=0.0)
    learner[0, :, 0, 0] = source[0, :, 0, 0] = 0
    module = built(CrossImage(samples=100), learner, source, 3)
    learner.requires_grad_()
    for step in range(3):  # the third sees what two have added
        value(module, learner, source, target, call(step / 3)).backward()
    assert torch.isfinite(learner.grad).all()
    assert (learner.grad[0, :, 0, 0] == 0).all()
    assert module.queues["pixel"].filled.sum() == 2 * (target.numel() - 1)


@define
class Exchange:
    """Joins what some threads, each a process, hand over."""

    count: int
    shares: dict = field(factory=dict)
    barrier: Barrier = field(init=False)

    def __attrs_post_init__(self):
        self.barrier = Barrier(self.count)

    def gather(self, rank):
        def joined(values):
            self.shares[rank] = values
            self.barrier.wait(30)
            whole = torch.cat([self.shares[place] for place in range(self.count)])
            self.barrier.wait(30)
            return whole

        return joined


def stepped(processes, steps=3):
    """Give the last loss, the gradients and the queues of some processes with a share of the batch each."""
    learner, source, target = tensors(channels=(2, 3), shape=(4, 3, 4))
    target[2] = IGNORE_INDEX  # a process without a valid cell, of four
    options = CrossImage(pixel_queue=1.0, region_queue=1.0, pixel_queue_length=9, region_queue_length=3, samples=2)
    modules = [built(options, learner, source, 3) for _ in range(processes)]
    learner.requires_grad_()

    def on(rank, step, exchange):
        mine = [one.chunk(processes)[rank] for one in (learner, source.roll(step, 0), target)]
        return value(modules[rank], *mine, evolve(call(step / steps), gather=exchange.gather(rank)))

    for step in range(steps):
        with ThreadPoolExecutor(processes) as pool:
            exchange = Exchange(processes)
            loss = sum(pool.map(lambda rank, at=step, by=exchange: on(rank, at, by), range(processes))) / processes
    loss.backward()
    weights = [sum(one.grad for one in same) for same in zip(*(each.parameters() for each in modules), strict=True)]
    return [loss.detach(), learner.grad, *weights], [list(module.queues.state_dict().values()) for module in modules]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_take_the_step_of_one_with_the_whole_batch(processes):
    """The engine averages losses per batch over processes: value, gradient and queues are the whole batch's."""
    results, queues = stepped(processes)
    expected, whole = stepped(1)
    for one, other in zip(results, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-11, atol=1e-14)
    for of_process in queues:
        assert all(torch.equal(one, same) for one, same in zip(of_process, queues[0], strict=True))
        assert all(torch.allclose(one, other) for one, other in zip(of_process, whole[0], strict=True))


def test_cells_are_drawn_from_the_valid_ones():
    """With as many anchors as valid cells, the ones that are drawn are all of them: the value is that of no drawing."""
    learner, source, target = tensors(shape=(2, 4, 5), ignored=0.0)
    target[:, :2] = IGNORE_INDEX  # 10 of 20 cells
    found, drawn = (
        value(filled(learner, source, target, anchors=anchors), learner, source, target, call(0.5))
        for anchors in (1024, 10)
    )
    assert drawn.item() == pytest.approx(found.item(), rel=1e-12)


def test_taps_of_other_sizes_and_channels():
    learner, source, _ = tensors(channels=(2, 5), shape=(2, 4, 4))
    source = source.repeat_interleave(2, 2).repeat_interleave(2, 3)
    target = torch.zeros(2, 16, 16, dtype=torch.int64)
    module = built(CrossImage(), learner, source, 3)
    fine = value(module, learner, source, target, call())
    coarse = value(
        built(CrossImage(), learner, source[:, :, ::2, ::2], 3), learner, source[:, :, ::2, ::2], target, call()
    )
    assert fine.item() == pytest.approx(coarse.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("size", "length"), [((64, 128), 20_000), ((4, 8), 1000), ((32, 64), 5000), ((128, 256), 80_000)]
)
def test_the_queue_is_as_long_as_published_for_the_cells(size, length):
    tap = torch.zeros(1, 1, *size)
    assert built(CrossImage(), tap, tap, 2).queues["pixel"].length == length
    assert built(CrossImage(pixel_queue_length=7), tap, tap, 2).queues["pixel"].length == 7


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 0.0, "pixel_queue": 0.0, "region_queue": 0.0}, "give one of them a weight"),
        ({"batch": -1.0}, "batch"),
        ({"temperature": 0.0}, "temperature"),
        ({"anchors": 0}, "anchors"),
        ({"samples": 0}, "samples"),
        ({"pixel_queue_length": 0}, "pixel_queue_length"),
    ],
)
def test_senseless_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        CrossImage(**options)


def test_it_compares_one_pair():
    stages = ("encoder.1", "encoder.2", "bottleneck")
    assert CrossImage(between=("encoder.1 -> bottleneck",)).taps(stages, stages) == (("encoder.1",), ("bottleneck",))
    with pytest.raises(KdsegError, match=r"one pair of taps; found encoder.1 -> encoder.1, encoder.2 -> encoder.2"):
        CrossImage(between=("encoder",)).taps(stages, stages)
