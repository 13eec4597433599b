"""Allots patients to the sides of a split so that every class stands on as many sides as it has patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.str_]


def assign_patients(labels: Labels, patients: Labels, shares: Sequence[float], seed: int) -> npt.NDArray[np.int64]:
    """The side (position in `shares`) of each image, all of a patient's on one.

    labels, patients: [n]. shares: of each class's images, in sum 1. Classes are taken one by one, the one of most
    patients first, and their patients in a random order: each goes to a side that is empty, else to the one that lacks
    most of its share of the class, but the class's last ones to sides that have none of it yet.

    (scikit-learn's StratifiedGroupKFold looks at all classes' counts at once: of the full BreaKHis, where adenosis has
    four patients among 82, it left adenosis out of the test side with all of the seeds 0 to 7.)
    """
    random = np.random.default_rng(seed)
    side_of: dict[str, int] = {}
    images = np.zeros(len(shares))  # on each side, of all classes
    own = {label: np.unique(patients[labels == label]) for label in np.unique(labels).tolist()}
    for label in sorted(own, key=lambda label: (-len(own[label]), label)):
        waiting = [patient for patient in random.permutation(own[label]).tolist() if patient not in side_of]
        counts = {patient: int(np.sum((labels == label) & (patients == patient))) for patient in own[label].tolist()}
        lacking = np.array(shares) * sum(counts.values())
        bare = np.ones(len(shares), bool)  # sides without this class
        for patient in own[label].tolist():
            if patient in side_of:
                lacking[side_of[patient]] -= counts[patient]
                bare[side_of[patient]] = False
        while waiting:
            allowed = bare if len(waiting) <= bare.sum() else np.ones_like(bare)
            # Rounded: equal shares must tie, and ties go to the side with the fewest images.
            side = min(
                np.flatnonzero(allowed).tolist(),
                key=lambda s: (images[s] > 0, -round(float(lacking[s]), 6), images[s]),
            )
            patient = waiting.pop(0)
            side_of[patient] = side
            lacking[side] -= counts[patient]
            bare[side] = False
            images[side] += int(np.sum(patients == patient))
    return np.array([side_of[patient] for patient in patients.tolist()], np.int64)
