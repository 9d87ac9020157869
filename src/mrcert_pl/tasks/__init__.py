"""Plain functions from frozen settings to typed results: train, evaluate, attack, audit, plan, predict."""
