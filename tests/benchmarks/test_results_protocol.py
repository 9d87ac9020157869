"""The protocol of docs/results.md: its jobs, its tables, and what is run again."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from result_files import priced_result, result_of, row

from benchmarks import results
from benchmarks.protocol import FULL, TINY, cells, jobs, needed
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.errors import ResultsError
from mrcert_pl.results import EvaluationResult

ROOT = Path(__file__).parents[2]
ONE = "digits/masked_vit/*/at32/mrcert"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that are run; each leaves an empty file as its result."""
    ran: list[list[str]] = []

    def pretend() -> None:
        ran.append(sys.argv[1:])
        (folder,) = (Path(word.partition("=")[2]) for word in sys.argv if word.startswith("hydra.run.dir="))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("training.json" if sys.argv[1] == "train" else "results.json")).touch()

    monkeypatch.setattr(results.mrcert, "main", pretend)
    return ran


@pytest.fixture
def _no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "tables", lambda protocol, out: "")


def test_the_protocol_has_the_configurations_of_the_paper() -> None:
    found = {
        (cell.images.name, cell.base.name.partition("_p")[0], cell.patch, cell.defender)
        for cell in cells(FULL)
        if not cell.attacked
    }
    masking = ("patchcure_paper", "patchcure", "mrcert", "mrcert_sharp", "mrcert_cascade")
    rules = {"vit_srf": masking, "masked_vit": masking, "column_vit": ("vot", "vot_sharp")}
    assert found == {
        (data, base, patch, defender)
        for data in ("imagenette", "cifar10")
        for base, defenders in rules.items()
        for patch in (16, 32)
        for defender in defenders
    }
    models = {word for base in FULL.bases for word in base.overrides}
    assert {"model=vit_srf", "model=masked_vit", "model=column_vit"} < models


@pytest.mark.parametrize("protocol", [FULL, TINY])
def test_jobs_follow_those_that_they_need(protocol: Any) -> None:
    every = jobs(protocol, Path("out"))
    names = [job.name for job in every]
    assert len(set(names)) == len(names)
    for number, job in enumerate(every):
        assert set(job.needs) <= set(names[:number])
        assert (job.command == "train") == (not job.needs)
    evaluations = {name for cell in cells(protocol) for name in cell.jobs}
    assert evaluations == {job.name for job in every if job.command == "eval"}


def test_every_kind_of_job_composes() -> None:
    by_kind: dict[tuple[str, ...], Any] = {}
    for job in jobs(FULL, Path("out")):
        base = job.name.split("/")[1]
        by_kind.setdefault((job.command, base, str("attacked_" in job.name)), job)
    for job in by_kind.values():
        with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
            compose(job.command, overrides=list(job.overrides))
    assert len(by_kind) == 4 + 4 + 3 + 3


def test_chosen_jobs_come_with_what_they_need() -> None:
    every = jobs(TINY, Path("out"))
    folder = "digits/vit_srf_p16/seed0"
    assert [job.name for job in needed(every, [f"{folder}/at16/attacked_mrcert"])] == [
        f"{folder}/train",
        f"{folder}/at16/attack",
        f"{folder}/at16/attacked_mrcert",
    ]


def test_a_tiny_protocol_runs_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--tiny", "--out", str(tmp_path), "--only", ONE]
    results.main(arguments)
    result = EvaluationResult.read(tmp_path / "digits/masked_vit/seed0/at32/mrcert/results.json")
    assert (result.n, result.defender, result.seed) == (2, "mrcert", 0)
    assert result.command.startswith("mrcert eval dataset=digits model=masked_vit")
    page = (tmp_path / "tables.md").read_text()
    assert f"Not run: {len(cells(TINY)) - 1} of {len(cells(TINY))} rows" in page
    (line,) = [line for line in page.splitlines() if line.startswith("| 32 px | token grid | mrcert | 2 |")]
    assert "to" in line
    capsys.readouterr()
    results.main([*arguments, "--list"])
    assert capsys.readouterr().out.endswith("0 of 2 jobs are missing: 0.0 h on one CPU thread (estimated)\n")
    # A lost result is decided again, on the stored labels.
    (tmp_path / "digits/masked_vit/seed0/at32/mrcert/results.json").unlink()
    results.main(arguments)
    again = EvaluationResult.read(tmp_path / "digits/masked_vit/seed0/at32/mrcert/results.json")
    assert again.accuracy == result.accuracy
    # A training that was killed before its end continues in its folder.
    training = tmp_path / "digits/masked_vit/seed0/train/training.json"
    training.unlink()
    results.main(arguments)
    assert training.is_file()


@pytest.mark.usefixtures("_no_tables")
def test_only_what_is_missing_is_run(tmp_path: Path, commands: list[list[str]]) -> None:
    arguments = ["--tiny", "--out", str(tmp_path), "--only", ONE]
    results.main(arguments)
    assert [words[0] for words in commands] == ["train", "eval"]
    results.main(arguments)
    assert len(commands) == 2
    folder = tmp_path / "digits/masked_vit/seed0/train"
    (folder / "training.json").unlink()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/last.ckpt").touch()
    results.main(arguments)
    assert commands[-1][-1] == f"ckpt_path={folder}/checkpoints/last.ckpt"
    assert not any(word.startswith("ckpt_path") for words in commands[:2] for word in words)


