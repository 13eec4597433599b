"""Signal-to-quantization-noise ratio and cosine, compared with NumPy on all the data at once."""

from __future__ import annotations

import numpy as np
import pytest

from ssr_export.report.error_sums import ErrorSums


def test_batches_give_what_numpy_gives_on_all_of_them() -> None:
    generator = np.random.default_rng(0)
    exact = generator.normal(0, 3, (4, 5, 7)).astype(np.float32)
    found = (np.rint(exact / 0.1) * 0.1).astype(np.float32)
    sums = ErrorSums()
    for x, y in zip(exact, found, strict=True):
        sums.add(x, y)
    result = sums.result()
    x, y = exact.ravel().astype(np.float64), found.ravel().astype(np.float64)
    assert result.sqnr_db == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()), abs=1e-9)
    assert result.cosine == pytest.approx((x @ y) / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-12)
    # Rounding to steps of 0.1 leaves noise of 0.1^2 / 12 under a signal of 3^2.
    assert result.sqnr_db == pytest.approx(10 * np.log10(9 / (0.01 / 12)), abs=1.5)


def test_a_known_error() -> None:
    sums = ErrorSums()
    sums.add(np.array([3.0, 4.0], np.float32), np.array([3.0, 3.5], np.float32))
    result = sums.result()
    assert result.sqnr_db == pytest.approx(20.0)
    assert result.cosine == pytest.approx(23 / (5 * np.hypot(3, 3.5)))


@pytest.mark.parametrize(
    ("exact", "found", "sqnr_db", "cosine"),
    [
        ([1.0, -2.0], [1.0, -2.0], 200.0, 1.0),
        ([0.0, 0.0], [0.0, 0.0], 200.0, 1.0),
        ([0.0, 0.0], [0.0, 1.0], -200.0, 0.0),
        ([1.0, 2.0], [0.0, 0.0], 0.0, 0.0),
        ([1.0, 2.0], [-1.0, -2.0], -6.0206, -1.0),
    ],
)
def test_no_noise_and_no_signal_give_finite_numbers_for_json(
    exact: list[float], found: list[float], sqnr_db: float, cosine: float
) -> None:
    sums = ErrorSums()
    sums.add(np.array(exact, np.float32), np.array(found, np.float32))
    assert sums.result().sqnr_db == pytest.approx(sqnr_db, abs=1e-4)
    assert sums.result().cosine == pytest.approx(cosine)
