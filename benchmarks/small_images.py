"""Compress a folder of images as WebP, so that ImageNette travels in less than 50 MB:

    python -m benchmarks.small_images data/imagenette small/imagenette
    python -m benchmarks.small_images data/imagenette small/imagenette --px 160 --quality 20

Folders and names stay (``train/<wnid>/<name>.webp``), and with them the ids of the images. Accuracies on the copy are
those of another data set: report them with its size and quality.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageOps

from mrcert_pl.data.images import is_image_file


def compress(source: Path, target: Path, px: int, quality: int) -> Iterator[int]:
    """Write a smaller copy of each image below a folder; yield the bytes of each.

    Args:
        source: Folder of images.
        target: Folder of the copies; images that are there stay.
        px: Shorter side of a copy in pixels; smaller images keep their size.
        quality: Quality of WebP, 0 to 100.
    """
    for file in sorted(path for path in source.rglob("*") if is_image_file(path)):
        copy = target / file.relative_to(source).with_suffix(".webp")
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(file) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
            scale = min(1.0, px / min(image.size))
            width, height = (max(1, round(side * scale)) for side in image.size)
            partial = copy.with_suffix(".partial")
            image.resize((width, height), Image.Resampling.BICUBIC).save(partial, "WEBP", quality=quality, method=6)
            partial.rename(copy)
        yield copy.stat().st_size


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="folder of images")
    parser.add_argument("target", type=Path, help="folder of the copies")
    parser.add_argument("--px", type=int, default=192, help="shorter side in px (%(default)s)")
    parser.add_argument("--quality", type=int, default=30, help="quality of WebP, 0 to 100 (%(default)s)")
    options = parser.parse_args(arguments)
    sizes = list(compress(options.source, options.target, options.px, options.quality))
    if not sizes:
        sys.exit(f"error: there is no image in {options.source}")
    print(f"{len(sizes)} images, {sum(sizes) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
