"""Time and memory of parts of the library, each beside a reference: `python -m benchmarks.speed`."""
