"""Reports of runs: progress lines, TensorBoard, plots, ladders, recipes."""
