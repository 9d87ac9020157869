import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, covering_lattice
from mrcert_pl.geometry.strides import nearest_that_works, works


@pytest.mark.parametrize("patch", ["16", "32", "8x40", "16x16,8x40"])
@pytest.mark.parametrize(("grid", "window_px"), [((7, 7), (16, 16)), ((1, 14), (112, 8)), ((5, 9), (24, 12))])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_what_works_is_what_has_a_lattice(grid, window_px, patch, order):
    for stride in range(1, max(grid) + 1):
        try:
            covering_lattice(grid, window_px, PatchSpec(patch), order, stride)
            possible = True
        except ConfigurationError:
            possible = False
        found = works(grid, window_px, PatchSpec(patch), order, stride)
        assert found == possible or (stride == 1 and possible and order == 4)


@pytest.mark.parametrize(
    ("window", "patch", "stride", "expected"),
    [
        ((1, 1), 32, 1, ((1, 1), 2)),
        ((1, 1), 32, 6, ((1, 1), 4)),
        ((14, 2), 32, 1, ((14, 1), 1)),
        ((14, 1), 32, 3, ((14, 1), 1)),
        ((1, 1), 112, 1, None),
    ],
)
def test_the_nearest_that_works(window, patch, stride, expected):
    assert nearest_that_works((14, 14), (16, 16), window, PatchSpec(patch), 4, stride) == expected


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("tokens", [(14, 4), (4, 14), (2, 6)])
def test_the_nearest_that_works_on_a_grid_with_unequal_sides(tokens: tuple[int, int], order: int) -> None:
    found = nearest_that_works(tokens, (16, 16), (1, 1), PatchSpec(16), order, 7)
    if found is None:
        assert (tokens, order) == ((2, 6), 4)
        return
    (height, width), stride = found
    assert works((tokens[0] // height, tokens[1] // width), (16 * height, 16 * width), PatchSpec(16), order, stride)


def test_an_order_of_any_size_is_answered_at_once() -> None:
    assert not works((7, 7), (16, 16), PatchSpec(16), 10**15, 1)


def test_the_limit_of_unions_is_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six masks have 1 + 6 + 15 unions of at most two."""
    assert len(covering_lattice((1, 8), (16, 16), PatchSpec("16x32"), 1, 1).masks) == 6
    for limit, possible in ((22, True), (21, False)):
        monkeypatch.setattr("mrcert_pl.geometry.strides.MAX_UNIONS", limit)
        assert works((1, 8), (16, 16), PatchSpec("16x32"), 2, 1) == possible
