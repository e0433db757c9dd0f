package smelt.formats.gguf;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.source.ByteSource;

/// Checks that tensors are possible, and that their data fill the rest of the file in their order.
/// All that is wrong with them is named at once.
final class TensorTable {

  /// A hostile table could be wrong in a million places; a hundred are enough to act on.
  private static final int LIMIT = 100;

  private final ByteSource file;
  private final long alignment;
  private final List<GgufTensor> tensors = new ArrayList<>();
  private final Set<String> names = new HashSet<>();
  private final List<Problem> problems = new ArrayList<>();
  private long end;

  TensorTable(ByteSource file, long alignment) {
    this.file = file;
    this.alignment = alignment;
  }

  /// @param at where in the file the tensor is described
  void add(long at, String name, GgmlType type, List<Long> dims, long offset) {
    if (!names.add(name)) {
      problem(at, name, "the name again", "distinct names");
    }
    long padded;
    try {
      padded = paddedEnd(type, dims);
    } catch (ArithmeticException e) {
      problem(at, name, "dimensions " + dims + " of " + type, "a possible size in whole blocks");
      throw new BadInputException(problems);
    }
    if (offset != end) {
      String found = "data offset " + Long.toUnsignedString(offset);
      problem(at, name, found, end + ", the padded sum of what is before it");
    } else {
      tensors.add(new GgufTensor(name, type, dims, offset));
    }
    end = padded;
  }

  /// Sizes are only known for positive dimensions, and nothing behind an impossible one is.
  private long paddedEnd(GgmlType type, List<Long> dims) {
    if (dims.stream().anyMatch(dim -> dim < 1)) {
      throw new ArithmeticException("a dimension that is not positive");
    }
    return GgufLayout.padded(Math.addExact(end, GgufTensor.bytes(type, dims)), alignment);
  }

  private void problem(long at, String name, String found, String expected) {
    problems.add(
        new Problem(
            file.name() + ", tensor '" + name + "', byte " + at,
            found,
            expected,
            "have the file written anew by a GGUF writer"));
    if (problems.size() >= LIMIT) {
      throw new BadInputException(problems);
    }
  }

  /// @param dataStart first byte of the data section
  List<GgufTensor> check(long dataStart) {
    long available = file.size() - dataStart;
    if (available != end) {
      boolean cut = available < end;
      problems.add(
          new Problem(
              file.name() + ", byte " + (cut ? file.size() : dataStart + end),
              Math.max(0, available) + " bytes of data",
              end + ", the padded sizes of all tensors",
              cut
                  ? "the file is cut short: get it again"
                  : "the file has bytes that belong to no tensor: get it again"));
    }
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
    return tensors;
  }
}
