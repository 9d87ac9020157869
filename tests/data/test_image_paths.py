"""Files that paths, folders and patterns name."""

from pathlib import Path

import pytest

from mrcert_pl.data.image_paths import find_images, listed_images
from mrcert_pl.errors import DataError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten files; what is in them is not read."""
    monkeypatch.chdir(tmp_path)
    names = ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "sub/c.tif", "sub/deep/d.webp", ".cache/e.jpg", "f [1].jpg")
    for name in names:
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", name).touch()
    Path("empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["photos"], ["a.PNG", "b.jpg", "f [1].jpg", "sub/c.tif", "sub/deep/d.webp"]),
        (["photos/*.jpg"], ["b.jpg", "f [1].jpg"]),
        (["photos/**/*.tif", "photos/**/*.webp"], ["sub/c.tif", "sub/deep/d.webp"]),
        (["photos/*"], ["a.PNG", "b.jpg", "f [1].jpg", "notes.txt"]),
        (["photos/f [1].jpg"], ["f [1].jpg"]),
        (["photos/sub", "photos/b.jpg", "photos/sub/c.tif"], ["sub/c.tif", "sub/deep/d.webp", "b.jpg"]),
        (["photos/notes.txt", "photos/none.jpg"], ["notes.txt", "none.jpg"]),
    ],
)
def test_sources(sources: list[str], expected: list[str]) -> None:
    assert find_images(sources).files == [Path("photos") / name for name in expected]


def test_files_that_are_no_images_are_reported() -> None:
    assert find_images(["photos", "photos/b.jpg"]).skipped == [Path("photos/notes.txt")]


def test_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert find_images(["~/photos/b.jpg"]).files == [folder / "photos" / "b.jpg"]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["empty"], r"no image in empty or below it"),
        (["photos/*.gif"], r"no file matches photos/\*\.gif; patterns are relative to /"),
        ([], "there are no images; name files, folders or patterns"),
    ],
)
def test_sources_without_images(sources: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_images(sources)


def test_every_line_of_a_list_has_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    lines = [
        "photos/f [1].jpg\n",
        "photos/none [2].jpg\r\n",
        "\n",
        "empty",
        "photos/sub",
        "photos/f [1].jpg",
        "~/b.jpg",
    ]
    assert listed_images(lines).files == [
        *map(Path, ("photos/f [1].jpg", "photos/none [2].jpg", "empty", "photos/sub/c.tif", "photos/sub/deep/d.webp")),
        Path("photos/f [1].jpg"),
        folder / "b.jpg",
    ]
    with pytest.raises(DataError, match="the list of images is empty; give one path per line"):
        listed_images(["\n"])


def test_a_broken_link_in_a_folder_is_not_forgotten() -> None:
    Path("photos/sub/link.png").symlink_to("nowhere.png")
    assert find_images(["photos/sub"]).files[-1] == Path("photos/sub/link.png")


def test_a_folder_of_other_files_says_so() -> None:
    Path("empty/a.txt").touch()
    with pytest.raises(DataError, match=r"no image in empty or below it; a\.txt does not have the suffix of one"):
        find_images(["empty"])
