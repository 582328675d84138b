"""Labels for a whole folder: what must hold for any folder, and that structure helps where there is some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag.transduction import shares_of, sharpen

TEMPERATURE = 0.04


def unit(rows: Any) -> Any:
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def folder(
    classes: int, each: int, seed: int = 0, labels: int = 0, dim: int = 48, noise: float = 0.9
) -> tuple[Any, ...]:
    """Images in clusters, prompts (of `labels` classes) that point only roughly at them, and the right labels.

    Images have a direction in common, by which prompts lean towards some labels, as those of real encoders do.
    """
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((max(labels, classes), dim)))
    right = np.repeat(np.arange(classes), each)
    images = unit(centres[right] + noise * unit(rng.standard_normal((len(right), dim))) + 0.15)
    prompts = unit(centres + 1.3 * unit(rng.standard_normal(centres.shape)))
    return images, prompts, right


def accuracies(images: Any, prompts: Any, right: Any) -> tuple[float, float]:
    plain = (images @ prompts.T).argmax(axis=1) == right
    return plain.mean(), (sharpen(images, prompts, TEMPERATURE).argmax(axis=1) == right).mean()


SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 9), st.integers(0, 1000))


@given(SHAPES)
def test_the_order_of_images_and_of_labels_is_of_no_account(shape: tuple[int, int, int]) -> None:
    images, prompts, _ = folder(*shape)
    rng = np.random.default_rng(shape[2])
    rows, columns = rng.permutation(len(images)), rng.permutation(len(prompts))
    first = sharpen(images, prompts, TEMPERATURE)
    second = sharpen(images[rows], prompts[columns], TEMPERATURE)
    np.testing.assert_allclose(second, first[rows][:, columns], atol=1e-4)


@given(SHAPES, st.integers(0, 15))
def test_shares_are_finite_and_sum_to_one(shape: tuple[int, int, int], more_labels: int) -> None:
    images, prompts, _ = folder(*shape, labels=shape[0] + more_labels)
    shares = sharpen(images.astype(np.float32), prompts.astype(np.float32), TEMPERATURE)
    assert shares.shape == (len(images), len(prompts))
    assert np.isfinite(shares).all() and (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


@given(st.integers(1, 20), st.integers(0, 1000))
def test_one_image_alone_has_the_plain_vote(labels: int, seed: int) -> None:
    images, prompts, _ = folder(1, 1, seed, labels=labels)
    np.testing.assert_allclose(
        sharpen(images, prompts, TEMPERATURE), shares_of(images @ prompts.T, TEMPERATURE), atol=1e-9
    )


@given(SHAPES)
def test_duplicates_of_an_image_agree(shape: tuple[int, int, int]) -> None:
    images, prompts, _ = folder(*shape)
    shares = sharpen(np.concatenate([images, images[:1], images[:1]]), prompts, TEMPERATURE)
    np.testing.assert_allclose(shares[-1], shares[0], atol=1e-9)
    np.testing.assert_allclose(shares[-2], shares[0], atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2, 20, 300])
@pytest.mark.parametrize("labels", [1, 2, 3, 40])
def test_folders_without_any_difference(count: int, labels: int) -> None:
    """All images the same, or all labels, or both: the answer is the plain vote's, and no number is lost."""
    rng = np.random.default_rng(0)
    image, prompts = unit(rng.standard_normal((1, 32))), unit(rng.standard_normal((labels, 32)))
    same = np.repeat(image, count, axis=0).astype(np.float32)
    for candidates in (prompts.astype(np.float32), np.repeat(prompts[:1], labels, axis=0).astype(np.float32)):
        shares = sharpen(same, candidates, TEMPERATURE)
        assert shares.shape == (count, labels) and np.isfinite(shares).all()
        if count:
            assert (shares.argmax(axis=1) == (same @ candidates.T).argmax(axis=1)).all()


def test_copies_of_a_few_images_leave_no_variance_and_do_no_harm() -> None:
    """Ten labels, thirty copies of one image each: within a label nothing varies at all."""
    images, prompts, right = folder(10, 1, seed=1)
    shares = sharpen(np.repeat(images, 30, axis=0), prompts, TEMPERATURE)
    assert np.isfinite(shares).all()
    before = ((images @ prompts.T).argmax(axis=1) == right).mean()
    assert (shares.argmax(axis=1) == np.repeat(right, 30)).mean() >= before


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_structure_helps_whatever_the_encoder_s_scale(scale: float) -> None:
    """`scale` below 1: images and prompts share one direction, as cosines of CLIP do, and differ in little else."""
    gains = []
    for seed in range(5):
        images, prompts, right = folder(10, 30, seed)
        shared = np.sqrt(1 - scale**2)
        images = np.concatenate([scale * images, np.full((len(images), 1), shared)], axis=1)
        prompts = np.concatenate([scale * prompts, np.full((len(prompts), 1), shared)], axis=1)
        before, after = accuracies(images, prompts, right)
        gains.append(after - before)
    assert min(gains) >= 0 and np.mean(gains) > 0.04


def test_a_folder_of_one_class_is_not_split() -> None:
    """Where the prompts name most of it rightly, the rest follows; a mixture by itself would divide it."""
    gains = []
    for seed in range(12):
        images, prompts, right = folder(1, 40, seed, labels=20)
        before, after = accuracies(images, prompts, right)
        if before > 0.5:
            gains.append(after - before)
    assert len(gains) > 6
    assert min(gains) >= 0 and np.mean(gains) > 0.1


def test_few_images_suffer_nothing() -> None:
    gains = []
    for seed in range(40):
        images, prompts, right = folder(15, 10, seed)
        chosen = np.random.default_rng(seed).choice(len(right), 20, replace=False)
        before, after = accuracies(images[chosen], prompts, right[chosen])
        gains.append(after - before)
    assert np.mean(gains) >= 0 and min(gains) >= -0.05


def test_labels_that_nothing_shows_take_no_images() -> None:
    images, prompts, right = folder(10, 30, seed=3, labels=30)
    before, after = accuracies(images, prompts, right)
    assert after > before
