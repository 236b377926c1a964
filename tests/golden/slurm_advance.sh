#!/bin/bash -l
#SBATCH --job-name=svk3f9a2-1
#SBATCH --partition=small
#SBATCH --account=pathology
#SBATCH --qos=high
#SBATCH --reservation=course
#SBATCH --constraint=fast
#SBATCH --mail-user=me@example.org
#SBATCH --mail-type=END,FAIL
#SBATCH --comment=merge
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=8192M
#SBATCH --time=00:30:00
#SBATCH --output="/data/it's a 100%% project/runs/first/attempts/0001/logs/advance.log"
#SBATCH --open-mode=append
#SBATCH --requeue

export LC_ALL=C.UTF-8
cache='/data/it'"'"'s a 100% project/runs/first/cache'
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"

cd -- '/data/it'"'"'s a 100% project' || exit 78
# What fails here has failed in every task too, and that is what this job is to tell.
module load apptainer || echo 'this setup line failed' >&2

exec /opt/python/bin/python -P -m slidearray advance '/data/it'"'"'s a 100% project/runs/first' 1 --project '/data/it'"'"'s a 100% project'
