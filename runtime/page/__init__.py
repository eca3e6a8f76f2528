"""The HTML report of a run: one file that opens from disk, without a network."""
