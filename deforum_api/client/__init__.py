"""The Python client of the HTTP API. It needs only the standard library; with httpx, it keeps connections open.

from deforum_api.client import Client

deforum = Client("http://127.0.0.1:7860")
(job_id,) = deforum.submit({"prompts": {"0": "a lake at dawn"}, "max_frames": 24})["job_ids"]
for job in deforum.watch(job_id):
    print(job["phase"], job["frame"], "of", job["max_frames"])
deforum.download(job_id, "lake.mp4")
"""

from deforum_api.client.errors import ClientError, JobEnded, RefusedByServer, Unreachable
from deforum_api.client.jobs import Client

__all__ = ["Client", "ClientError", "JobEnded", "RefusedByServer", "Unreachable"]
