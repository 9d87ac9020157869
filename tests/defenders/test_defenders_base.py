"""What all defenders share: requested outputs, refusal of incomplete tables, and helpers."""

import math

import pytest
import torch
from reference.defender_tables import lattice_of, planted_table

from mrcert_pl.defenders import MRCert, OutputLevel, PatchCURE
from mrcert_pl.defenders.base import check_margin, first
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.mutants.table import NOT_EVALUATED

TABLE = planted_table(lattice_of("6 columns, masks of 2", 4), images=3)


class TestRequestedOutputs:
    def test_a_copy_has_them(self) -> None:
        defender = MRCert(margin=0.5)
        copy = defender.with_output("label")
        assert (copy.output, defender.output) == (OutputLevel.LABEL, OutputLevel.TABLE)
        assert (copy.patches, copy.certificate, copy.margin) == (2, "paper", 0.5)

    def test_an_unknown_level_lists_the_known(self) -> None:
        message = "unknown output level 'all'; choose one of: certificate, label, map"
        with pytest.raises(ConfigurationError, match=message):
            MRCert().with_output("all")

    def test_former_name(self) -> None:
        with pytest.warns(DeprecationWarning, match="use with_output"):
            assert MRCert().asked_for("map").output is OutputLevel.MAP

    @pytest.mark.parametrize("output", list(OutputLevel))
    def test_a_decision_has_the_fields_of_its_level(self, output: OutputLevel) -> None:
        verdicts, complete = PatchCURE().with_output(output).decide(TABLE), PatchCURE().decide_complete(TABLE)
        included = {field for level in output.up_to() for field in level.fields}
        for field, expected in vars(complete).items():
            value = getattr(verdicts, field)
            if field in included and expected is not None:
                assert torch.equal(value, expected), field
            else:
                assert value is None, field


def test_an_incomplete_table_is_refused() -> None:
    table = TABLE.rows(torch.tensor([0]))
    table.labels[0, 0] = NOT_EVALUATED
    with pytest.raises(ConfigurationError, match=r"lacks 1 labels that MRCert needs; .* evaluate=full"):
        MRCert().with_output("label").decide(table)


@pytest.mark.parametrize("margin", [-0.1, -math.inf, math.nan])
def test_a_margin_is_a_number_from_zero(margin: float) -> None:
    with pytest.raises(ConfigurationError, match=f"the margin of a certificate can't be negative: {margin}"):
        check_margin(margin)


@pytest.mark.parametrize("margin", [0.0, 0.5, math.inf])
def test_margins_that_are_allowed(margin: float) -> None:
    check_margin(margin)
    assert MRCert(margin=margin).margin == margin


def test_the_first_true_entry_of_each_row() -> None:
    found = torch.rand(200, 5, generator=torch.Generator().manual_seed(0)) < 0.3
    expected = [row.index(True) if True in row else -1 for row in found.tolist()]
    assert first(found).tolist() == expected
    assert set(expected) == set(range(-1, 5))
    assert first(torch.zeros(0, 5, dtype=torch.bool)).shape == (0,)
