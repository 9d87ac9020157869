"""The dashboard of a project, and the sweeps that fill it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from offline_run import only_run
from result_files import evaluation, row
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.cli.instantiate import made

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style")

Command = Callable[..., None]

SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))


def write(folder: str, defender: str, patch: int, certified: int) -> None:
    rows = [row(i, prediction=int(i < 9), certified=i < certified) for i in range(10)]
    evaluation(Path("outputs", folder), rows, patch=patch, defender=defender)


def test_offline_it_writes_what_it_would_save(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, result in {"a": ("mrcert", 16, 7), "b": ("mrcert", 32, 5), "c": ("patchcure", 16, 8)}.items():
        write(folder, *result)
    command("dashboard", "--project", "signs")
    output = capsys.readouterr().out
    assert "Results of 3 evaluations" in output
    assert "Nothing was uploaded" in output
    assert "in the project signs of your account" in output
    for name in ("workspace", "report"):
        assert json.loads(Path("outputs/dashboard", f"{name}.json").read_text())["displayName"] == "Certified defenses"

    run = only_run(Path("outputs/dashboard"))
    table = run.table("overview/results")
    results = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["defender"], row["patch"], row["certified"]) for row in results] == [
        ("mrcert", "16", 0.7),
        ("mrcert", "32", 0.5),
        ("patchcure", "16", 0.8),
    ]
    lines = run.table("overview/by_patch_table")["data"]
    assert [16, "digits vit_srf patchcure", 0.8] in lines
    assert len(run.table("overview/by_defender_table")["data"]) == 3


def test_without_results_there_are_still_definitions(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("dashboard", "--to", "here")
    assert "Results of 0 evaluations" in capsys.readouterr().out
    assert {file.name for file in Path("here").iterdir()} == {"workspace.json", "report.json"}
    with pytest.raises(SystemExit, match="1"):
        command("dashboard", "nowhere")
    assert "there is no nowhere" in capsys.readouterr().err


def test_online_needs_an_account(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(SystemExit, match="1"):
        command("dashboard", "--online")
    assert "--online needs an account of W&B: call wandb login once" in capsys.readouterr().err


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_the_commands_of_a_sweep_are_ones_that_work(file: Path, which: int) -> None:
    sweep = yaml.safe_load(file.read_text())
    chosen = {name: {"value": value(setting, which)} for name, setting in sweep["parameters"].items()}
    assert sweep["command"][:3] == ["${env}", "${interpreter}", "${program}"]
    assert sweep["command"][-1] == "${args_no_hyphens}"
    arguments = [*sweep["command"][3:-1], *create_sweep_command_args({"args": chosen})["args_no_hyphens"]]
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        cfg = compose(Path(sweep["program"]).stem, overrides=arguments)
    assert not cfg.logger.wandb.offline
    assert cfg.logger.wandb.project == sweep["project"]
    assert made(cfg.defender).name
    best = cfg.callbacks.checkpoint.monitor.replace("val/", "best/") if "callbacks" in cfg else "test/certified"
    assert sweep["metric"] == {"name": best, "goal": "maximize"}


def value(setting: dict, which: int) -> object:
    if "values" in setting:
        return setting["values"][which]
    return setting[("min", "max")[which]]


def test_there_are_sweeps() -> None:
    assert {file.stem for file in SWEEPS} == {"recipe", "defenders"}
