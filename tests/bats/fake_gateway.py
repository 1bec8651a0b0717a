"""Usage: fake_gateway.py READY-FILE [FLAG...]: tests/support's gateway as a process, for shell tests.

Writes job id, URL and key to READY-FILE, one a line. Flags: `running`, the job never ends; `soon`, it ends at the
third look; `duplicate`, an upload is a conflict; `source`, there is nothing to install; `cancels`, it takes a cancel;
`full`, the queue is full.
"""

from __future__ import annotations

import os
import sys
import threading

from support.fake_gateway import Answer, FakeGateway, error

RUNNING = {"status": "running", "phase_public": "iterating", "current_iteration": 1, "total_iterations": 5}


def main(ready: str, flags: list[str]) -> None:
    with FakeGateway() as gateway:
        if "running" in flags:
            gateway.statuses = [RUNNING]
        if "soon" in flags:
            gateway.statuses = [RUNNING, RUNNING, {"status": "succeeded"}]
        if "source" in flags:
            gateway.result = {"artifact_kind": "source", "artifact": None, "reason": "no better", "roi": []}
        if "duplicate" in flags:
            known = error(409, "duplicate_content_hash", "known", existing_job_id=gateway.job_id)
            gateway.on("POST", "/uploads", known)
        if "cancels" in flags:
            gateway.on("POST", "/cancel$", Answer(202, {"job_id": gateway.job_id, "status": "running"}))
        if "full" in flags:
            gateway.on("POST", "/uploads", Answer(429, {"error": {"code": "queue_full", "message": "full"}}))
        with open(f"{ready}.new", "w", encoding="utf-8") as stream:
            stream.write(f"{gateway.job_id}\n{gateway.url}\n{gateway.key}\n")
        os.rename(f"{ready}.new", ready)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
