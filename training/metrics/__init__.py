"""Predictions compared with what is right: accuracy, F1, calibration, segmentation."""
