"""What the commands call: train, score and translate, from a config or files to files."""
