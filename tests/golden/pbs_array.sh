#!/bin/bash -l
#PBS -N sak3f9a2-1-0
#PBS -J 0-11%4
#PBS -q cpu
#PBS -A pathology
#PBS -l select=1:ncpus=8:mem=32768mb
#PBS -l walltime=04:00:00
#PBS -S /bin/bash
#PBS -W umask=0027
#PBS -r y
#PBS -m n
#PBS -j oe
#PBS -o localhost:/dev/null

# This signal would end this shell during the set-up; the worker listens to it itself.
trap '' USR1
# PBS would deliver what is printed only when the job ends, if at all.
task=${PBS_ARRAY_INDEX:?is set by PBS}
exec >> '/data/it'"'"'s a 100% project/runs/first/attempts/0001/logs/00'/"$task".log 2>&1 || exit 78
started=$(date +%s)
export LC_ALL=C.UTF-8
cache='/data/it'"'"'s a 100% project/runs/first/cache'
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"

cd -- '/data/it'"'"'s a 100% project' || exit 78
module purge || exit 78
module load python/3.11 || exit 78

slot=$((task + 0))
exec /opt/python/bin/python -P -m slidearray work '/data/it'"'"'s a 100% project/runs/first' 1 "$slot" \
  --project '/data/it'"'"'s a 100% project' --walltime 14400 --started "$started"
