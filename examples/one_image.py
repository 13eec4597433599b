"""Classifies one image and prints its label: python examples/one_image.py IMAGE [BUNDLE]."""

import sys

import cv2

from ssr_edge import Classifier

path, bundle = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
image = cv2.imread(path)  # uint8 [height, width, 3], BGR
if image is None:
    sys.exit(f"{path} can't be read")
with Classifier(bundle) as classify:
    prediction = classify(image)
print(f"{prediction.label} {prediction.confidence:.2f} {' '.join(prediction.flags)}".rstrip())
