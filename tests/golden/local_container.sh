#!/bin/bash -l
# sak3f9a2-1-0: one slot on this machine; its number is the first argument.

# Ignored here for the same reason as on a cluster: the worker listens to it itself.
trap '' USR1
started=$(date +%s)
export LC_ALL=C.UTF-8
cache=/data/project/runs/first/cache
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"

cd -- /data/project || exit 78
# These do what the container's options may not: hide the job's variables and processes.
unset {APPTAINER,SINGULARITY}_{CLEANENV,COMPAT,CONTAINALL,PID,UNSHARE_PID}

exec apptainer exec --bind /data/project --bind /data/project/runs/first --bind /data/slides:/data/slides:ro --nv 'images/it'"'"'s mine.sif' python -P -m slidearray work /data/project/runs/first 1 "${1:?is the slot}" \
  --project /data/project --walltime 14400 --started "$started"
