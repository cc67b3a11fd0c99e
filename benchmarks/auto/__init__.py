"""The default method measured: floors, ceilings, gains, hostile data, sizes: `python -m benchmarks.auto`."""
