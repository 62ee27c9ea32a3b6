#!/bin/bash
# Deforum in one Slurm allocation: sbatch slurm.sh. All nodes see the environment ~/deforum and the output folder.
#SBATCH --job-name=deforum
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
set -euo pipefail

. ~/deforum/bin/activate
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")

nodes=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
head=$(hostname --ip-address | cut -d " " -f 1)
ray start --head --node-ip-address="$head" --port=6379 --include-dashboard=false

for node in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 --nodelist="$node" ray start --address="$head:6379" --block &
done

# SQLite needs a disk of this node; the database is copied back at the end, so that the next allocation continues.
outputs=${DEFORUM_OUTPUTS:-$PWD/outputs}
database=$(mktemp -d)
mkdir -p "$outputs"
cp "$outputs"/deforum_jobs.sqlite3* "$database" 2>/dev/null || true
deforum serve --deforum-api --deforum-ray auto --deforum-outdir "$outputs" --deforum-database "$database" \
    ${1:+--deforum-run-now "$1" --deforum-terminate-after-run-now} &
server=$!
trap 'kill -TERM $server' TERM   # parks the jobs
wait $server || wait $server || true
cp "$database"/deforum_jobs.sqlite3* "$outputs"
ray stop
