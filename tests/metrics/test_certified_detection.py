"""The accuracies of detection."""

import pytest
import torch

from mrcert_pl.defenders import ANY_LABEL, HiCert, MRCert, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.metrics import CertifiedDetectionAccuracy, CertifiedRecoveryAccuracy, accuracy_of

N = 60


def results() -> tuple[Verdicts, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    label, target = torch.randint(3, (2, N), generator=draw)
    alert, detects = torch.randint(-1, 2, (N,), generator=draw), torch.randint(-2, 3, (N,), generator=draw)
    no = torch.zeros(N, dtype=torch.bool)
    verdicts = Verdicts(label, no, no, case=torch.ones(N).long(), witness=no.long() - 1, alert=alert, detects=detects)
    return verdicts, target


def counted_one_by_one() -> dict[str, int]:
    verdicts, target = results()
    assert verdicts.alert is not None
    assert verdicts.detects is not None
    counts = dict.fromkeys(("base", "clean", "certified_detection", "certified_ratio", "alerts", "harmful_alerts"), 0)
    for i in range(N):
        correct = int(verdicts.label[i]) == int(target[i])
        certified = int(verdicts.detects[i]) in (int(target[i]), ANY_LABEL)
        alerts = int(verdicts.alert[i]) >= 0
        counts["base"] += correct
        counts["clean"] += correct
        counts["certified_detection"] += correct and certified
        counts["certified_ratio"] += certified
        counts["alerts"] += alerts
        counts["harmful_alerts"] += alerts and not correct
    return {**counts, "n": N}


@pytest.mark.parametrize("batch", [1, 7, N])
def test_counts_are_those_of_a_loop_for_every_batch_size(batch: int) -> None:
    metric = CertifiedDetectionAccuracy(attacked=True)
    verdicts, target = results()
    for start in range(0, N, batch):
        rows = slice(start, start + batch)
        part = {name: value[rows] for name, value in vars(verdicts).items() if value is not None}
        metric.update(Verdicts(**part), target[rows])
    counts = counted_one_by_one()
    assert metric.counts() == counts
    totals = {name: N - counts["base"] if name == "harmful_alerts" else N for name in counts}
    expected = {name: count / totals[name] for name, count in counts.items() if name != "n"} | {"n": float(N)}
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected)
    assert all(value.dtype == torch.float32 and value.ndim == 0 for value in metric.compute().values())


def test_states_are_sums_so_processes_add_up() -> None:
    """What torchmetrics does between processes: each state is summed."""
    metric = CertifiedDetectionAccuracy()
    assert set(metric._reductions.values()) == {torchmetrics_sum(metric)}
    assert "harmful_alerts" not in metric.counts()


def torchmetrics_sum(metric: CertifiedDetectionAccuracy) -> object:
    from torchmetrics.utilities.data import dim_zero_sum

    return dim_zero_sum


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_no_images_have_no_accuracy() -> None:
    assert all(value.isnan() for name, value in CertifiedDetectionAccuracy().compute().items() if name != "n")


def test_what_does_not_fit() -> None:
    verdicts, target = results()
    with pytest.raises(ConfigurationError, match="like the verdicts, not"):
        CertifiedDetectionAccuracy().update(verdicts, target[:5])
    without = {name: value for name, value in vars(verdicts).items() if name not in ("alert", "detects")}
    with pytest.raises(ConfigurationError, match=r"need a detector \(patchcensor, hicert, patchguardpp\)"):
        CertifiedDetectionAccuracy().update(Verdicts(**without), target)


def test_the_metric_of_a_defender() -> None:
    assert isinstance(accuracy_of(HiCert()), CertifiedDetectionAccuracy)
    assert isinstance(accuracy_of(MRCert()), CertifiedRecoveryAccuracy)
    assert accuracy_of(HiCert(), attacked=True).attacked
