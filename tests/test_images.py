"""Data sets: found, read, standardised on the training split only, refused when damaged."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_idx

from biosim.drives import ImageDrive, load_images
from biosim.errors import DataError, InputError


def test_digits_have_a_fixed_split_without_overlap() -> None:
    images, again = load_images("digits"), load_images("digits")
    assert images.digest == again.digest
    assert len(images.train) + len(images.test) == 1797 and images.classes == 10
    rows = {r.tobytes() for r in images.train}
    assert sum(r.tobytes() in rows for r in images.test) <= 1  # scikit-learn's set repeats hardly any image
    counts = np.bincount(images.test_labels)
    assert counts.min() >= 34 and counts.max() <= 37


def test_any_idx_folder_is_read_raw_or_gzipped(idx_folder: Path) -> None:
    images = load_images(str(idx_folder))
    assert images.train.shape == (200, 784) and images.side == (28, 28) and images.classes == 4
    assert abs(float(images.train.mean())) < 1e-3 and float(images.train.std()) == pytest.approx(1, abs=1e-3)


def test_the_test_split_never_touches_the_scale(idx_folder: Path) -> None:
    before = load_images(str(idx_folder)).train
    write_idx(idx_folder / "t10k-images-idx3-ubyte.gz", np.full((60, 28, 28), 255, np.uint8))
    after = load_images(str(idx_folder))
    assert np.array_equal(before, after.train)
    assert float(after.test.mean()) > 2


def test_validation_is_taken_from_training_images_only() -> None:
    whole, held = load_images("digits"), load_images("digits", validation=0.2)
    assert held.evaluated_on == "validation" and len(held.test) == round(0.2 * len(whole.train))
    assert len(held.train) + len(held.test) == len(whole.train)
    small = load_images("digits", train_size=100)
    assert len(small.train) == 100 and len(small.test) == len(whole.test)


def test_fashion_mnist_is_found_where_debian_puts_it() -> None:
    if not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    images = load_images("fashion-mnist")
    assert images.train.shape == (60000, 784) and images.test.shape == (10000, 784) and images.classes == 10


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def poison(folder: Path) -> None:
    pixels = np.random.default_rng(0).random((200, 28, 28)).astype(np.float32)
    pixels[17, 3, 3] = np.nan
    (folder / "train-images-idx3-ubyte.gz").unlink()
    write_idx(folder / "train-images-idx3-ubyte", pixels)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated raw": (lambda f: truncate(f / "train-labels-idx1-ubyte"), "truncated"),
    "truncated gzip": (lambda f: truncate(f / "train-images-idx3-ubyte.gz"), "cannot be read|damaged"),
    "not idx": (lambda f: (f / "t10k-labels-idx1-ubyte").write_text("hello"), "not an IDX file"),
    "empty file": (lambda f: (f / "t10k-labels-idx1-ubyte").write_bytes(b""), "not an IDX file"),
    "missing file": (lambda f: (f / "train-labels-idx1-ubyte").unlink(), "no train labels: tried"),
    "nan": (poison, "training image 17 holds NaN"),
    "lengths": (lambda f: write_idx(f / "train-labels-idx1-ubyte", np.zeros(7, np.uint8)), "do not belong together"),
    "constant": (lambda f: write_idx(f / "train-images-idx3-ubyte.gz", np.zeros((200, 28, 28), np.uint8)), "the same"),
    "sizes": (lambda f: write_idx(f / "t10k-images-idx3-ubyte.gz", np.zeros((60, 8, 8), np.uint8)), "pixels"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(kind: str, idx_folder: Path) -> None:
    harm, words = DAMAGE[kind]
    harm(idx_folder)
    with pytest.raises(DataError, match=words) as caught:
        load_images(str(idx_folder))
    assert str(idx_folder) in str(caught.value)


def test_a_missing_set_lists_every_place_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="nowhere"):
        load_images("/nowhere/at/all")
    monkeypatch.setenv("BIOSIM_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=str(tmp_path)):
        load_images("mnist")


def test_every_replicate_has_its_own_order_and_sees_every_image() -> None:
    images = load_images("digits", train_size=64)
    drive = ImageDrive(images, batch=16, epochs=2)
    shown = list(drive.presentations((3, 4), torch.device("cpu")))
    assert len(shown) == drive.clock.steps == 8
    alone = list(drive.presentations((4,), torch.device("cpu")))
    assert all(torch.equal(a.inputs[1], b.inputs[0]) for a, b in zip(shown, alone, strict=True))
    assert not torch.equal(shown[0].inputs[0], shown[0].inputs[1])
    epoch = torch.cat([s.inputs[0] for s in shown[:4]]).sum(1).sort().values
    torch.testing.assert_close(epoch, torch.from_numpy(images.train).sum(1).sort().values)
    with pytest.raises(InputError, match="batch"):
        ImageDrive(images, batch=65)


def own_arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        "train_images": random.integers(0, 256, (50, 6, 5)).astype(np.uint8),
        "train_labels": random.integers(0, 3, 50),
        "test_images": random.integers(0, 256, (20, 6, 5)).astype(np.uint8),
        "test_labels": random.integers(0, 3, 20).astype(np.float32),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_file_is_the_same_data_set_as_an_idx_folder(save: Callable[..., None], tmp_path: Path) -> None:
    arrays = own_arrays()
    save(tmp_path / "own.npz", **arrays)
    for prefix, part in (("train", "train"), ("t10k", "test")):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", arrays[f"{part}_images"])
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", arrays[f"{part}_labels"].astype(np.uint8))
    one, other = load_images(str(tmp_path / "own.npz")), load_images(str(tmp_path))
    assert one.digest == other.digest and one.side == (6, 5) and one.source.endswith("own.npz")


ODD_NPZ: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "missing": (lambda a: a.pop("test_labels"), "no array 'test_labels'.*it needs train_images"),
    "misspelt": (lambda a: a.update(train_lables=a.pop("train_labels")), "did you mean 'train_lables'"),
    "flat": (lambda a: a.update(train_images=a["train_images"].reshape(50, -1)), r"images are \(n, height, width\)"),
    "lengths": (lambda a: a.update(test_labels=a["test_labels"][:3]), "do not belong together"),
    "sizes": (lambda a: a.update(test_images=a["test_images"][:, :4]), "pixels"),
    "text": (lambda a: a.update(train_labels=np.array(["cat"] * 50)), "not numbers"),
    "fractions": (lambda a: a.update(train_labels=a["train_labels"] + 0.5), "whole numbers"),
    "infinite classes": (lambda a: a.update(train_labels=np.where(a["train_labels"] == 1, np.inf, 0.0)), "whole numbers"),
    "no images": (lambda a: a.update(test_images=a["test_images"][:0], test_labels=a["test_labels"][:0]), "are none"),
    "no pixels": (lambda a: a.update(train_images=a["train_images"][:, :0], test_images=a["test_images"][:, :0]), "no pixels"),
    "pickled": (lambda a: a.update(train_labels=np.array([{}] * 50, dtype=object)), "pickled"),
}


@pytest.mark.parametrize("kind", ODD_NPZ)
def test_an_npz_file_that_is_no_data_set_is_refused(kind: str, tmp_path: Path) -> None:
    harm, words = ODD_NPZ[kind]
    arrays = own_arrays()
    harm(arrays)
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=words) as caught:
        load_images(str(tmp_path / "own.npz"))
    assert "own.npz" in str(caught.value)


def test_a_damaged_or_missing_npz_file_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "own.npz", **own_arrays())
    whole = (tmp_path / "own.npz").read_bytes()
    (tmp_path / "own.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("own.npz", "nobody.npz"):
        with pytest.raises(DataError, match=name):
            load_images(str(tmp_path / name))


def test_what_numpy_says_of_damage_is_told_in_one_line(tmp_path: Path) -> None:
    header = b"{'descr':'|u1','fortran_order':False,'shape':(8,),}".ljust(20_001) + b"\n"
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("train_images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"12345678")
    with pytest.raises(DataError, match=r"own\.npz: cannot be read as npz") as caught:
        load_images(str(tmp_path / "own.npz"))
    assert len(str(caught.value).splitlines()) == 1
