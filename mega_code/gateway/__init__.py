"""The embedded gateway: the enhancement API on loopback, with its own queue, worker and artifacts."""
