# Sets JAVA_HOME to a JDK 25: SMELT_JAVA_HOME, JAVA_HOME, then the usual folders. Sourced, not run.
smelt_is_jdk25() {
  [ -x "$1/bin/java" ] && grep -q '^JAVA_VERSION="25[".]' "$1/release" 2>/dev/null
}

smelt_find_jdk25() {
  local home
  for home in "${SMELT_JAVA_HOME:-}" "${JAVA_HOME:-}" \
    /usr/lib/jvm/*25* /usr/java/*25* /opt/*jdk*25* /opt/java/*25* \
    "$HOME"/.sdkman/candidates/java/25* "$HOME"/.jdks/*25* \
    /Library/Java/JavaVirtualMachines/*25*/Contents/Home /opt/homebrew/opt/openjdk@25/libexec/openjdk.jdk/Contents/Home; do
    if [ -n "$home" ] && smelt_is_jdk25 "$home"; then
      JAVA_HOME=$home
      export JAVA_HOME
      return 0
    fi
  done
  echo "smelt: no JDK 25 found. Install one (https://adoptium.net), or set SMELT_JAVA_HOME to its folder." >&2
  return 1
}

smelt_find_jdk25 || exit 4