@pytest.mark.usefixtures("_no_tables")
def test_places_and_seeds_reach_the_commands(tmp_path: Path, commands: list[list[str]]) -> None:
    places = ["--root", "images", "--weights", "deit.safetensors"]
    results.main(
        ["--out", str(tmp_path), "--only", "imagenette/masked_vit/*/at32/mrcert", "--seeds", "3", "5", *places]
    )
    trainings, evaluations = commands[::2], commands[1::2]
    for words in trainings:
        assert f"model.weights={Path.cwd() / 'deit.safetensors'}" in words
        assert "model.head_rows=[0,217,482,491,497,566,569,571,574,701]" in words
        assert not any(word.startswith("dataset.limit") for word in words), "a limit holds for training images too"
    for words in evaluations:
        assert "dataset.limit=500" in words
        assert not any(word.startswith("model.weights") for word in words)
    for words, seed in zip(commands, (3, 3, 5, 5), strict=True):
        assert f"seed={seed}" in words
        assert f"dataset.root={Path.cwd() / 'images/imagenette'}" in words


@pytest.mark.usefixtures("_no_tables")
def test_a_failure_does_not_stop_other_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def fail() -> None:
        ran.append(sys.argv[1])
        sys.exit("no images" if "model=vit_srf" in sys.argv else 1)

    monkeypatch.setattr(results.mrcert, "main", fail)
    with pytest.raises(SystemExit, match="jobs are not finished, the first is digits/vit_srf_p16/seed0/train"):
        results.main(["--tiny", "--out", str(tmp_path)])
    assert ran == ["train"] * 4


def test_a_signal_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def stopped() -> None:
        ran.append(sys.argv[1])
        sys.exit(143)

    monkeypatch.setattr(results.mrcert, "main", stopped)
    with pytest.raises(SystemExit) as ended:
        results.main(["--tiny", "--out", str(tmp_path)])
    assert (ended.value.code, ran) == (143, ["train"])


def test_costs_of_shared_mutants_count_once(tmp_path: Path) -> None:
    every = jobs(FULL, tmp_path)
    alone = results.listing(needed(every, ["cifar10/vit_srf_p16/seed0/at16/mrcert"]), tmp_path)
    names = [f"cifar10/vit_srf_p16/seed0/at16/{defender}" for defender in ("mrcert", "patchcure")]
    both = results.listing(needed(every, names), tmp_path)
    total = (47500 * 0.079 + 1000 * 8.2) / 3600
    assert alone.endswith(f"2 of 2 jobs are missing: {total:.1f} h on one CPU thread (estimated)")
    assert both.endswith(f"3 of 3 jobs are missing: {total:.1f} h on one CPU thread (estimated)")


def test_a_name_without_a_job_is_an_error() -> None:
    with pytest.raises(SystemExit, match="no job has a name like mnist"):
        results.main(["--list", "--only", "mnist/*"])


def test_figures_have_counts_and_intervals_or_deviations(tmp_path: Path) -> None:
    folder = tmp_path / "digits/masked_vit"
    priced_result(folder / "seed0/at32/mrcert", None, certified=8, model="masked_vit")
    text = results.tables(TINY, tmp_path)
    assert (
        "| 32 px | token grid | mrcert | 10 | 100.0 (10; 72 to 100) | 100.0 (10; 72 to 100) | 80.0 (8; 49 to 94)"
        in text
    )
    priced_result(folder / "seed1/at32/mrcert", None, certified=6, model="masked_vit", seed=1, weights_sha256="cd" * 32)
    two = results.tables(TINY.__class__(**{**vars(TINY), "seeds": (0, 1)}), tmp_path)
    assert "| 10 | 100.0 ± 0.0 | 100.0 ± 0.0 | 70.0 ± 14.1 | 40.0 ± 14.1 |" in two


def test_what_a_defender_does_not_certify_has_no_figure(tmp_path: Path) -> None:
    file = tmp_path / "digits/masked_vit/seed0/at32/patchcure/results.json"
    result_of([row(0, certified=True)], defender="patchcure", round_trip_note="not defined").write(file)
    assert (
        "| patchcure | 1 | 100.0 (1; 21 to 100) | 100.0 (1; 21 to 100) | 100.0 (1; 21 to 100) | - |"
        in results.tables(TINY, tmp_path)
    )


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    file = tmp_path / "digits/masked_vit/seed0/at32/mrcert/results.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(ResultsError, match=r"masked_vit/seed0/at32/mrcert/results\.json is damaged"):
        results.tables(TINY, tmp_path)


def test_tables_are_written_into_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{results.START}old\n{results.END}after\n")
    results.write_block(page, "new")
    assert page.read_text() == f"before\n{results.START}\nnew\n{results.END}after\n"
    page.write_text("no block")
    with pytest.raises(SystemExit, match="has no block of tables"):
        results.write_block(page, "new")


def test_the_page_has_a_block_for_the_tables() -> None:
    block = (ROOT / "docs/results.md").read_text().split(results.START)[1].split(results.END)[0]
    assert f"of {len(cells(FULL))} rows" in block, "python -m benchmarks.results --page docs/results.md"
