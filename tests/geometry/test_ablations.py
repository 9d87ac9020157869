from itertools import product

import pytest
import torch
from torch import Tensor

import mrcert_pl.geometry
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec

KINDS = ["column", "row", "both", "block"]
# image, width, stride: strides that divide the side and that don't, bands as wide as the image, more rows than columns.
SMALL = [((5, 7), 2, 1), ((6, 6), 3, 2), ((7, 5), 1, 3), ((4, 4), 4, 1), ((5, 7), 4, 2)]
PATCHES = [1, 2, (3, 1), (1, 4), [(1, 3), (3, 1)]]


def shown_pixels(image_px: tuple[int, int], width: int, stride: int, kind: str) -> list[set[tuple[int, int]]]:
    """The pixels that each vote shows, one by one."""
    height, breadth = image_px

    def band(offset: int, side: int) -> set[int]:
        return {(offset + i) % side for i in range(width)}

    rows = [{(y, x) for y in band(o, height) for x in range(breadth)} for o in range(0, height, stride)]
    columns = [{(y, x) for y in range(height) for x in band(o, breadth)} for o in range(0, breadth, stride)]
    blocks = [row & column for row in rows for column in columns]
    return {"row": rows, "column": columns, "both": rows + columns, "block": blocks}[kind]


def touched_votes(ablations: Ablations, shapes: list[tuple[int, int]]) -> set[frozenset[int]]:
    """The votes that each placement of each shape touches, pixel by pixel."""
    pixels = shown_pixels(ablations.image_px, ablations.width, ablations.stride, ablations.kind)
    sets = set()
    for h, w in shapes:
        for top, left in product(range(ablations.image_px[0] - h + 1), range(ablations.image_px[1] - w + 1)):
            patch = set(product(range(top, top + h), range(left, left + w)))
            sets.add(frozenset(vote for vote, shown in enumerate(pixels) if shown & patch))
    return sets


def as_sets(rows: Tensor) -> list[frozenset[int]]:
    return [frozenset(row.nonzero()[:, 0].tolist()) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("image_px", "width", "stride"), SMALL)
def test_votes_show_what_they_should(image_px: tuple[int, int], width: int, stride: int, kind: str) -> None:
    ablations = Ablations(image_px, width, stride, kind)  # type: ignore[arg-type]
    assert ablations.windows == sum(image_px)
    assert not ablations.hidden[0].any()
    rows, columns = ablations.hidden[1:].split(image_px, dim=1)
    visible = ~rows[:, :, None] & ~columns[:, None]
    assert [{(y, x) for y, x in v.nonzero().tolist()} for v in visible] == shown_pixels(image_px, width, stride, kind)
    assert len(ablations) == ablations.votes + 1 == len(visible) + 1


@pytest.mark.parametrize("patch", PATCHES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("image_px", "width", "stride"), SMALL)
def test_touched_votes_are_those_that_show_a_pixel_of_the_patch(
    image_px: tuple[int, int], width: int, stride: int, kind: str, patch: object
) -> None:
    ablations = Ablations(image_px, width, stride, kind)  # type: ignore[arg-type]
    spec = PatchSpec(patch)  # type: ignore[arg-type]
    patched = PatchedAblations(ablations, spec)
    found = as_sets(patched.touched)
    expected = touched_votes(ablations, list(spec.shapes_px(image_px)))
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert patched.delta == max(map(len, expected))
    assert torch.equal(patched.hidden, ablations.hidden)


@pytest.mark.parametrize(("patch", "delta"), [(16, 34), (32, 50)])
def test_the_sizes_of_the_paper(patch: int, delta: int) -> None:
    """19 + 16 - 1 and 19 + 32 - 1 of 224 votes; every placement, by its pixel columns."""
    ablations = Ablations()
    patched = PatchedAblations(ablations, PatchSpec(patch))
    assert (ablations.votes, patched.delta) == (224, delta)
    assert patched.summary() == {"ablations": "column", "width": 19, "stride": 1, "votes": 224, "delta": delta}
    bands = [{(offset + i) % 224 for i in range(19)} for offset in range(224)]
    expected = {
        frozenset(vote for vote, band in enumerate(bands) if band & {*range(left, left + patch)})
        for left in range(224 - patch + 1)
    }
    assert set(as_sets(patched.touched)) == expected
    # Patches in the corner touch votes from the other side, by the wrap-around.
    assert frozenset([*range(patch), *range(224 - 18, 224)]) in expected


@pytest.mark.parametrize(("stride", "delta"), [(2, 17), (7, 5), (8, 5), (16, 3), (10, 4)])
def test_fewer_votes(stride: int, delta: int) -> None:
    """ceil(34 / stride) where the stride divides 224; 10 doesn't."""
    patched = PatchedAblations(Ablations(stride=stride), PatchSpec(16))
    assert patched.delta == delta == -(-34 // stride)


def test_a_stride_that_does_not_divide_the_side_can_add_a_vote() -> None:
    """Offsets 0, 2, 4 of 5 px: the last and the first are neighbours, and a patch of 1 px touches both."""
    patched = PatchedAblations(Ablations((5, 5), width=2, stride=2), PatchSpec(1))
    assert patched.delta == 2 > -(-2 // 2)


def test_the_other_kinds_at_real_size() -> None:
    deltas = {kind: PatchedAblations(Ablations(stride=4, kind=kind), PatchSpec(16)).delta for kind in KINDS}  # type: ignore[arg-type]
    assert deltas == {"column": 9, "row": 9, "both": 18, "block": 81}


def test_too_many_placements_to_list_are_refused_but_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcert_pl.geometry.ablations._MOST_ENTRIES", 1000)
    patched = PatchedAblations(Ablations((8, 8), width=2, kind="block"), PatchSpec(3))
    assert patched.delta == 4 * 4
    with pytest.raises(ConfigurationError, match="too many placements and votes to list"):
        _ = patched.touched


def test_which_mutants_they_are_does_not_depend_on_the_patch() -> None:
    ablations = Ablations()
    identities = [PatchedAblations(ablations, PatchSpec(patch)).identity() for patch in (16, 32)]
    assert identities[0] == identities[1] != Ablations(stride=2).identity()
    assert Ablations(width=20).identity() != identities[0] != Ablations(kind="row").identity()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "diagonal"}, "unknown kind of ablation 'diagonal'; choose one of: block, both, column, row"),
        ({"width": 0}, "width of ablations must be from 1 to 224 px, not 0"),
        ({"width": 225}, "width of ablations must be from 1 to 224 px, not 225"),
        ({"stride": 0}, "stride of ablations must be from 1 to 224 px"),
        ({"image_px": (64, 224), "kind": "both", "width": 65}, "from 1 to 64 px"),
    ],
)
def test_bad_settings(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Ablations(**arguments)


def test_the_former_name_warns_and_no_other_name_is_invented() -> None:
    with pytest.warns(DeprecationWarning, match="use Ablations"):
        assert mrcert_pl.geometry.ColumnAblations is Ablations
    with pytest.raises(AttributeError, match="no attribute 'RowAblations'"):
        mrcert_pl.geometry.RowAblations  # noqa: B018
