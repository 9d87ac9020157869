"""What every base model asks of its images, and of what is to be hidden of them."""

from torch import Tensor

from mrcert_pl.errors import ConfigurationError


def normalised(images: Tensor, image_px: tuple[int, int], mean: Tensor, std: Tensor) -> Tensor:
    """Images ``[image, 3, height, width]`` in [0, 1], less the mean, by the standard deviation of the channels.

    Raises:
        ConfigurationError: for another shape than ``image_px`` asks for, or numbers that are not floating-point.
    """
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, *image_px) or not images.is_floating_point():
        raise ConfigurationError(
            f"images must be floats in [0, 1] of the shape [image, 3, {image_px[0]}, {image_px[1]}], "
            f"not {images.dtype} {list(images.shape)}"
        )
    return (images - mean) / std


def check_hidden(hidden: Tensor, images: int, windows: int) -> None:
    """Ask for one row per image, or mutant, and one entry per window.

    Raises:
        ConfigurationError: for another shape.
    """
    if hidden.shape != (images, windows):
        raise ConfigurationError(f"hidden must be {[images, windows]}, not {list(hidden.shape)}")


def check_some_visible(hidden: Tensor) -> None:
    """Ask for a visible window in each row of ``hidden`` ``[image, window]``.

    Raises:
        ConfigurationError: if all of one are hidden.
    """
    if hidden.all(1).any():
        raise ConfigurationError("all windows of an image are hidden: there is nothing to classify")
