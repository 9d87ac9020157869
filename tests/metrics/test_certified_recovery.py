import json
import pickle
import sys
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from test_certified_detection import counted_one_by_one as detected_one_by_one
from test_certified_detection import results as detection_results
from torch.utils.data import DataLoader

from mrcert_pl.defenders import Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.metrics import CertifiedDetectionAccuracy, CertifiedRecoveryAccuracy

CLASSES = 3


def random_results(n, seed=0):
    """Verdicts, true labels and base labels of ``n`` images; few classes, so that all combinations occur."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (3, n), generator=generator)
    certified = torch.rand(n, generator=generator) < 0.6
    round_trip = torch.rand(n, generator=generator) < 0.5
    verdicts = Verdicts(labels[0], certified, round_trip, case=torch.ones(n).long(), witness=torch.zeros(n).long())
    return verdicts, labels[1], labels[2]


def part(results, indices):
    verdicts, target, base = results
    given = {name: value[indices] for name, value in vars(verdicts).items() if value is not None}
    return Verdicts(**given), target[indices], base[indices]


def counted_one_by_one(results):
    counts = {"base": 0, "clean": 0, "certified": 0, "round_trip": 0, "n": 0}
    verdicts, target, base = results
    for i in range(len(target)):
        counts["n"] += 1
        counts["base"] += int(base[i]) == int(target[i])
        if int(verdicts.label[i]) == int(target[i]):
            counts["clean"] += 1
            counts["certified"] += bool(verdicts.certified[i])
            counts["round_trip"] += bool(verdicts.round_trip[i])
    return counts


def shares(counts):
    return {name: count / counts["n"] for name, count in counts.items() if name != "n"} | {"n": counts["n"]}


def assert_shares(computed, counts):
    """As torchmetrics' own tester: every value of a dictionary is a tensor."""
    assert all(isinstance(value, torch.Tensor) and value.shape == () for value in computed.values())
    assert {name: float(value) for name, value in computed.items()} == pytest.approx(shares(counts), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 57])
def test_counts_in_any_batches(n, seed):
    results = random_results(n, seed)
    generator = torch.Generator().manual_seed(seed)
    metric = CertifiedRecoveryAccuracy()
    # Some of these batches are empty.
    cuts = torch.randint(n + 1, (4,), generator=generator).sort().values
    for indices in torch.randperm(n, generator=generator).tensor_split(cuts):
        verdicts, target, base = part(results, indices)
        metric.update(verdicts, target, base=base)
    expected = counted_one_by_one(results)
    assert metric.counts() == expected
    assert_shares(metric.compute(), expected)


@pytest.mark.parametrize(
    ("label", "certified", "round_trip", "expected"),
    [
        (0, False, False, {"clean": 1, "certified": 0, "round_trip": 0}),
        (0, True, False, {"clean": 1, "certified": 1, "round_trip": 0}),
        (0, False, True, {"clean": 1, "certified": 0, "round_trip": 1}),
        (0, True, True, {"clean": 1, "certified": 1, "round_trip": 1}),
        (1, True, True, {"clean": 0, "certified": 0, "round_trip": 0}),
    ],
)
def test_a_certificate_counts_if_the_label_is_right(label, certified, round_trip, expected):
    verdicts = Verdicts(*(torch.tensor([value]) for value in (label, certified, round_trip, 1, 0)))
    metric = CertifiedRecoveryAccuracy()
    metric.update(verdicts, torch.tensor([0]))
    assert metric.counts() == expected | {"n": 1}


def test_verdicts_without_certificates_are_refused():
    verdicts = Verdicts(torch.tensor([0]), None, None, case=torch.tensor([1]), witness=torch.tensor([0]))
    with pytest.raises(ConfigurationError, match=r'call defender.with_output\("round_trip"\)'):
        CertifiedRecoveryAccuracy().update(verdicts, torch.tensor([0]))


