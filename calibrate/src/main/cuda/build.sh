#!/usr/bin/env bash
# Compiles the kernels into a folder: one file for each .cu, and kernels.sha256 with the digests of
# the sources and of what was made of them.
# Usage: build.sh FOLDER. NVCC names the compiler; it is nvcc of CUDA 13.0.
set -euo pipefail
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
into=$(cd "$1" && pwd -P)
cd "$sources"
compilers=()
for file in *.cu; do
  "${NVCC:-nvcc}" --options-file nvcc.options -o "$into/${file%.cu}.fatbin" "$file" &
  compilers+=($!)
done
for compiler in "${compilers[@]}"; do
  wait "$compiler"
done
{
  sha256sum *.cu *.cuh nvcc.options
  (cd "$into" && sha256sum *.fatbin)
} >"$into/kernels.sha256"
