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

export RAY_AUTH_MODE=token # whoever reaches the head of a Ray cluster without one may run anything
ray get-auth-token --generate > /dev/null # in the home folder, which the nodes share
export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK" # since Slurm 22.05 srun no longer takes it from the job
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
ip=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | cut -d ' ' -f 1)
port=$((20000 + SLURM_JOB_ID % 10000)) # another job may have its head on the same node
address=$ip:$port

srun --nodes=1 --ntasks=1 -w "$head" \
    ray start --head --node-ip-address="$ip" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
for _ in $(seq 60); do # until the head answers
    (: > "/dev/tcp/$ip/$port") 2> /dev/null && break
    sleep 1
done
if [ "$SLURM_NNODES" -gt 1 ]; then
    srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" \
        ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

maskferry batch videos.jsonl -o out --engine flow --ray "$address" --cpus 2 &
driver=$!
trap 'kill -INT "$driver"' INT
wait "$driver" || wait "$driver"
