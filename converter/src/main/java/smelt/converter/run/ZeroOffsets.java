package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// Offsets of a symmetric encoding are left out because they are zero. This reads them before the
/// work begins: others would mean an asymmetric encoding, whose weights would come out wrong.
public final class ZeroOffsets {

  private ZeroOffsets() {}

  /// @throws BadInputException naming every offset tensor that is not all zeros
  public static void require(ModelSource source, Checkpoint checkpoint) throws IOException {
    List<Problem> problems = new ArrayList<>();
    try (SourceFiles files = new SourceFiles(source)) {
      for (Leftover leftover : checkpoint.leftovers()) {
        if (leftover.reason() == Leftover.Reason.ZERO_OFFSET) {
          SourceTensor tensor = leftover.tensor();
          long index = firstNonZero(files, tensor);
          if (index < tensor.bytes()) {
            problems.add(
                new Problem(
                    tensor.file() + ", tensor " + tensor.name() + ", byte " + index,
                    "an offset that is not zero",
                    "zeros, as in W8A8_DYNAMIC",
                    "asymmetric encodings cannot be read: convert from the original checkpoint"));
          }
        }
      }
    }
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
  }

  private static long firstNonZero(SourceFiles files, SourceTensor tensor) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(Math.max(1, tensor.bytes())).asSlice(0, tensor.bytes());
      files.file(tensor.file()).read(tensor.offset(), bytes);
      for (long i = 0; i < tensor.bytes(); i++) {
        if (bytes.get(ValueLayout.JAVA_BYTE, i) != 0) {
          return i;
        }
      }
      return tensor.bytes();
    }
  }
}
