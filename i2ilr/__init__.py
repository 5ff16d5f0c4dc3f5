"""The command line of i2ilr_mm, and what only reads scores; no PyTorch is imported."""
