"""What one does with a model: train, evaluate, attack, audit, plan, predict. Plain functions from settings to results."""
