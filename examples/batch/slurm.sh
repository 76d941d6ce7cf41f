#!/bin/bash
# A batch on several nodes of a Slurm cluster: sbatch slurm.sh
#
# OUT lies on the file system that all nodes share. Two minutes before the time is up, the driver is asked to stop: what
# the workers have come to is saved, and the same script goes on.
#SBATCH --job-name=maskferry
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=B:INT@120
set -euo pipefail

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | cut -d ' ' -f 1):6379

srun --nodes=1 --ntasks=1 -w "$head" ray start --head --port=6379 --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 20
if [ "$SLURM_NNODES" -gt 1 ]; then
    srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" \
        ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

maskferry batch videos.jsonl -o out --engine flow --ray "$address" --cpus 2 &
driver=$!
trap 'kill -INT "$driver"' INT
wait "$driver" || wait "$driver"
