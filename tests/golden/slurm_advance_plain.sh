#!/bin/bash -l
#SBATCH --job-name=svk3f9a2-2
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4096M
#SBATCH --time=01:00:00
#SBATCH --output=/data/project/runs/first/attempts/0002/logs/advance.log
#SBATCH --open-mode=append
#SBATCH --requeue

export LC_ALL=C.UTF-8
cache=/data/project/runs/first/cache
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"

cd -- /data/project || exit 78
# What fails here has failed in every task too, and that is what this job is to tell.

exec /opt/python/bin/python -P -m slidearray advance /data/project/runs/first 2 --project /data/project
