"""Derivatives without calculus: change one number a little, four times, and see how the loss answers."""

from collections.abc import Callable

import numpy as np

STEP = 5e-4  # the error of the formula is about STEP⁴, that of float64 about 1e-16 / STEP


def numeric_gradient(loss: Callable[[], float], array: np.ndarray, most: int = 40) -> tuple[list, np.ndarray]:
    """∂loss/∂array at up to `most` random places (five-point formula); the places, and the derivatives there."""
    draw = np.random.default_rng(0)
    flat = draw.permutation(array.size)[:most]
    places = [np.unravel_index(place, array.shape) for place in flat]
    slopes = []
    for place in places:
        kept = array[place]
        values = []
        for steps in (-2, -1, 1, 2):
            array[place] = kept + steps * STEP
            values.append(loss())
        array[place] = kept
        far_left, left, right, far_right = values
        slopes.append((far_left - 8 * left + 8 * right - far_right) / (12 * STEP))
    return places, np.array(slopes)


def assert_gradient(loss: Callable[[], float], array: np.ndarray, gradient: np.ndarray, name: str) -> None:
    """The derived gradient agrees with the numeric one within 1e-9."""
    assert gradient.shape == array.shape, name
    places, slopes = numeric_gradient(loss, array)
    derived = np.array([gradient[place] for place in places])
    np.testing.assert_allclose(derived, slopes, rtol=0, atol=1e-9, err_msg=name)
    assert np.abs(slopes).max() > 1e-6, f"{name}: the loss does not depend on it, so this shows nothing"