def test_without_base_labels_there_is_no_base_accuracy():
    results = random_results(20)
    metric = CertifiedRecoveryAccuracy()
    metric.update(*results[:2])
    expected = counted_one_by_one(results)
    del expected["base"]
    assert metric.counts() == expected
    assert "base" not in metric.compute()


@pytest.mark.parametrize("seed", range(3))
def test_on_attacked_images_those_that_the_base_model_misreads_are_counted(seed):
    verdicts, target, base = results = random_results(57, seed)
    metric = CertifiedRecoveryAccuracy(attacked=True)
    for indices in torch.arange(57).split(10):
        metric.update(*part(results, indices))
    misclassified = [i for i in range(57) if int(base[i]) != int(target[i])]
    recovered = [i for i in misclassified if int(verdicts.label[i]) == int(target[i]) and bool(verdicts.certified[i])]
    assert metric.counts() == counted_one_by_one(results) | {"adversarial_certified": len(recovered)}
    assert metric.compute()["adversarial_certified"] == pytest.approx(len(recovered) / len(misclassified))


def test_without_a_misread_image_there_is_no_adversarial_share():
    verdicts, target, _ = random_results(20)
    metric = CertifiedRecoveryAccuracy(attacked=True)
    metric.update(verdicts, target, base=target)
    assert metric.counts()["adversarial_certified"] == 0
    assert metric.compute()["adversarial_certified"] != metric.compute()["adversarial_certified"]


def test_base_accuracy_of_zero_is_reported():
    verdicts, target, _ = random_results(5)
    metric = CertifiedRecoveryAccuracy()
    metric.update(verdicts, target, base=target + 1)
    assert metric.compute()["base"] == 0.0


@pytest.mark.parametrize("with_base_first", [True, False])
def test_base_labels_for_a_part_of_the_images_are_refused(with_base_first):
    verdicts, target, base = random_results(20)
    metric = CertifiedRecoveryAccuracy()
    for with_base in (with_base_first, not with_base_first):
        metric.update(verdicts, target, base=base if with_base else None)
    for ask in (metric.counts, metric.compute):
        with pytest.raises(ConfigurationError, match="base labels were given for 20 of 40 images; give all or none"):
            ask()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_shares_of_nothing_are_nan():
    metric = CertifiedRecoveryAccuracy()
    assert metric.counts() == {"clean": 0, "certified": 0, "round_trip": 0, "n": 0}
    computed = metric.compute()
    assert computed.pop("n") == 0
    assert computed.keys() == {"clean", "certified", "round_trip"}
    assert all(share != share for share in computed.values())


def test_reset_forgets_everything():
    first, second = random_results(20, seed=0), random_results(9, seed=1)
    metric = CertifiedRecoveryAccuracy()
    metric.update(*first[:2], base=first[2])
    metric.compute()
    metric.reset()
    metric.update(*second[:2])
    expected = counted_one_by_one(second)
    del expected["base"]
    assert metric.counts() == expected
    metric.reset()
    metric.update(*second[:2], base=second[2])
    assert metric.counts() == counted_one_by_one(second)


def test_two_metrics_share_no_counts():
    one, other = CertifiedRecoveryAccuracy(), CertifiedRecoveryAccuracy()
    one.update(*random_results(20)[:2])
    assert other.counts()["n"] == 0


def test_calling_the_metric_gives_the_shares_of_the_batch_and_counts_it():
    results = random_results(21)
    metric = CertifiedRecoveryAccuracy()
    for indices in torch.arange(21).split(10):
        batch = part(results, indices)
        assert_shares(metric(*batch), counted_one_by_one(batch))
    assert metric.counts() == counted_one_by_one(results)


def test_states_are_integers_and_exact_beyond_single_precision():
    """2**24 + 1 is the first whole number that a float32 can't hold."""
    metric = CertifiedRecoveryAccuracy()
    verdicts, target, base = random_results(1)
    metric.counted += 2**24
    metric.with_base += 2**24
    for _ in range(3):
        metric.update(verdicts, target, base=base)
    states = {name: getattr(metric, name) for name in metric.metric_state}
    assert all(state.dtype == torch.int64 for state in states.values())
    assert metric.counts()["n"] == 2**24 + 3
    assert all(type(count) is int for count in metric.counts().values())


