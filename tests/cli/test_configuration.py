"""The configuration is the same in a checkout, from an editable install and from a wheel."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mrcert_pl.cli.configuration import CONF_DIR, most_specific, requeued, run_name

ROOT = Path(__file__).parents[2]
COMMAND = "from mrcert_pl.cli.main import main; main()"
SETTINGS = ["--cfg", "job", "--resolve", "model=masked_vit", "patch=16x48", "recipe=authors"]


def composed(*command: str, folder: Path, path: Path | None) -> str:
    """What a new process composes in a folder, with the package on a path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *command, *SETTINGS], cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert "epochs:" in done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def in_checkout() -> str:
    """What ``python train.py`` composes at the top of a checkout."""
    return composed("train.py", folder=ROOT, path=ROOT / "src")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a wheel, unpacked."""
    if importlib.util.find_spec("build") is None:
        pytest.skip("build is not installed: pip install build")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    zipfile.ZipFile(file).extractall(folder / "unpacked")
    return folder / "unpacked"


def test_a_checkout_uses_conf_at_its_top(in_checkout: str) -> None:
    assert CONF_DIR == ROOT / "conf"
    assert "patch: 16x48" in in_checkout


def test_an_editable_install_composes_the_same(in_checkout: str, tmp_path: Path) -> None:
    """Its ``.pth`` file adds ``src`` to the path, whatever the working directory."""
    assert composed("-c", COMMAND, "train", folder=tmp_path, path=ROOT / "src") == in_checkout


def test_a_wheel_composes_the_same(in_checkout: str, wheel: Path, tmp_path: Path) -> None:
    assert composed("-c", COMMAND, "train", folder=tmp_path, path=wheel) == in_checkout
    carried = {file.relative_to(wheel / "mrcert_pl/conf") for file in (wheel / "mrcert_pl/conf").rglob("*.yaml")}
    assert carried == {file.relative_to(ROOT / "conf") for file in (ROOT / "conf").rglob("*.yaml")}


@pytest.mark.parametrize(
    ("model", "dataset", "option"),
    [
        ("column_vit", "imagenet", "default_column_vit_imagenet"),
        ("column_vit", "imagenette", "default_column_vit"),
        ("vit_srf", "digits", "default_digits"),
        ("vit_srf", "imagenet", "none"),
    ],
)
def test_the_most_specific_option_of_a_group(model: str, dataset: str, option: str) -> None:
    assert most_specific("recipe/for", "default", model, dataset) == option


def test_the_tasks_of_a_slurm_job_share_the_folder_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    assert run_name("10-31-04") == "10-31-04"
    assert not requeued()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    # Several commands of one step with one task have folders of their own.
    assert run_name("10-31-04") == "10-31-04"
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert run_name("10-31-04") == run_name("10-31-05") == "slurm_7_0"
    assert requeued()
