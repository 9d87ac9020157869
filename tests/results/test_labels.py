"""Results of one defender are told apart by what distinguishes them, and by nothing else."""

from pathlib import Path

from result_files import CONFIG, evaluation, row

from mrcert_pl.results.labels import base_labels, labels, named


def test_a_defender_alone_is_called_by_its_name(tmp_path: Path) -> None:
    results = [
        evaluation(tmp_path / name, [row(0)], defender=defender, patch=patch).result
        for name, defender, patch in (("a", "mrcert", 16), ("b", "patchcure", 16), ("c", "mrcert", 32))
    ]
    assert labels(results) == ["mrcert", "patchcure", "mrcert"]


def test_settings_that_differ_are_named(tmp_path: Path) -> None:
    margin = {**CONFIG, "defender": {"certificate": "paper", "margin": 1e-5}}
    results = [
        evaluation(tmp_path / str(i), [row(0)], **facts).result for i, facts in enumerate(({}, {"config": margin}))
    ]
    assert labels(results) == ["mrcert, margin 0.0", "mrcert, margin 1e-05"]
    seeds = [evaluation(tmp_path / f"s{seed}", [row(0)], seed=seed).result for seed in (0, 1)]
    assert labels(seeds) == ["mrcert, seed 0", "mrcert, seed 1"]


def test_refinement_is_named_and_its_settings_only_where_masks_are_refined(tmp_path: Path) -> None:
    plain = {**CONFIG, "stride": 4, "refine": None, "refine_threshold": 0.5, "refine_limit": 400}
    refined = {**plain, "stride": 2, "refine": [4]}
    surer = {**refined, "refine_threshold": 0.7}
    results = [evaluation(tmp_path / str(i), [row(0)], config=c).result for i, c in enumerate((plain, refined, surer))]
    assert labels(results[:2]) == ["mrcert, stride 4, no refine", "mrcert, stride 2, refine 4"]
    assert labels(results[1:]) == ["mrcert, refine_threshold 0.5", "mrcert, refine_threshold 0.7"]
    deeper = evaluation(tmp_path / "deeper", [row(0)], config={**refined, "refine": [4, 3]}).result
    assert labels([results[1], deeper]) == ["mrcert, refine 4", "mrcert, refine 4,3"]


def test_repeated_runs_are_counted(tmp_path: Path) -> None:
    results = [evaluation(tmp_path / str(i), [row(0)]).result for i in range(2)]
    assert labels(results) == ["mrcert, run 1", "mrcert, run 2"]


def test_names_of_runs_are_unique_and_short(tmp_path: Path) -> None:
    facts = [{}, {"patch": 32}, {"patch": "16x48"}]
    runs = [evaluation(tmp_path / str(i), [row(0)], **fact) for i, fact in enumerate(facts)]
    assert list(named(runs)) == ["mrcert, 16 px", "mrcert, 32 px", "mrcert, 16x48"]
    runs.append(evaluation(tmp_path / "other", [row(0)], dataset="cifar10"))
    assert next(iter(named(runs))) == "mrcert, 16 px, digits"
    assert named(runs)["mrcert, 16 px, cifar10"] is runs[-1]
    more = [evaluation(tmp_path / "fewer", [row(0), row(1)]), *runs]
    assert len(named(more)) == 5


def test_weights_are_named_where_nothing_else_tells(tmp_path: Path) -> None:
    seeds = [evaluation(tmp_path / str(i), [row(0)], seed=i, weights_sha256=f"{i}" * 64).result for i in (0, 1)]
    assert labels(seeds) == ["mrcert, seed 0", "mrcert, seed 1"]
    again = evaluation(tmp_path / "again", [row(0)], seed=0, weights_sha256="2" * 64).result
    assert labels([seeds[0], again]) == ["mrcert, weights 000000", "mrcert, weights 222222"]


def test_bases_are_told_apart_by_their_settings_and_defenders_by_theirs(tmp_path: Path) -> None:
    facts = [
        ("mrcert", {"window": [14, 1], "split": 2}, 1, "full"),
        ("mrcert", {"window": [14, 1], "split": 2}, 1, "lazy"),
        ("patchcure", {"window": [2, 2], "split": 2}, 3, "full"),
    ]
    results = []
    for place, (defender, model, stride, evaluate) in enumerate(facts):
        config = {**CONFIG, "model": {"name": "vit_srf", **model}, "stride": stride, "evaluate": evaluate}
        weights = str(model["split"]) + str(stride) * 63
        run = evaluation(tmp_path / str(place), [row(0)], config=config, defender=defender, weights_sha256=weights)
        results.append(run.result)
    bases = base_labels(results)
    assert list(zip(bases, labels(results, bases), strict=True)) == [
        ("vit_srf, window 14x1, stride 1", "mrcert, evaluate full"),
        ("vit_srf, window 14x1, stride 1", "mrcert, evaluate lazy"),
        ("vit_srf, window 2x2, stride 3", "patchcure"),
    ]
