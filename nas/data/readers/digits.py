"""scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels in 10 classes. They come with the package, so a
study runs without any file.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from nas.data.images import Pixels
from nas.data.source import Source, class_names, labelled


def read() -> Source:
    """The digits; their 17 levels of grey are spread over 0 ... 255. They have no test split of their own."""
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    train = labelled(Pixels(images), digits.target, "digits")
    return Source("digits", class_names(train.labels, "digits"), train)
