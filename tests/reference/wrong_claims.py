"""Defenders that promise a little more than holds. A test of guarantees that passes them tests nothing."""

from dataclasses import replace

from torch import Tensor

from mrcert_pl.defenders import MRCert, PatchCURE, Undefended, Verdicts
from mrcert_pl.mutants.table import PredictionTable


def stable(table: PredictionTable, left: int, right: int) -> Tensor:
    """``[image, S]``: no ``right`` further masks change the label of the union ``S`` of at most ``left``."""
    join = table.mutants.join(left, right)
    return (table.labels[:, join] == table.labels[:, join[:, :1]]).all(2)


def lemmas_one_mask_short(table: PredictionTable) -> Verdicts:
    return replace(MRCert().decide(table), certified=stable(table, 1, 2).any(1))


def lemma_1_one_mask_short(table: PredictionTable) -> Verdicts:
    verdicts = MRCert().decide(table)
    return replace(verdicts, certified=verdicts.certified | stable(table, 0, 2)[:, 0])


def lemma_for_case_3(table: PredictionTable) -> Verdicts:
    verdicts = MRCert().decide(table)
    return replace(verdicts, certified=verdicts.certified | stable(table, 2, 2).any(1))


def label_without_recovery(table: PredictionTable) -> Verdicts:
    return replace(MRCert().decide(table), label=Undefended().decide(table).label)


def round_trip_one_mask_short(table: PredictionTable) -> Verdicts:
    return replace(MRCert().decide(table), round_trip=stable(table, 0, 3)[:, 0])


def round_trip_from_certificate(table: PredictionTable) -> Verdicts:
    verdicts = MRCert().decide(table)
    return replace(verdicts, round_trip=verdicts.certified)


def round_trip_for_one_patch(table: PredictionTable) -> Verdicts:
    verdicts = MRCert(patches=1).decide(table)
    return replace(verdicts, round_trip=verdicts.certified)


def round_trip_of_double_masking(table: PredictionTable) -> Verdicts:
    verdicts = PatchCURE().decide(table)
    return replace(verdicts, round_trip=verdicts.certified)


def single_masking(table: PredictionTable) -> Verdicts:
    return replace(PatchCURE().decide(table), certified=stable(table, 0, 1)[:, 0])
