#!/bin/bash -l
#PBS -N sak3f9a2-1-1
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
exec >> /data/project/runs/first/attempts/0001/logs/01/0.log 2>&1 || exit 78
started=$(date +%s)
export LC_ALL=C.UTF-8
cache=/data/project/runs/first/cache
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"

cd -- /data/project || exit 78

slot=1
exec /opt/python/bin/python -P -m slidearray work /data/project/runs/first 1 "$slot" \
  --project /data/project --walltime 14400 --started "$started"
