#!/usr/bin/env bash
# Makes gpu-bundle/ from what is built: Java, program, kernels, natives and a sample in one archive, and
# the script that runs it. Called by ./dev gpu-bundle.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../../.." && pwd -P)
target=$root/converter/target
stage=$target/gpu-bundle
limit=$((64 << 20))
rm -rf "$stage" "$root/gpu-bundle"
mkdir -p "$stage/lib" "$stage/natives" "$stage/samples" "$root/gpu-bundle"

"$JAVA_HOME/bin/jlink" --output "$stage/runtime" --compress zip-0 --strip-debug --no-header-files \
  --no-man-pages \
  --add-modules java.base,java.xml,java.logging,java.management,jdk.management,jdk.incubator.vector,jdk.unsupported

cp "$target/smelt.jar" "$root/converter/src/main/jvm/work.args" "$stage"
for jar in "$target"/lib/*.jar; do
  case "$(basename "$jar")" in
    # The tokenizer's native code is not needed, and of JCuda's only the driver's part.
    tokenizers-* | jcuda-natives-*) ;;
    *) cp "$jar" "$stage/lib" ;;
  esac
done
"$JAVA_HOME/bin/jar" --create --no-manifest --file "$stage/check.jar" \
  -C "$root/calibrate/target/test-classes" smelt/calibrate/cuda
(
  cd "$stage/natives"
  "$JAVA_HOME/bin/jar" --extract --file "$target"/lib/jcuda-natives-*-linux-x86_64.jar
  mv lib/libJCudaDriver-*.so .
  rm -rf lib META-INF
)
cp -r "$root/samples/tiny-deepseek-v3-fp8" "$root/samples/corpora/calibration.jsonl" "$stage/samples"
cp "$root/LICENSE" "$root/converter/src/main/gpu/NOTICE" "$stage"

tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - . |
  gzip -9n >"$root/gpu-bundle/smelt-gpu.tgz"
cp "$root/converter/src/main/gpu/gpu.sh" "$root/gpu-bundle"
bytes=$(cat "$root"/gpu-bundle/* | wc -c)
echo "gpu-bundle: $bytes bytes, $(du -sb "$stage" | cut -f 1) unpacked"
if [ "$bytes" -gt "$limit" ]; then
  echo "dev: the bundle has more than $limit bytes" >&2
  exit 1
fi
