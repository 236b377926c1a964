#!/bin/bash -l
#SBATCH --job-name=sak3f9a2-1-0
#SBATCH --array=0-11%4
#SBATCH --partition=cpu
#SBATCH --account=pathology
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32768M
#SBATCH --time=04:00:00
#SBATCH --output="/data/it's a 100%% project/runs/first/attempts/0001/logs/00/%a.log"
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --mail-type=NONE

# The warning signal would end this shell during the set-up; the worker listens to it itself.
trap '' USR1
started=$(date +%s)
export LC_ALL=C.UTF-8
cache='/data/it'"'"'s a 100% project/runs/first/cache'
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"

cd -- '/data/it'"'"'s a 100% project' || exit 78
module purge || exit 78
module load python/3.11 || exit 78

slot=$((${SLURM_ARRAY_TASK_ID:?is set by SLURM} + 0))
exec /opt/python/bin/python -P -m slidearray work '/data/it'"'"'s a 100% project/runs/first' 1 "$slot" \
  --project '/data/it'"'"'s a 100% project' --walltime 14400 --started "$started"
