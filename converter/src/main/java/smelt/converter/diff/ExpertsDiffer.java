package smelt.converter.diff;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.converter.progress.Progress;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.experts.RowScales;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Compares routed experts as numbers, however they are packed: each code, and the scale of each
/// code, to the bit. Two models without a difference compute the same.
public final class ExpertsDiffer {

  private final ModelSource sourceA;
  private final ModelSource sourceB;
  private final Checkpoint a;
  private final Checkpoint b;
  private final List<String> onlyInA = new ArrayList<>();
  private final List<ModelDiff.Header> headers = new ArrayList<>();
  private final List<ModelDiff.Content> contents = new ArrayList<>();
  private long same;

  /// The sources stay the caller's, who closes them. Packed experts come as the rows that they
  /// stand for.
  public ExpertsDiffer(ModelSource sourceA, Checkpoint a, ModelSource sourceB, Checkpoint b) {
    this.sourceA = sourceA;
    this.a = a;
    this.sourceB = sourceB;
    this.b = b;
  }

  /// Compares the experts of the ordinary layers: packed files hold no others.
  ///
  /// @param contents whether numbers are compared, or only shapes and encodings
  public ModelDiff compare(boolean contents, Progress progress) throws IOException {
    List<Weight> experts = experts(a);
    progress.start(experts.stream().mapToLong(Weight::bytes).sum(), experts.size());
    try (ByteComparison bytes = new ByteComparison(sourceA, sourceB)) {
      for (Weight inA : experts) {
        Optional<Weight> inB = b.weight(inA.name());
        if (inB.isEmpty()) {
          onlyInA.add(inA.name());
        } else {
          compare(inA, inB.get(), contents, bytes);
        }
        progress.advance(inA.bytes());
        progress.unitDone();
      }
      bytes.checkUnchanged();
    }
    List<String> onlyInB =
        experts(b).stream().map(Weight::name).filter(name -> a.weight(name).isEmpty()).toList();
    return new ModelDiff(onlyInA, onlyInB, headers, this.contents, List.of(), List.of(), same);
  }

  private static List<Weight> experts(Checkpoint model) {
    int layers = model.config().numHiddenLayers();
    return model.weights().stream()
        .filter(weight ->
            weight.role() instanceof TensorRole.RoutedExpert expert && expert.layerIndex() < layers)
        .toList();
  }

  private void compare(Weight inA, Weight inB, boolean numbers, ByteComparison bytes)
      throws IOException {
    long cols = inA.shape().dim(1);
    Optional<RowScales> scalesA = RowScales.of(inA.encoding(), cols);
    Optional<RowScales> scalesB = RowScales.of(inB.encoding(), cols);
    if (!inA.shape().equals(inB.shape()) || scalesA.isEmpty() || scalesB.isEmpty()) {
      headers.add(new ModelDiff.Header(inA.name(), words(inA), words(inB)));
      return;
    }
    OptionalLong at = OptionalLong.empty();
    if (numbers) {
      at = bytes.firstDifference(inA.codes(), inB.codes());
      if (at.isEmpty()) {
        at = firstScale(inA, scalesA.get(), inB, scalesB.get());
      }
    }
    if (at.isPresent()) {
      contents.add(new ModelDiff.Content(inA.name(), at.getAsLong(), inA.shape().elements()));
    } else {
      same++;
    }
  }

  /// The first code whose scales differ.
  private OptionalLong firstScale(Weight inA, RowScales rowsA, Weight inB, RowScales rowsB)
      throws IOException {
    long cols = inA.shape().dim(1);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment scalesA = read(sourceA, inA.scale().orElseThrow(), arena);
      MemorySegment scalesB = read(sourceB, inB.scale().orElseThrow(), arena);
      for (long row = 0; row < inA.shape().dim(0); row++) {
        for (long col = 0;
            col < cols;
            col = Math.min(next(col, rowsA.blockCols()), next(col, rowsB.blockCols()))) {
          int bitsA = Float.floatToRawIntBits(rowsA.at(scalesA, row, col));
          int bitsB = Float.floatToRawIntBits(rowsB.at(scalesB, row, col));
          if (bitsA != bitsB) {
            return OptionalLong.of(row * cols + col);
          }
        }
      }
    }
    return OptionalLong.empty();
  }

  /// Where the block behind a column begins.
  private static long next(long col, long blockCols) {
    return (col / blockCols + 1) * blockCols;
  }

  private static MemorySegment read(ModelSource source, SourceTensor tensor, Arena arena)
      throws IOException {
    MemorySegment bytes = arena.allocate(Math.max(1, tensor.bytes())).asSlice(0, tensor.bytes());
    try (ByteSource file = source.open(tensor.file())) {
      file.read(tensor.offset(), bytes);
    }
    return bytes;
  }

  private static String words(Weight weight) {
    return weight.encoding() + " " + weight.shape();
  }
}
