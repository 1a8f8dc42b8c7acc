"""Queues of embeddings against lists, vector by vector."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg_losses.queues import EmbeddingQueues, class_means, class_samples


def vectors_of(numbers, shape, there=0.6):
    """Give vectors, some of them 0: none."""
    made = torch.as_tensor(numbers.normal(size=(*shape, 3)))
    made[torch.as_tensor(numbers.random(shape) > there)] = 0
    return made


def add_to_lists(lists, vectors, length):
    for image in vectors:
        for number, of_class in enumerate(image):
            lists[number] += [tuple(vector.tolist()) for vector in of_class if vector.any()]
            del lists[number][:-length]


def read_set(queues, number, progress):
    """Give the vectors that count, in the order of their numbers."""
    vectors, counted = queues.read(number, progress, torch.Generator().manual_seed(0))
    return sorted(tuple(vector.tolist()) for vector in vectors[counted])


def listed(lists):
    return sorted(vector for of_class in lists for vector in of_class)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 9), st.integers(1, 4))
def test_they_are_lists_that_forget_the_oldest(seed, classes, length, calls):
    numbers = np.random.default_rng(seed)
    queues = EmbeddingQueues(classes, length, 3).double()
    lists = [[] for _ in range(classes)]
    for step in range(calls):
        added = vectors_of(numbers, (numbers.integers(1, 4), classes, numbers.integers(1, 5)))
        queues.add(added, step / calls)
        add_to_lists(lists, added, length)
        assert read_set(queues, length, 1 + step) == listed(lists)
        assert queues.filled.tolist() == [len(of_class) for of_class in lists]
        assert (queues.entries[-1] == 0).all()


def test_a_step_does_not_see_what_it_adds():
    numbers = np.random.default_rng(0)
    queues = EmbeddingQueues(2, 50, 3).double()
    before, first, second = (vectors_of(numbers, (2, 2, 4)) for _ in range(3))
    queues.add(before, 0.1)
    lists = [[], []]
    add_to_lists(lists, before, 50)
    for added in (first, second):  # two micro-batches
        assert read_set(queues, 50, 0.2) == listed(lists)
        queues.add(added, 0.2)
    assert read_set(queues, 50, 0.2) == listed(lists)
    add_to_lists(lists, first, 50)
    add_to_lists(lists, second, 50)
    assert read_set(queues, 50, 0.3) == listed(lists)


def test_nor_does_it_miss_what_its_own_vectors_will_replace():
    numbers = np.random.default_rng(0)
    queues, lists = EmbeddingQueues(2, 5, 3).double(), [[], []]
    for step in range(4):
        added = [vectors_of(numbers, (2, 2, 4), there=1.0) for _ in range(2)]  # two micro-batches, each more than all
        for vectors in added:
            assert read_set(queues, 5, step) == listed(lists)
            queues.add(vectors, step)
        for vectors in added:
            add_to_lists(lists, vectors, 5)


def test_a_drawn_part_has_no_vector_twice_and_none_that_is_not_there():
    numbers = np.random.default_rng(0)
    queues, lists = EmbeddingQueues(3, 10, 3).double(), [[], [], []]
    for step, size in enumerate((1, 3)):  # 4 of each class
        added = vectors_of(numbers, (1, 3, size), there=1.0)
        queues.add(added, step)
        add_to_lists(lists, added, 10)
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(50):
        vectors, counted = queues.read(2, 5.0, generator)
        assert len(vectors) == 6
        assert counted.all()
        for number, two in enumerate(vectors.reshape(3, 2, 3)):
            drawn = {tuple(vector.tolist()) for vector in two}
            assert len(drawn) == 2
            assert drawn <= set(lists[number])
            seen |= drawn
    assert sorted(seen) == listed(lists)


def test_of_a_class_with_too_few_only_those_count():
    queues = EmbeddingQueues(2, 10, 3)
    queues.add(torch.tensor([[[[1.0, 0, 0]], [[0.0, 0, 0]]]]), 0.0)
    vectors, counted = queues.read(3, 1.0, torch.Generator())
    assert vectors[counted].tolist() == [[1, 0, 0]]


def test_what_is_no_number_stays_outside():
    queues = EmbeddingQueues(1, 4, 2)
    queues.add(torch.tensor([[[[float("nan"), 0], [1.0, 0]]]]), 0.0)
    queues.read(1, 1.0, torch.Generator())  # by the next step
    assert queues.filled.tolist() == [1]
    assert torch.isfinite(queues.entries).all()


def test_they_go_on_from_a_checkpoint():
    numbers = np.random.default_rng(0)
    queues = EmbeddingQueues(2, 7, 3).double()
    for step in range(3):
        queues.add(vectors_of(numbers, (2, 2, 3)), step)
    restored = EmbeddingQueues(2, 7, 3).double()
    restored.load_state_dict(queues.state_dict())
    last = vectors_of(numbers, (2, 2, 3))
    for one in (queues, restored):
        one.add(last, 3)
    for one, other in zip(queues.read(4, 4, torch.Generator()), restored.read(4, 4, torch.Generator()), strict=True):
        assert torch.equal(one, other)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.integers(1, 150), st.integers(1, 20), st.integers(1, 5))
def test_samples_and_means_are_those_of_the_class(seed, classes, places, number):
    numbers = np.random.default_rng(seed)
    vectors = numbers.normal(size=(2, 3, places))
    labels = numbers.integers(0, min(classes, 3), (2, places))
    labels[numbers.random(labels.shape) < 0.3] = IGNORE_INDEX
    samples, means = (
        found.numpy()
        for found in (
            class_samples(torch.as_tensor(vectors), torch.as_tensor(labels), classes, number),
            class_means(torch.as_tensor(vectors), torch.as_tensor(labels), classes),
        )
    )
    assert samples.shape == (2, classes, number, 3)
    for image in range(2):
        for label in range(classes):
            of_class = [vectors[image, :, place] for place in range(places) if labels[image, place] == label]
            if len(of_class) > number:
                wanted = [of_class[i * len(of_class) // number] for i in range(number)]
            else:
                wanted = of_class + [np.zeros(3)] * (number - len(of_class))
            assert np.array_equal(samples[image, label], np.stack(wanted))
            mean = np.mean(of_class, axis=0) if of_class else np.zeros(3)
            assert np.allclose(means[image, label], mean / (np.linalg.norm(mean) or 1), rtol=1e-12, atol=0)
