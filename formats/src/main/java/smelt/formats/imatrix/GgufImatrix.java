package smelt.formats.imatrix;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import smelt.formats.BadInputException;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufHeader;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ByteSource;

/// The newer kind of file: GGUF with the metadata below, and for each weight two F32 tensors, or
/// three.
///
/// | key or tensor | what |
/// |---|---|
/// | `general.type` | `imatrix` |
/// | `imatrix.datasets` | texts: names |
/// | `imatrix.chunk_count`, `imatrix.chunk_size` | U32 |
/// | `NAME.in_sum2` | sums of squares: columns x matrices |
/// | `NAME.counts` | 1 x matrices |
/// | `NAME.in_sum` | sums of the numbers themselves, of the same shape: not used here, not written |
///
/// As ggml does, dimensions of 1 at the end are left out.
final class GgufImatrix {

  private static final String TYPE_KEY = "general.type";
  private static final String TYPE = "imatrix";
  private static final String DATASETS_KEY = "imatrix.datasets";
  private static final String CHUNK_COUNT_KEY = "imatrix.chunk_count";
  private static final String CHUNK_SIZE_KEY = "imatrix.chunk_size";
  private static final String SUMS = ".in_sum2";
  private static final String COUNTS = ".counts";
  private static final String PLAIN_SUMS = ".in_sum";

  private final ByteSource file;
  private final GgufHeader header;
  private final Map<String, GgufTensor> tensors = new LinkedHashMap<>();

  private GgufImatrix(ByteSource file) throws IOException {
    this.file = file;
    this.header = GgufHeader.read(file);
    header.tensors().forEach(tensor -> tensors.put(tensor.name(), tensor));
  }

  static Imatrix read(ByteSource file) throws IOException {
    return new GgufImatrix(file).read();
  }

  private Imatrix read() throws IOException {
    if (!header.value(TYPE_KEY).equals(Optional.of(new GgufValue.Text(TYPE)))) {
      String found = header.value(TYPE_KEY).map(value -> value.shown(60)).orElse("nothing");
      throw bad(TYPE_KEY, found, "'" + TYPE + "'");
    }
    TreeMap<String, ImatrixEntry> entries = new TreeMap<>();
    for (GgufTensor tensor : header.tensors()) {
      String name = nameOf(tensor);
      if (tensor.name().endsWith(SUMS)) {
        entries.put(name, entry(name, tensor));
      }
    }
    return new Imatrix(entries, datasets(), number(CHUNK_COUNT_KEY), number(CHUNK_SIZE_KEY));
  }

  /// The weight of a tensor, whose companion must be there.
  private String nameOf(GgufTensor tensor) {
    for (String ending : List.of(SUMS, COUNTS, PLAIN_SUMS)) {
      if (tensor.name().endsWith(ending) && tensor.name().length() > ending.length()) {
        String name = tensor.name().substring(0, tensor.name().length() - ending.length());
        String other = name + (ending.equals(SUMS) ? COUNTS : SUMS);
        if (!tensors.containsKey(other)) {
          throw bad(tensor.name(), "no tensor " + other, "sums and counts of each weight");
        }
        return name;
      }
    }
    throw bad(tensor.name(), "a tensor of this name", "names that end in " + SUMS + ", " + COUNTS);
  }

  private ImatrixEntry entry(String name, GgufTensor sums) throws IOException {
    GgufTensor counts = tensors.get(name + COUNTS);
    long matrices = matrices(sums);
    if (counts.dims().getFirst() != 1 || matrices(counts) != matrices) {
      throw bad(counts.name(), "dimensions " + counts.dims(), "1 for each row of " + sums.dims());
    }
    try {
      return new ImatrixEntry(floats(sums), floats(counts));
    } catch (IllegalArgumentException e) {
      throw bad(sums.name(), e.getMessage(), "finite numbers, not negative");
    }
  }

  private long matrices(GgufTensor tensor) {
    if (tensor.type() != GgmlType.F32 || tensor.dims().size() > 2) {
      String found = tensor.type() + " of " + tensor.dims();
      throw bad(tensor.name(), found, "F32 of at most two dimensions");
    }
    return tensor.rows();
  }

  private float[] floats(GgufTensor tensor) throws IOException {
    if (tensor.bytes() > Integer.MAX_VALUE - 8) {
      throw bad(tensor.name(), tensor.bytes() + " bytes", "less than 2 GiB");
    }
    ByteBuffer bytes = ByteBuffer.allocate((int) tensor.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    file.read(header.offset(tensor), MemorySegment.ofBuffer(bytes));
    float[] floats = new float[bytes.capacity() / Float.BYTES];
    bytes.asFloatBuffer().get(floats);
    return floats;
  }

  private List<String> datasets() {
    GgufValue value = header.value(DATASETS_KEY).orElse(null);
    if (value instanceof GgufValue.Array(GgufValue.Kind kind, List<GgufValue> values)
        && kind == GgufValue.Kind.TEXT) {
      return values.stream().map(text -> ((GgufValue.Text) text).value()).toList();
    }
    throw bad(DATASETS_KEY, value == null ? "nothing" : value.shown(60), "an array of texts");
  }

  private long number(String key) {
    GgufValue value = header.value(key).orElse(null);
    if (value instanceof GgufValue.U32(long number) && number <= Imatrix.MAX_INT) {
      return number;
    }
    throw bad(key, value == null ? "nothing" : value.shown(60), "a U32 up to " + Imatrix.MAX_INT);
  }

  private BadInputException bad(String where, String found, String expected) {
    return new BadInputException(
        file.name() + ", " + where,
        found,
        expected,
        "the file is no sound importance matrix: get it again, or have it made anew");
  }

  static void write(Imatrix imatrix, OutputStream out) throws IOException {
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put(TYPE_KEY, new GgufValue.Text(TYPE));
    metadata.put(DATASETS_KEY, GgufValue.texts(imatrix.datasets()));
    metadata.put(CHUNK_COUNT_KEY, new GgufValue.U32(imatrix.chunkCount()));
    metadata.put(CHUNK_SIZE_KEY, new GgufValue.U32(imatrix.chunkSize()));
    List<GgufLayout.Tensor> listed = new ArrayList<>();
    List<float[]> numbers = new ArrayList<>();
    imatrix
        .entries()
        .forEach((name, entry) -> {
          long matrices = entry.countSize();
          listed.add(tensor(name + SUMS, entry.size() / matrices, matrices));
          numbers.add(entry.sums());
          listed.add(tensor(name + COUNTS, 1, matrices));
          numbers.add(entry.counts());
        });
    GgufLayout layout = GgufLayout.of(metadata, listed);
    out.write(layout.header());
    for (int i = 0; i < numbers.size(); i++) {
      GgufTensor tensor = layout.tensors().get(i);
      long size = tensor.bytes() + layout.padding(tensor);
      ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(size));
      bytes.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(numbers.get(i));
      out.write(bytes.array());
    }
  }

  private static GgufLayout.Tensor tensor(String name, long cols, long matrices) {
    List<Long> dims = matrices == 1 ? List.of(cols) : List.of(cols, matrices);
    return new GgufLayout.Tensor(name, GgmlType.F32, dims);
  }
}
