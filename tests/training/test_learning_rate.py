import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.training import effective_lr


@pytest.mark.parametrize(
    ("scaling", "batch", "expected"),
    [("sqrt", 512, 7.07e-5), ("sqrt", 64, 2.5e-5), ("linear", 512, 1e-4), ("linear", 256, 5e-5), ("none", 512, 5e-5)],
)
def test_scaling(scaling: str, batch: int, expected: float) -> None:
    """The square root is what PatchCURE's runs had: 8 x 64 images gave 7.07e-5, one GPU of 64 gave 2.5e-5."""
    lr, how = effective_lr(5e-5, scaling, batch)  # type: ignore[arg-type]
    assert lr == pytest.approx(expected, rel=1e-3)
    assert f"{lr:.3g}" in how
    assert f"{batch} images per step" in how


def test_an_unknown_scaling_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="linear, none, sqrt"):
        effective_lr(1e-3, "cubic", 64)  # type: ignore[arg-type]
