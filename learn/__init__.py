"""What teaches: chapters, notebooks, and a reference of every part in NumPy with its backward pass."""
