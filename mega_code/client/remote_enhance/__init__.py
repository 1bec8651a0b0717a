"""The remote flow on the user's machine: package, upload, poll, download, verify, install, undo."""
