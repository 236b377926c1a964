#!/bin/bash -l
#PBS -N svk3f9a2-1
#PBS -q small
#PBS -P ab12
#PBS -A pathology
#PBS -W group_list=lab
#PBS -l ncpus=2
#PBS -l mem=8192mb
#PBS -l arch=zen3
#PBS -l walltime=00:30:00
#PBS -m ae
#PBS -M me@example.org
#PBS -l filesystems=home:eagle
#PBS -S /bin/bash
#PBS -W umask=0027
#PBS -r y
#PBS -j oe
#PBS -o localhost:/dev/null

# PBS would deliver what is printed only when the job ends, if at all.
exec >> '/data/it'"'"'s a 100% project/runs/first/attempts/0001/logs/advance.log' 2>&1 || exit 78
export LC_ALL=C.UTF-8
cache='/data/it'"'"'s a 100% project/runs/first/cache'
export HF_HOME="$cache/huggingface" TORCH_HOME="$cache/torch"
export XDG_CACHE_HOME="$cache/xdg" MPLCONFIGDIR="$cache/matplotlib"
export OMP_PLACES='it'"'"'s "a" \ #1'

cd -- '/data/it'"'"'s a 100% project' || exit 78
# What fails here has failed in every task too, and that is what this job is to tell.
module load apptainer || echo 'this setup line failed' >&2

exec /opt/python/bin/python -P -m slidearray advance '/data/it'"'"'s a 100% project/runs/first' 1 --project '/data/it'"'"'s a 100% project'
