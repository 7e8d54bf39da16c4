#!/bin/sh
# Measures the plan beside this file, compares it with the baseline of this machine, and keeps every run.
# Exit status: 0 nothing became slower, 1 something did, 5 the runs do not tell; anything else is an error.
# The first nights become the baseline; later: specbench baseline set RUN...
set -u
here=$(cd "$(dirname "$0")" && pwd)
results=${SPECBENCH_RESULTS:-$HOME/specbench-results} # must outlive the job
nights=${SPECBENCH_NIGHTS:-7}
out=${SPECBENCH_OUT:-$results/latest}

mkdir -p "$results" "$out"
specbench run "$here/specbench-nightly.toml" --yes --name nightly --results "$results"
case $? in 0 | 1) ;; *) exit 3 ;; esac # 1: some trials failed or were skipped; the comparison says what that hides
new=$(ls -d "$results"/*-nightly | tail -n 1)
cp "$new/report.html" "$out/"
if [ "$(ls -d "$results"/*-nightly | wc -l)" -le "$nights" ]; then
  specbench baseline set "$results"/*-nightly --results "$results"
  exit $?
fi
specbench runs trend --results "$results" --png "$out/trend.png"
specbench compare baseline "$new" --results "$results" --format junit --output "$out/junit.xml" \
  --fail-on 'decode_speed<-5%' --fail-on 'acceptance<-0.02' --fail-on lossless
