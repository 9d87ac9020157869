from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mrcert_pl.data import ImageDataModule, ImageError, describe
from mrcert_pl.errors import ConfigurationError, DataError


def ids(loader: torch.utils.data.DataLoader) -> list[int]:
    return [int(i) for batch in loader for i in batch.id]


def test_the_loaders_serve_every_image_once() -> None:
    data = ImageDataModule("digits", image_px=(16, 16), batch_size=50)
    assert ids(data.test_dataloader()) == [record.id for record in describe("digits").open(None).records("test")]
    assert len(set(ids(data.val_dataloader()))) == 180
    assert len(set(ids(data.train_dataloader()))) == 1257 // 50 * 50


def test_a_batch_holds_images_labels_ids_and_paths() -> None:
    batch = next(iter(ImageDataModule("digits", image_px=(32, 16), batch_size=4).test_dataloader()))
    assert batch.image.shape == (4, 3, 32, 16)
    assert batch.label.tolist() == [r.label for r in describe("digits").open(None).records("test")[:4]]
    assert list(batch.path) == [f"digits/{i}" for i in batch.id.tolist()]


def test_a_limit_is_a_seeded_subset_that_keeps_its_ids() -> None:
    whole = ids(ImageDataModule("digits", image_px=(16, 16)).test_dataloader())
    first, again, other = (
        ids(ImageDataModule("digits", image_px=(16, 16), limit=40, seed=seed).test_dataloader()) for seed in (0, 0, 1)
    )
    assert len(first) == 40
    assert set(first) <= set(whole)
    assert first == again != other


def test_training_order_changes_with_the_epoch_and_follows_the_seed() -> None:
    def orders(seed: int) -> list[list[int]]:
        loader = ImageDataModule("digits", image_px=(16, 16), limit=64, batch_size=8, seed=seed).train_dataloader()
        result = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            result.append(ids(loader))
        return result

    first = orders(0)
    assert sorted(first[0]) == sorted(first[1])
    assert first[0] != first[1]
    assert first == orders(0)


def test_no_more_workers_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch would warn that they are too many."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    taken = {asked: ImageDataModule("digits", workers=asked).test_dataloader().num_workers for asked in (0, 2, 3, 64)}
    assert taken == {0: 0, 2: 2, 3: 3, 64: 3}


def test_augmentation_follows_from_seed_epoch_and_image_alone() -> None:
    """Not from batches, workers, or random numbers that others drew."""
    augmentation = {"scale": (0.3, 0.9), "hflip": 0.5, "re_prob": 0.5, "re_mode": "pixel"}

    def images(epoch: int, **arguments: int) -> dict[int, torch.Tensor]:
        data = ImageDataModule("digits", image_px=(32, 32), limit=8, augmentation=augmentation, **arguments)  # type: ignore[arg-type]
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return {int(i): image for batch in loader for i, image in zip(batch.id, batch.image, strict=True)}

    first = images(0, batch_size=8)
    for other in (images(0, batch_size=2), images(0, batch_size=4, workers=1)):
        assert first.keys() == other.keys()
        assert all(torch.equal(first[i], other[i]) for i in first)
    next_epoch = images(1, batch_size=8)
    assert not any(torch.equal(first[i], next_epoch[i]) for i in first)


def test_augmentation_that_timm_does_not_have() -> None:
    data = ImageDataModule("digits", image_px=(32, 32), limit=8, batch_size=8, augmentation={"sclae": (0.3, 0.5)})
    with pytest.raises(ConfigurationError, match=r"recipe\.augmentation .* 'sclae'"):
        data.train_dataloader()


