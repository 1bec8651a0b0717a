"""Targets for a fuzzer: each module has `check(data)`, which raises where a promise is broken, and `SEEDS`."""
