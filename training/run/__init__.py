"""Runs: training, checkpoints, export and evaluation of a task."""
