from __future__ import annotations

import numpy as np

from ssr_train.evaluation.symmetries import symmetries


def test_eight_different_views_the_first_as_it_is() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    views = list(symmetries(images))
    np.testing.assert_array_equal(views[0], images)
    assert len({view.tobytes() for view in views}) == 8
    assert all(view.shape == images.shape and view.flags.c_contiguous for view in views)


def test_every_symmetry_of_a_view_is_a_view_again() -> None:
    images = np.random.default_rng(1).integers(0, 256, (1, 4, 4, 3), np.uint8)
    views = {view.tobytes() for view in symmetries(images)}
    assert {again.tobytes() for view in symmetries(images) for again in symmetries(view)} == views
