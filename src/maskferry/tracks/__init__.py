"""The result of a run: RLE masks, scores, states, the frame table; in memory or in a file, and the run's journal."""
