package smelt.converter.diff;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.SequencedMap;
import java.util.TreeSet;
import smelt.converter.progress.Progress;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufModel;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;

/// Compares two GGUF models: tensors to the byte, and metadata but for the keys that number the
/// parts. How tensors are spread over files does not count.
public final class GgufDiffer {

  private static final int SHOWN = 60;

  private final ModelSource sourceA;
  private final ModelSource sourceB;
  private final GgufModel a;
  private final GgufModel b;

  private record Stored(GgufTensor tensor, SourceTensor bytes) {}

  /// The sources stay the caller's, who closes them.
  public GgufDiffer(ModelSource sourceA, ModelSource sourceB) throws IOException {
    this.sourceA = sourceA;
    this.sourceB = sourceB;
    this.a = GgufModel.open(sourceA);
    this.b = GgufModel.open(sourceB);
  }

  /// Compares everything.
  ///
  /// @param contents whether the bytes of tensors are compared, or only types and dimensions
  public ModelDiff compare(boolean contents, Progress progress) throws IOException {
    SequencedMap<String, Stored> tensorsA = tensors(a);
    SequencedMap<String, Stored> tensorsB = tensors(b);
    List<String> onlyInA = new ArrayList<>();
    List<ModelDiff.Header> headers = new ArrayList<>();
    List<ModelDiff.Content> others = new ArrayList<>();
    long same = 0;
    progress.start(
        tensorsA.values().stream().mapToLong(s -> s.bytes().bytes()).sum(), tensorsA.size());
    try (ByteComparison comparison = new ByteComparison(sourceA, sourceB)) {
      for (Map.Entry<String, Stored> entry : tensorsA.entrySet()) {
        Stored inA = entry.getValue();
        Stored inB = tensorsB.get(entry.getKey());
        if (inB == null) {
          onlyInA.add(entry.getKey());
        } else if (!words(inA).equals(words(inB))) {
          headers.add(new ModelDiff.Header(entry.getKey(), words(inA), words(inB)));
        } else {
          OptionalLong at =
              contents
                  ? comparison.firstDifference(inA.bytes(), inB.bytes())
                  : OptionalLong.empty();
          if (at.isPresent()) {
            others.add(content(inA.tensor(), at.getAsLong()));
          } else {
            same++;
          }
        }
        progress.advance(inA.bytes().bytes());
        progress.unitDone();
      }
      comparison.checkUnchanged();
    }
    List<String> onlyInB =
        tensorsB.keySet().stream().filter(name -> !tensorsA.containsKey(name)).toList();
    return new ModelDiff(onlyInA, onlyInB, headers, others, metadata(), List.of(), same);
  }

  private static SequencedMap<String, Stored> tensors(GgufModel model) {
    SequencedMap<String, Stored> tensors = new LinkedHashMap<>();
    for (GgufParts.Part part : model.parts()) {
      for (GgufTensor tensor : part.header().tensors()) {
        SourceTensor bytes =
            new SourceTensor(
                tensor.name(),
                ElementType.U8,
                Shape.of(tensor.bytes()),
                part.file(),
                part.header().offset(tensor),
                tensor.bytes());
        tensors.put(tensor.name(), new Stored(tensor, bytes));
      }
    }
    return tensors;
  }

  private static String words(Stored stored) {
    return stored.tensor().type() + " " + stored.tensor().dims();
  }

  /// The first element of the first block that differs; where rows are interleaved, of the first
  /// group of blocks.
  private static ModelDiff.Content content(GgufTensor tensor, long byteOffset) {
    GgmlType type = tensor.type();
    long cols = tensor.dims().getFirst();
    long group = byteOffset / type.groupBytes();
    long perRow = cols / type.blockElements();
    long row = group / perRow * type.interleavedRows();
    long first = row * cols + group % perRow * type.blockElements();
    long elements = tensor.dims().stream().reduce(1L, Math::multiplyExact);
    return new ModelDiff.Content(tensor.name(), first, elements);
  }

  private List<ModelDiff.ConfigKey> metadata() {
    SequencedMap<String, GgufValue> inA = a.metadata();
    SequencedMap<String, GgufValue> inB = b.metadata();
    TreeSet<String> keys = new TreeSet<>(inA.keySet());
    keys.addAll(inB.keySet());
    List<ModelDiff.ConfigKey> found = new ArrayList<>();
    for (String key : keys) {
      GgufValue valueA = inA.get(key);
      GgufValue valueB = inB.get(key);
      if (valueA == null || !valueA.equals(valueB)) {
        found.add(new ModelDiff.ConfigKey(key, text(valueA), text(valueB)));
      }
    }
    return found;
  }

  private static String text(GgufValue value) {
    return switch (value) {
      case null -> "absent";
      case GgufValue.Array(GgufValue.Kind elements, List<GgufValue> values) ->
          values.size() + " of " + elements;
      default -> {
        String text = value.toString();
        yield text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "...";
      }
    };
  }
}
