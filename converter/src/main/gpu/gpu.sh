#!/usr/bin/env bash
# Checks the GPU of this machine, and converts the sample on it. Needs the driver and nothing else:
# smelt-gpu.tgz beside this script holds Java, the program, the kernels, the sample and a text.
# Usage: gpu.sh [--small]. Exit codes: 0 all is right, 1 something is not, 4 there is no GPU.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/smelt-gpu.XXXXXX")
trap 'rm -rf "$work"' EXIT
tar -xzf "$here/smelt-gpu.tgz" -C "$work"

java() {
  "$work/runtime/bin/java" @"$work/work.args" -Djava.library.path="$work/natives" "$@"
}
check() {
  java -Xmx8g -cp "$work/check.jar:$work/smelt.jar:$work/lib/*" smelt.calibrate.cuda.GpuCheck "$@"
}
smelt() {
  java -jar "$work/smelt.jar" "$@"
}
digests() {
  (cd "$1" && find . -type f ! -name '.*' | LC_ALL=C sort | xargs sha256sum)
}

# With every function of the driver looked up at once, one that is missing has a name.
status=0
LD_BIND_NOW=1 check --probe || status=$?
if [ "$status" -eq 4 ]; then
  # That may be a function that nothing here uses.
  status=0
  check --probe >/dev/null || status=$?
fi
if [ "$status" -ne 0 ]; then
  exit "$status"
fi

check "$@" || status=$?

sample=$work/samples/tiny-deepseek-v3-fp8
for recipe in int8-channel int8-block bf16 ct-fp8-channel; do
  for device in cpu cuda; do
    rm -rf "$work/$device"
    smelt convert "$sample" --recipe "$recipe" --device "$device" -o "$work/$device" --quiet >/dev/null
  done
  if [ "$(digests "$work/cpu")" = "$(digests "$work/cuda")" ]; then
    echo "sample to $recipe: the same $(digests "$work/cuda" | wc -l) files from cpu and cuda, $(digests "$work/cuda" | sha256sum | cut -c 1-16)"
  else
    echo "WRONG: sample to $recipe differs between cpu and cuda"
    status=1
  fi
done
for device in cpu cuda; do
  rm -rf "$work/$device"
  start=$(date +%s%N)
  smelt calibrate "$sample" --corpus "$work/samples/calibration.jsonl" --tokens 16384 --hessians pool \
    --device "$device" -o "$work/$device" --quiet >/dev/null || {
    echo "WRONG: calibrate --device $device ended with $?"
    exit 1
  }
  echo "calibrate on 16,384 tokens, $device: $((($(date +%s%N) - start) / 1000000)) ms"
done
if [ "$(digests "$work/cpu")" = "$(digests "$work/cuda")" ]; then
  echo "calibrate: the same $(digests "$work/cuda" | wc -l) files from cpu and cuda"
else
  echo "WRONG: the calibration differs between cpu and cuda"
  status=1
fi
exit "$status"
