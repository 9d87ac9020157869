"""Train, evaluate, attack, audit, plan, predict: plain functions from settings to results."""
