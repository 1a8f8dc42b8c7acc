"""The definitions, written a second time: pixel by pixel, from all trials at once, in numpy's float64."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def kl(p, q):
    return float((p * np.log(p / q)).sum())


def centre(p):
    """Give the normalised geometric mean of distributions K×C."""
    return softmax(np.log(p).mean(0))


def half_square(a, b):
    return float(((a - b) ** 2).sum() / 2)


def kl_variances(p):
    """Give the plug-in spread of trials S×R×C: whole, between the samples' centres, within samples."""
    samples = [centre(sample) for sample in p]
    middle = centre(np.array(samples))
    between = np.mean([kl(middle, sample) for sample in samples])
    within = np.mean([kl(sample, trial) for sample, trials in zip(samples, p, strict=True) for trial in trials])
    everything = p.reshape(-1, p.shape[-1])
    whole = np.mean([kl(centre(everything), trial) for trial in everything])
    return whole, between, within


def nll_variances(p, correction):
    """Give the variance, and its parts of data and of seeds."""
    samples, seeds = p.shape[:2]
    whole, between, within = kl_variances(p)
    if correction == "none":
        return whole, between, within
    seed = within * seeds / (seeds - 1) if seeds > 1 else 0.0
    if correction == "scaled":
        data = between * samples / (samples - 1) - seed / seeds
        return data + seed, data, seed
    others = [kl_variances(np.delete(p, left, 0))[0] for left in range(samples)]
    whole = samples * whole - (samples - 1) * np.mean(others)
    return whole, whole - seed, seed


def brier_variances(p):
    """Half the mean squared distance of trials that share nothing is the whole variance; of one sample, the seeds'."""
    apart = [half_square(a, b) for one, other in combinations(p, 2) for a, b in product(one, other)]
    together = [half_square(a, b) for sample in p for a, b in combinations(sample, 2)]
    seed = np.mean(together) if together else 0.0
    return np.mean(apart), np.mean(apart) - seed, seed


def of_pixel(logits, label, correction="scaled", reference=None):
    """Decompose the error of one pixel over trials S×R×C."""
    p = softmax(np.asarray(logits, dtype=np.float64))
    seeds, classes = p.shape[1:]
    trials = p.reshape(-1, classes)
    truth = np.eye(classes)[label]
    nll = np.mean([-np.log(trial[label]) for trial in trials])
    brier = np.mean([2 * half_square(truth, trial) for trial in trials])
    nll_variance, nll_data, nll_seed = nll_variances(p, correction)
    brier_variance, brier_data, brier_seed = brier_variances(p)
    votes = [int(row.argmax()) for row in trials]
    voted = min(range(classes), key=lambda c: (-votes.count(c), c))
    wrong = np.mean([vote != label for vote in votes])
    extra = nll_variance - kl_variances(p)[0]  # what the correction takes from the bias
    found = {
        "pixels": 1.0,
        "nll": nll,
        "nll_bias": kl_of_label(centre(trials), label) - extra,
        "nll_variance": nll_variance,
        "brier": brier,
        "brier_bias": brier - brier_variance,
        "brier_variance": brier_variance,
        "error": wrong,
        "error_bias": float(voted != label),
        "error_variance": wrong - (voted != label),
        "error_variance_unbiased": np.mean([vote != voted for vote in votes]) if voted == label else 0.0,
        "error_variance_biased": np.mean([vote == label for vote in votes]) if voted != label else 0.0,
    }
    if seeds > 1:
        found |= {
            "nll_variance_data": nll_data,
            "nll_variance_seed": nll_seed,
            "brier_variance_data": brier_data,
            "brier_variance_seed": brier_seed,
        }
    if reference is not None:
        target = softmax(np.asarray(reference, dtype=np.float64))
        noise = -float((target * np.log(target)).sum())
        squares = np.mean([2 * half_square(target, trial) for trial in trials])
        found |= {
            "reference_nll": np.mean([-(target * np.log(trial)).sum() for trial in trials]),
            "reference_noise": noise,
            "reference_nll_bias": kl(target, centre(trials)) - extra,
            "reference_brier": squares,
            "reference_brier_bias": squares - brier_variance,
        }
    return found


def kl_of_label(p, label):
    return -float(np.log(p[label]))


def at_boundary(mask, row, column, radius, ignored):
    """Tell whether a valid pixel has another valid label around it."""
    around = mask[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
    return any(label not in (ignored, mask[row, column]) for label in around.flatten())


def mean(rows):
    """Give the mean over pixels."""
    names = rows[0].keys() - {"pixels"}
    return {"pixels": float(len(rows)), **{name: float(np.mean([row[name] for row in rows])) for name in names}}


def mean_iou(labels, predicted, classes):
    """Over the classes that occur in truth or prediction."""
    labels, predicted = np.array(labels), np.array(predicted)
    found = []
    for c in range(classes):
        union = ((labels == c) | (predicted == c)).sum()
        if union:
            found.append(((labels == c) & (predicted == c)).sum() / union)
    return float(np.mean(found))


def of_images(trials, target, seeds, radius, ignored, correction="scaled", reference=None):
    """Give the means over all pixels, over those of each class and region, and the mean IoUs.

    Args:
        trials: logits K×N×C×H×W.
        target: N×H×W.
        seeds: trials of each sample.
        radius: of boundaries.
        ignored: the label that does not count.
        correction: of the negative log-likelihood's variance.
        reference: logits N×C×H×W.
    """
    classes = trials.shape[2]
    rows, predicted, labels = {}, [], []
    for n, row, column in np.ndindex(*target.shape):
        label = int(target[n, row, column])
        if label == ignored:
            continue
        logits = trials[:, n, :, row, column].astype(np.float64)
        soft = None if reference is None else reference[n, :, row, column]
        found = of_pixel(logits.reshape(-1, seeds, classes), label, correction, soft)
        edge = at_boundary(target[n], row, column, radius, ignored)
        for key in ("all", f"class-{label}", "boundary" if edge else "interior"):
            rows.setdefault(key, []).append(found)
        votes = list(logits.argmax(1))
        labels.append(label)
        predicted.append(
            [
                *votes,
                min(range(classes), key=lambda c: (-votes.count(c), c)),
                softmax(logits).mean(0).argmax(),
                np.log(softmax(logits)).mean(0).argmax(),
            ]
        )
    ious = [mean_iou(labels, one, classes) for one in zip(*predicted, strict=True)]
    names = ("miou_vote", "miou_arithmetic", "miou_geometric")
    scores = {"miou": float(np.mean(ious[: len(trials)])), **dict(zip(names, ious[len(trials) :], strict=True))}
    return {key: mean(found) for key, found in rows.items()}, scores
