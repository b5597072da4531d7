"""Writes a small image data set of one's own, as IDX files: bright bars, the class is where the bar lies.

python make_data.py FOLDER
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write unsigned bytes as an IDX file: two zero bytes, type 8, number of axes, sizes (big-endian), values."""
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes())


def bars(n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return n images of 12 x 12 pixels and their classes, 0 to 3."""
    labels = random.integers(0, 4, n)
    images = random.integers(0, 120, (n, 12, 12))
    for k in range(4):
        images[labels == k, 3 * k : 3 * k + 3] += 100
    return images, labels


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for part, n in (("train", 600), ("t10k", 200)):
        images, labels = bars(n, random)
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
