package smelt.converter.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import smelt.converter.plan.TargetPlan;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Which target a result of Smelt is, as its manifest says.
final class ManifestTarget {

  private static final int HEAD = 4096;
  private static final Pattern TARGET =
      Pattern.compile("^ *\"target\" *: *\"([a-z0-9-]{1,64})\"", Pattern.MULTILINE);

  private static final Pattern SMOOTHED =
      Pattern.compile("^ *\"smooth\" *: *\\[\\s*\"", Pattern.MULTILINE);

  private ManifestTarget() {}

  /// Whether factors have passed between the result's weights.
  static boolean isSmoothed(ModelSource source) throws IOException {
    return head(source).filter(text -> SMOOTHED.matcher(text).find()).isPresent();
  }

  /// The target's label; empty for what Smelt did not write. It stands in the first lines, so the
  /// manifest is not read whole.
  static Optional<String> of(ModelSource source) throws IOException {
    return head(source).map(TARGET::matcher).filter(Matcher::find).map(target -> target.group(1));
  }

  private static Optional<String> head(ModelSource source) throws IOException {
    if (!source.names().contains(TargetPlan.MANIFEST)) {
      return Optional.empty();
    }
    try (ByteSource file = source.open(TargetPlan.MANIFEST);
        Arena arena = Arena.ofConfined()) {
      MemorySegment head = arena.allocate(Math.min(HEAD, file.size()));
      file.read(0, head);
      byte[] bytes = head.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
      return Optional.of(new String(bytes, StandardCharsets.UTF_8));
    }
  }
}
