"""The commands. Hydra lives here and nowhere else."""
