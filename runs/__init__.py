"""The run folder: one training, its files, its state and the process that trains (standard library and psutil only)."""