def test_updates_in_inference_mode_count():
    """Lightning evaluates in it, and asks for the result outside."""
    results = random_results(20)
    metric = CertifiedRecoveryAccuracy()
    with torch.inference_mode():
        metric.update(*part(results, torch.arange(20)))
    metric.update(*results)
    assert metric.counts() == {name: 2 * count for name, count in counted_one_by_one(results).items()}


@pytest.mark.parametrize("shape", [(19,), (21,), (20, 1), ()], ids=str)
def test_labels_of_another_shape_are_refused(shape):
    verdicts, _, _ = random_results(20)
    with pytest.raises(ConfigurationError, match=r"target must be \[20\] like the verdicts"):
        CertifiedRecoveryAccuracy().update(verdicts, torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize("shape", [(20, 1), (1,)], ids=str)
def test_base_labels_of_another_shape_are_refused(shape):
    verdicts, target, _ = random_results(20)
    with pytest.raises(ConfigurationError, match=r"base must be \[20\] like the verdicts"):
        CertifiedRecoveryAccuracy().update(verdicts, target, base=torch.zeros(shape, dtype=torch.long))


# Numbers of images for two processes: uneven parts, one image for one of them, and more than one batch.
SIZES = (3, 7, 101)
BATCH = 4
WORLD = 2


def evaluate_a_part(rank, folder):
    """One of two processes, each with the images that the data module would give it."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD, timeout=timedelta(seconds=60)
    )
    report = []
    for n in SIZES:
        results = random_results(n, seed=n)
        metric = CertifiedRecoveryAccuracy()
        sampler = UnrepeatedDistributedSampler(range(n), WORLD, rank, shuffle=False)
        seen = []
        for indices in DataLoader(range(n), batch_size=BATCH, sampler=sampler):
            seen += indices.tolist()
            verdicts, target, base = part(results, indices)
            metric.update(verdicts, target, base=base)
        # Twice, since the first result mustn't be counted into the second.
        report.append(
            {
                "seen": seen,
                "shares": {name: float(value) for name, value in metric.compute().items()},
                "counts": [metric.counts(), metric.counts()],
            }
        )

    # As torchmetrics' tester: the batches of both processes alternate, and the metric is called on each.
    for every_step in (False, True):
        results = random_results(24, seed=24)
        metric = pickle.loads(pickle.dumps(CertifiedRecoveryAccuracy(attacked=True, dist_sync_on_step=every_step)))
        steps = []
        for batch in range(rank, 6, WORLD):
            values = metric(*part(results, torch.arange(4 * batch, 4 * batch + 4)))
            assert all(isinstance(value, torch.Tensor) for value in values.values())
            steps.append({name: float(value) for name, value in values.items()})
        total = {name: float(value) for name, value in metric.compute().items()}
        counts = metric.counts()
        metric.reset()
        assert metric.counts()["n"] == 0
        report.append({"steps": steps, "total": total, "counts": counts})

    for every_step in (False, True):
        verdicts, target = detection_results()
        metric = CertifiedDetectionAccuracy(attacked=True, dist_sync_on_step=every_step)
        steps = []
        for batch in range(rank, DETECTION_STEPS * WORLD, WORLD):
            rows = torch.arange(batch, len(target), DETECTION_STEPS * WORLD)
            values = metric(detection_part(verdicts, rows), target[rows])
            steps.append({name: float(value) for name, value in values.items()})
        total = {name: float(value) for name, value in metric.compute().items()}
        report.append({"steps": steps, "total": total, "counts": metric.counts()})

    # Base labels on one of the processes only.
    metric = CertifiedRecoveryAccuracy()
    verdicts, target, base = random_results(5)
    metric.update(verdicts, target, base=base if rank else None)
    try:
        metric.compute()
    except ConfigurationError as error:
        report.append(str(error))
    with open(f"{folder}/{rank}.json", "w") as file:
        json.dump(report, file)
    dist.destroy_process_group()


DETECTION_STEPS = 3


def detection_part(verdicts, rows):
    return Verdicts(**{name: value[rows] for name, value in vars(verdicts).items() if value is not None})


def detection_alone(rows):
    """What one process gives for some images."""
    verdicts, target = detection_results()
    metric = CertifiedDetectionAccuracy(attacked=True)
    metric.update(detection_part(verdicts, rows), target[rows])
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of two processes reports."""
    folder = tmp_path_factory.mktemp("processes")
    # A forked process need not import everything again.
    start = "spawn" if sys.platform == "win32" else "fork"
    mp.start_processes(evaluate_a_part, (str(folder),), nprocs=WORLD, daemon=True, start_method=start)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(WORLD)]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", range(len(SIZES)), ids=[f"{n} images" for n in SIZES])
