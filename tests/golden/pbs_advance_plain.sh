#!/bin/bash -l
#PBS -N svk3f9a2-2
#PBS -l select=1:ncpus=1:mem=4096mb
#PBS -l walltime=01:00:00
#PBS -m n
#PBS -S /bin/bash
#PBS -W umask=0027
#PBS -r y
#PBS -j oe
#PBS -o localhost:/dev/null

# PBS would deliver what is printed only when the job ends, if at all.
exec >> /data/project/runs/first/attempts/0002/logs/advance.log 2>&1 || exit 78
export LC_ALL=C.UTF-8
cache=/data/project/runs/first/cache
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"

cd -- /data/project || exit 78
# What fails here has failed in every task too, and that is what this job is to tell.

exec /opt/python/bin/python -P -m slidearray advance /data/project/runs/first 2 --project /data/project
