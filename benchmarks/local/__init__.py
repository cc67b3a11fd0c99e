"""The local benchmark, every method on real frozen features: `python -m benchmarks.local`."""