def test_two_processes_give_the_result_of_one(processes, case):
    n = SIZES[case]
    reports = [report[case] for report in processes]
    expected = counted_one_by_one(random_results(n, seed=n))
    assert sorted(image for report in reports for image in report["seen"]) == list(range(n))
    for report in reports:
        assert report["shares"] == pytest.approx(shares(expected), rel=1e-6)
        assert report["counts"] == [expected, expected]


@pytest.mark.parametrize("every_step", [False, True])
def test_two_processes_that_call_the_metric(processes, every_step):
    """With ``dist_sync_on_step`` a call gives the accuracies of the batches of both processes, else of its own."""
    results = random_results(24, seed=24)
    reports = [report[len(SIZES) + every_step] for report in processes]
    for rank, report in enumerate(reports):
        assert report["counts"] == attacked_counts(results)
        assert report["total"] == pytest.approx(attacked_shares(results), rel=1e-6, nan_ok=True)
        for step, values in enumerate(report["steps"]):
            first = WORLD * step if every_step else WORLD * step + rank
            images = torch.arange(4 * first, 4 * (first + (WORLD if every_step else 1)))
            assert values == pytest.approx(attacked_shares(part(results, images)), rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("every_step", [False, True])
def test_two_processes_detect_what_one_does(processes, every_step):
    n = len(detection_results()[1])
    for rank, report in enumerate(processes):
        found = report[len(SIZES) + 2 + every_step]
        assert found["counts"] == detected_one_by_one()
        assert found["total"] == pytest.approx(detection_alone(torch.arange(n)), rel=1e-6)
        for step, values in enumerate(found["steps"]):
            both = range(WORLD * step, WORLD * step + WORLD)
            batches = both if every_step else [WORLD * step + rank]
            rows = torch.cat([torch.arange(batch, n, DETECTION_STEPS * WORLD) for batch in batches])
            assert values == pytest.approx(detection_alone(rows), rel=1e-6, nan_ok=True)


def attacked_counts(results):
    verdicts, target, base = results
    recovered = (verdicts.label == target) & verdicts.certified & (base != target)
    return counted_one_by_one(results) | {"adversarial_certified": int(recovered.sum())}


def attacked_shares(results):
    counts = attacked_counts(results)
    misclassified = counts["n"] - counts["base"]
    adversarial = counts.pop("adversarial_certified") / misclassified if misclassified else float("nan")
    return shares(counts) | {"adversarial_certified": adversarial}


def test_a_pickled_metric_keeps_its_counts():
    results = random_results(20)
    metric = CertifiedRecoveryAccuracy()
    metric.update(*results)
    assert pickle.loads(pickle.dumps(metric)).counts() == counted_one_by_one(results)


def test_base_labels_on_one_of_two_processes_are_refused_on_both(processes):
    message = "base labels were given for 5 of 10 images; give all or none"
    assert [report[-1] for report in processes] == [message] * WORLD
