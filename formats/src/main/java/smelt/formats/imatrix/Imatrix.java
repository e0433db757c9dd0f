package smelt.formats.imatrix;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import smelt.formats.source.ByteSource;

/// An importance matrix.
///
/// @param entries by the weight's name in GGUF, such as `blk.3.ffn_down_exps.weight`, in the order
///   of their names, as llama.cpp writes them
/// @param datasets names of the texts that went through the model
/// @param chunkCount pieces that they were cut into
/// @param chunkSize tokens of a piece; 0 where the file does not say, as those of the older kind
public record Imatrix(
    SequencedMap<String, ImatrixEntry> entries,
    List<String> datasets,
    long chunkCount,
    long chunkSize) {

  /// Largest number of chunks, or tokens of one, of the older kind of file.
  static final long MAX_INT = Integer.MAX_VALUE;

  private static final String GGUF = "GGUF";

  public Imatrix {
    entries = Collections.unmodifiableSequencedMap(new TreeMap<>(entries));
    datasets = List.copyOf(datasets);
    if (chunkCount < 0 || chunkCount > MAX_INT || chunkSize < 0 || chunkSize > MAX_INT) {
      throw new IllegalArgumentException(chunkCount + " chunks of " + chunkSize + " tokens");
    }
  }

  /// Reads a file of either kind, which its first bytes tell.
  ///
  /// @throws smelt.formats.BadInputException if it is none, or damaged, naming the place
  public static Imatrix read(ByteSource file) throws IOException {
    byte[] magic = new byte[(int) Math.min(GGUF.length(), file.size())];
    file.read(0, MemorySegment.ofArray(magic));
    return GGUF.equals(new String(magic, StandardCharsets.ISO_8859_1))
        ? GgufImatrix.read(file)
        : LegacyImatrix.read(file);
  }

  /// How much each column of a weight counts: the mean square of its input, and 1 for all columns
  /// of an expert that was not seen.
  ///
  /// @param tensor name of the weight in GGUF
  /// @param expert from 0 for a stack of experts, 0 for others
  /// @param cols columns of the weight, or of each of its matrices
  /// @return empty for a weight that the file has nothing of
  /// @throws IllegalArgumentException if what it has does not fit
  public Optional<float[]> importance(String tensor, int expert, int cols) {
    ImatrixEntry entry = entries.get(tensor);
    if (entry == null) {
      return Optional.empty();
    }
    try {
      return Optional.of(entry.meanSquares(expert, cols));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(tensor + ": " + e.getMessage(), e);
    }
  }

  /// Writes the kind of file that llama.cpp writes since July 2025: a GGUF file with tensors
  /// `NAME.in_sum2` and `NAME.counts` for each weight.
  ///
  /// @throws IllegalArgumentException if a name is too long for GGUF
  public void writeGguf(OutputStream out) throws IOException {
    GgufImatrix.write(this, out);
  }

  /// Writes the older kind, `.dat`: as llama.cpp does, with means instead of sums, 1 for experts
  /// that were not seen, and without weights of which nothing was. Where the size of chunks is not
  /// known counts are taken for numbers of chunks, as they are in what was read from such a file.
  public void writeLegacy(OutputStream out) throws IOException {
    LegacyImatrix.write(this, out);
  }
}