def test_augmentation_is_for_training_only() -> None:
    augmentation = {"scale": (0.3, 0.5), "hflip": 0.0, "auto_augment": None, "color_jitter": None}
    data = ImageDataModule("digits", image_px=(32, 32), limit=8, batch_size=8, augmentation=augmentation)
    batch = next(iter(data.train_dataloader()))
    plain = {sample.id: sample.image for sample in data.split("train")}
    assert all(not torch.equal(image, plain[int(i)]) for image, i in zip(batch.image, batch.id, strict=True))
    assert torch.equal(data.split("test")[0].image, data.split("test")[0].image)
    assert batch.image.min() >= 0
    assert batch.image.max() <= 1 + 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "digit"}, "choose one of: attacked, cifar10, .*digits"),
        ({"name": "digits", "batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"name": "digits", "batch_size": 1.5}, "batch_size must be a whole number of at least 1, got 1.5"),
        ({"name": "digits", "batch_size": True}, "batch_size must be .*, got True"),
        ({"name": "digits", "limit": 0}, "limit must be a whole number of at least 1, got 0"),
        ({"name": "digits", "workers": -1}, "workers must be a whole number of at least 0, got -1"),
        ({"name": "digits", "workers": "4"}, "workers must be .*, got '4'"),
        ({"name": "digits", "seed": -1}, "seed must be a whole number from 0 to 4294967295, got -1"),
        ({"name": "digits", "seed": 2**32}, "seed must be a whole number from 0 to 4294967295"),
        ({"name": "digits", "image_px": (224,)}, "image_px must be a height and a width"),
        ({"name": "digits", "image_px": (224, 0)}, "image_px must be a whole number of at least 1, got 0"),
        ({"name": "digits", "download": "yes"}, "download must be true or false, got 'yes'"),
        ({"name": "digits", "root": 5}, "root must be a path, got 5"),
        ({"name": "digits", "labels": "a.csv"}, "labels= is for dataset=folder"),
        ({"name": "digits", "module": "no.such"}, r"dataset.module=no.such can't be imported"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ImageDataModule(**arguments)


def test_too_few_training_images_for_a_batch() -> None:
    with pytest.raises(ConfigurationError, match=r"don't fill one batch of 64.*recipe\.batch_size"):
        ImageDataModule("digits", limit=10).train_dataloader()


def test_a_data_set_on_disk_from_files_to_batches(imagenette: Path) -> None:
    data = ImageDataModule("imagenette", imagenette, image_px=(32, 32), batch_size=4)
    data.prepare_data()
    data.setup("fit")
    served = [set(ids(loader)) for loader in (data.val_dataloader(), data.test_dataloader())]
    served.append({record.id for record in data.split("train").records})
    assert [len(each) for each in served] == [10, 20, 30]
    assert not served[0] & served[1] | served[0] & served[2] | served[1] & served[2]


def test_ids_of_a_real_data_set_are_stable_under_limit_and_seed(imagenette: Path) -> None:
    whole = {s.id: s.path for s in ImageDataModule("imagenette", imagenette, image_px=(16, 16)).split("test")}
    for seed in (0, 1):
        some = ImageDataModule("imagenette", imagenette, image_px=(16, 16), limit=5, seed=seed).split("test")
        assert len(some) == 5
        assert all(whole[sample.id] == sample.path for sample in some)


def test_resize_can_be_chosen(imagenette: Path) -> None:
    assert ImageDataModule("imagenette", imagenette).preprocessing.resize == "crop"
    assert ImageDataModule("imagenette", imagenette, resize="whole").preprocessing.resize == "whole"
    with pytest.raises(ConfigurationError, match="crop, whole"):
        ImageDataModule("imagenette", imagenette, resize="squash")  # type: ignore[arg-type]


def test_missing_data_is_found_at_the_start_not_when_made(tmp_path: Path) -> None:
    data = ImageDataModule("cifar10", tmp_path / "none")
    data.prepare_data()
    with pytest.raises(DataError, match="there is no folder"):
        data.setup("fit")


def test_a_download_happens_where_lightning_prepares_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    monkeypatch.setattr(type(describe("cifar10")), "fetch", lambda description, root: fetched.append(root))
    ImageDataModule("cifar10", tmp_path).prepare_data()
    ImageDataModule("cifar10", tmp_path, download=True).prepare_data()
    assert fetched == [tmp_path]


@pytest.mark.parametrize(("workers", "augmentation"), [(0, None), (0, {"auto_augment": None}), (1, None)])
def test_a_damaged_image_is_named_in_every_process(workers: int, augmentation: dict | None, imagenette: Path) -> None:
    for file in (imagenette / "train").glob("*/*"):
        file.write_bytes(file.read_bytes()[:-200])
    data = ImageDataModule("imagenette", imagenette, (16, 16), 4, workers, augmentation=augmentation)
    with pytest.raises(ImageError) as error:
        next(iter(data.train_dataloader()))
    message = str(error.value)
    assert message.startswith(f"{imagenette}/train/n")
    assert "truncated" in message
    assert "\n" not in message


def test_sixteen_bit_images_are_augmented_like_others(imagenette: Path) -> None:
    file = imagenette / ImageDataModule("imagenette", imagenette).split("train").records[0].path
    Image.fromarray(np.full((20, 20), 0x4040, dtype=np.uint16)).save(file.with_suffix(".png"))
    file.unlink()
    data = ImageDataModule("imagenette", imagenette, (16, 16), 30, augmentation={"auto_augment": None, "re_prob": 0.0})
    batch = next(iter(data.train_dataloader()))
    assert batch.image.max() <= 1 + 1e-5
    assert any(path.endswith(".png") for path in batch.path)
