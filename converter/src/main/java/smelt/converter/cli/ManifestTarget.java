package smelt.converter.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import smelt.calibrate.smooth.Pair;
import smelt.converter.plan.TargetPlan;
import smelt.formats.BadInputException;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Which target a result of Smelt is, as its manifest says.
final class ManifestTarget {

  private static final int HEAD = 4096;
  private static final Pattern TARGET =
      Pattern.compile("^ *\"target\" *: *\"([a-z0-9-]{1,64})\"", Pattern.MULTILINE);

  private static final Pattern SMOOTHED =
      Pattern.compile("^ *\"smooth\" *: *\\[([^\\]]*)\\]", Pattern.MULTILINE);

  private static final Pattern LABEL = Pattern.compile("\"([^\"]*)\"");

  private ManifestTarget() {}

  /// The pairs between whose weights factors have passed.
  ///
  /// @throws BadInputException for a kind of pair that is not known here
  static Set<Pair.Kind> smoothed(ModelSource source) throws IOException {
    Set<Pair.Kind> kinds = EnumSet.noneOf(Pair.Kind.class);
    Optional<Matcher> list = head(source).map(SMOOTHED::matcher).filter(Matcher::find);
    if (list.isPresent()) {
      Matcher label = LABEL.matcher(list.get().group(1));
      while (label.find()) {
        kinds.add(kind(source, label.group(1)));
      }
    }
    return kinds;
  }

  private static Pair.Kind kind(ModelSource source, String label) {
    return Pair.Kind.of(label)
        .orElseThrow(() ->
            new BadInputException(
                source.location() + ": " + TargetPlan.MANIFEST,
                "smooth: " + label,
                "of "
                    + Stream.of(Pair.Kind.values())
                        .map(Pair.Kind::label)
                        .collect(Collectors.joining(", ")),
                "verify with the version of Smelt that made it"));
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
