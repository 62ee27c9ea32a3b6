"""Messages about workers that Ray runs: why some are missing, refused or lost."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# The flags
NOT_INSTALLED = Message(
    "ray_not_installed",
    "--deforum-ray needs the package ray ({expected}), which is not installed here. Install it with: pip install "
    "'deforum[ray]', or: pip install 'ray{expected}'",
)
WRONG_VERSION = Message(
    "ray_wrong_version",
    "--deforum-ray needs the package ray ({expected}); found {found}. Install it with: pip install 'ray{expected}'",
)
ADDRESS_INVALID = Message(
    "ray_address_invalid",
    "--deforum-ray must be local, auto or the address HOST:PORT of a cluster's head node; found {found!r}.",
)

# The cluster
STARTING = Message(
    "ray_starting", "Ray is starting, for {seconds:.0f} s so far (attempt {attempt}); jobs wait."
)
JOINING = Message(
    "ray_joining",
    "The server is joining the Ray cluster {address}, for {seconds:.0f} s so far (attempt {attempt}); jobs wait.",
)
NOT_STARTED = Message(
    "ray_not_started", "Ray did not start ({reason}); the next attempt follows in {delay:.0f} s."
)
NOT_JOINED = Message(
    "ray_not_joined",
    "This server cannot join a Ray cluster at {address} ({reason}); the next attempt follows in {delay:.0f} s.",
)
TOO_SLOW = Message("ray_too_slow", "no answer within {seconds:.0f} s")
PROGRAM_ENDED = Message("ray_program_ended", "its program ended with code {code}")
SILENT = Message(
    "ray_silent", "The Ray cluster has not answered for {seconds:.0f} s; its head node may be down."
)
RENDERS_HERE = Message("ray_renders_here", "Until then this process renders the jobs itself.")
NO_AUTHENTICATION = Message(
    "ray_no_authentication",
    "The Ray cluster at {address} runs without token authentication, so anyone who can reach its ports can run code on "
    "it. Start it with RAY_AUTH_MODE=token.",
)

# Workers
NO_NODE = Message(
    "ray_no_node", "No node of the Ray cluster has room for a worker; add a node with CPUs or GPUs."
)
NO_GPU = Message(
    "ray_no_gpu",
    "Workers with {share:g} GPU each were requested, but no node of the Ray cluster has a GPU; add a node, or omit "
    "--deforum-gpus-per-worker.",
)
TOO_FEW = Message(
    "ray_too_few",
    "{wanted} workers were requested, but the Ray cluster has room for {found}; add nodes, or lower --deforum-workers.",
)
WAITS_FOR_NODE = Message(
    "ray_waits_for_node",
    "A worker has been waiting for free resources on the node {node} for {seconds:.0f} s; another program of the "
    "cluster may hold them.",
)
VERSION_DIFFERS = Message(
    "ray_version_differs",
    "The worker on the node {node} is refused: it has {package} {found}, this server {expected}; install the same "
    "version there.",
)
NOT_SHARED = Message(
    "ray_not_shared",
    "The worker on the node {node} is refused: it does not see the output folder {root}, which --deforum-ray-files "
    "shared requires; mount it there at the same path.",
)
CHECKPOINT_MISSING = Message("ray_checkpoint_missing", "The worker on the node {node} is refused: {reason}")
NOT_BEGUN = Message(
    "ray_worker_not_begun",
    "The worker on the node {node} did not start ({reason}); another attempt follows in {delay:.0f} s.",
)
WORKER = Message("ray_lost_worker", "{worker} on {node}, process {pid} ({reason})")
NODE_GONE = Message("ray_node_gone", "its node has left the cluster")
ENDED = Message("ray_worker_ended", "its process ended: {kind}")
ABANDONED = Message("ray_worker_abandoned", "it was ended, as its job did not respond")
CLUSTER_GONE = Message("ray_cluster_gone", "the connection to the Ray cluster was lost")
RUN_NAME_TAKEN = Message(
    "ray_run_name_taken",
    "The run {name} already exists in the output folder; the next attempt gets another name.",
)

# Parts of one video
HAS_A_JOB = Message("ray_worker_has_a_job", "The worker is rendering a job of its own.")
