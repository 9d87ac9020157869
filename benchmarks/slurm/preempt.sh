#!/bin/sh
# Train digits with trainer=slurm on two tasks through the submitit launcher, undisturbed and pre-empted in two ways,
# evaluate, and compare the weights. Needs the cluster of cluster.sh, SLURM_CONF and pip install 'mrcert_pl[slurm]':
#   sh benchmarks/slurm/preempt.sh FOLDER
set -eu
mkdir -p "$1" && cd "$1"
export OMP_NUM_THREADS=1
PYTHON=${PYTHON:-python}
common="model.backbone_args={embed_dim:16,depth:2,num_heads:2} model.split=1 patch=32 dataset.limit=64
    trainer=slurm trainer.accelerator=cpu trainer.devices=2
    hydra/launcher=submitit_slurm hydra.launcher.nodes=1 hydra.launcher.tasks_per_node=2
    hydra.launcher.cpus_per_task=1 hydra.launcher.timeout_min=60"

train() { # name; the others are the settings
    $PYTHON -m mrcert_pl.cli.train -m $common paths.output_dir="$1" paths.checkpoint_dir="$1/checkpoints" \
        trainer.max_epochs=30 recipe.batch_size=8 callbacks.mutant_predictions.images=2 > "$1.log" 2>&1
}

preempted() { # name, command that stops the job
    train "$1" &
    until ls -d "$1"/train/*/*/slurm_*/checkpoints/last.ckpt > /dev/null 2>&1; do sleep 0.3; done
    job=$(ls -d "$1"/train/*/*/slurm_* | sed 's/.*slurm_\([0-9]*\).*/\1/')
    sleep 1
    $2 "$job"
    until squeue -h -j "$job" -t pending -o %i | grep -q .; do sleep 1; done
    # SLURM starts a requeued job after two minutes at the earliest.
    until scontrol update jobid="$job" StartTime=now; do sleep 1; done
    wait
}

train whole
preempted signalled "scancel --signal=USR2"
preempted requeued "scontrol requeue"
$PYTHON -m mrcert_pl.cli.eval -m $common paths.checkpoint_dir=whole/checkpoints > eval.log 2>&1
$PYTHON - <<'END'
import json
from pathlib import Path

import torch

first = {}
for name in ("whole", "signalled", "requeued"):
    (file,) = Path(name).glob("train/*/*/slurm_*/checkpoints/last.ckpt")
    content = torch.load(file, weights_only=True)
    first = first or content["state_dict"]
    equal = all(torch.equal(first[key], value) for key, value in content["state_dict"].items())
    starts = len(list(file.parents[1].glob("csv*")))
    print(f"{name}: {content['epoch'] + 1} epochs, {content['global_step']} steps, {starts} starts, equal: {equal}")
(file,) = Path().glob("outputs/eval/*/*/slurm_*/results.json")
result = json.loads(file.read_text())
print("evaluated:", result["n"], {name: entry["count"] for name, entry in result["accuracy"].items()})
END
