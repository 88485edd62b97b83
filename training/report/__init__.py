"""What a run shows: progress lines, TensorBoard, plots."""
