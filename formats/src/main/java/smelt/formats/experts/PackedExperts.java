package smelt.formats.experts;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.experts.ExpertTensor.Content;
import smelt.formats.experts.StoredSlices.Stored;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// A model whose routed experts are read from KTransformers' files, and everything else from a
/// checkpoint, as the runtime does it. Packed experts appear as INT8 weights, row by row, in
/// virtual files of the model: what reads checkpoints can read them. The files are merged
/// safetensors or a `.kt` tree.
///
/// INT4 codes appear as INT8 ones, with scales that are 16 times the stored ones; the numbers are
/// exactly those of the kernels. A down projection that is cut for several nodes has a scale for
/// each row of each slice, which is a block one row high.
///
/// Files are unpacked a block of rows at a time, and few blocks are kept. Safe for several threads.
public final class PackedExperts implements ModelSource {

  private static final String FOLDER = "packed-experts/";
  private static final int BLOCKS_KEPT = 16;
  private static final int PROBLEMS_NAMED = 5;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);

  /// One NUMA node's part of a matrix, and where it is stored.
  private record Part(Stored codes, Stored scales, ExpertPacker.Region region) {}

  /// A matrix of an expert.
  private record Matrix(Weight weight, Projection projection, List<Part> parts) {
    long rows() {
      return weight.shape().dim(0);
    }

    long cols() {
      return weight.shape().dim(1);
    }
  }

  /// A block of rows of a part.
  private record BlockKey(String matrix, int part, long block) {}

  private final ModelSource base;
  private final StoredSlices packed;
  private final ExpertFormat format;
  private final int nodes;
  private final Checkpoint checkpoint;
  private final Map<String, Matrix> matrices = new HashMap<>();
  private final Map<BlockKey, MemorySegment> blocks =
      new LinkedHashMap<>(BLOCKS_KEPT, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<BlockKey, MemorySegment> eldest) {
          return size() > BLOCKS_KEPT;
        }
      };

  private PackedExperts(StoredSlices packed, ModelSource base, Checkpoint model) {
    this.base = base;
    this.packed = packed;
    this.nodes =
        packed.all().stream()
            .filter(slice -> slice.content() == Content.CODES)
            .mapToInt(slice -> slice.node() + 1)
            .max()
            .orElse(0);
    List<Problem> problems = new ArrayList<>();
    Optional<ExpertFormat> found = Optional.empty();
    List<Weight> weights = new ArrayList<>();
    for (Weight weight : model.weights()) {
      if (isPacked(weight, model)) {
        TensorRole.RoutedExpert role = (TensorRole.RoutedExpert) weight.role();
        Optional<Matrix> matrix = matrix(weight, role, problems);
        if (matrix.isPresent()) {
          Optional<ExpertFormat> form = form(matrix.get());
          if (form.isEmpty() || (found.isPresent() && !found.equals(form))) {
            problems.add(otherForm(packed.location(), matrix.get(), found));
          }
          found = found.or(() -> form);
          matrices.put(weight.name(), matrix.get());
          weights.add(shown(matrix.get()));
        }
      } else {
        weights.add(weight);
      }
    }
    if (!problems.isEmpty()) {
      throw new BadInputException(problems.subList(0, Math.min(PROBLEMS_NAMED, problems.size())));
    }
    this.format =
        found.orElseThrow(() ->
            new BadInputException(
                model.location(),
                "a model without routed experts",
                "the checkpoint that the experts were packed from",
                "name that model"));
    this.checkpoint = model.with(packed.location(), weights);
  }

  /// Whether a folder holds packed experts, merged or a tree.
  public static boolean isIn(ModelSource source) throws IOException {
    return StoredSlices.isIn(source);
  }

  /// Opens packed experts beside the model they belong to. Both sources stay the caller's to close.
  ///
  /// @throws BadInputException naming what is missing or of another size
  public static PackedExperts open(ModelSource packed, ModelSource base, Checkpoint model)
      throws IOException {
    return new PackedExperts(StoredSlices.read(packed), base, model);
  }

  private static boolean isPacked(Weight weight, Checkpoint model) {
    return weight.role() instanceof TensorRole.RoutedExpert expert
        && expert.layerIndex() < model.config().numHiddenLayers();
  }

  private Optional<Matrix> matrix(
      Weight weight, TensorRole.RoutedExpert role, List<Problem> problems) {
    long rows = weight.shape().dim(0);
    long cols = weight.shape().dim(1);
    boolean byColumns = role.projection() == Projection.DOWN;
    long share = (byColumns ? cols : rows) / Math.max(1, nodes);
    List<Part> parts = new ArrayList<>();
    for (int node = 0; node < nodes; node++) {
      ExpertTensor slice =
          new ExpertTensor(
              role.layerIndex(), role.projection(), role.expert(), node, Content.CODES);
      Optional<Stored> codes = packed.find(slice);
      Optional<Stored> scales = packed.find(slice.with(Content.SCALES));
      ExpertPacker.Region region =
          byColumns
              ? new ExpertPacker.Region(0, rows, node * share, share)
              : new ExpertPacker.Region(node * share, share, 0, cols);
      if (codes.isEmpty()
          || scales.isEmpty()
          || scales.get().bytes() != Float.BYTES * region.rows()) {
        problems.add(
            new Problem(
                packed.location(),
                codes.isEmpty()
                    ? "no " + slice.tensorName()
                    : "no fitting " + slice.with(Content.SCALES).tensorName(),
                "codes and " + region.rows() + " scales of " + weight.name() + " for node " + node,
                "pack the experts of this model again"));
        return Optional.empty();
      }
      parts.add(new Part(codes.get(), scales.get(), region));
    }
    return Optional.of(new Matrix(weight, role.projection(), parts));
  }

  /// The form whose size all parts of a matrix have.
  private static Optional<ExpertFormat> form(Matrix matrix) {
    for (ExpertFormat form : ExpertFormat.values()) {
      boolean fits =
          matrix.parts().stream()
              .allMatch(part ->
                  part.codes().bytes()
                      == form.bytes(
                          matrix.projection(), part.region().rows(), part.region().cols()));
      if (fits) {
        return Optional.of(form);
      }
    }
    return Optional.empty();
  }

  private static Problem otherForm(String where, Matrix matrix, Optional<ExpertFormat> first) {
    return new Problem(
        where,
        "slices of "
            + matrix.weight().name()
            + " with "
            + matrix.parts().getFirst().codes().bytes()
            + " bytes",
        first.map(form -> "the size of " + form + ", as before").orElse("a size of a known form"),
        "pack the experts of this model again");
  }

  private Weight shown(Matrix matrix) {
    Weight weight = matrix.weight();
    long rows = matrix.rows();
    long cols = matrix.cols();
    boolean oneScaleARow = matrix.projection() != Projection.DOWN || nodes == 1;
    Encoding encoding =
        oneScaleARow
            ? new Encoding.Channel(ElementType.I8, ElementType.F32)
            : new Encoding.Block(
                ElementType.I8,
                1,
                Math.toIntExact(cols / nodes),
                ElementType.F32,
                ScaleFormat.FLOAT);
    Shape scales = encoding.scaleShape(weight.shape()).orElseThrow();
    String file = FOLDER + weight.name();
    long codes = rows * cols;
    return new Weight(
        weight.name(),
        weight.role(),
        encoding,
        new SourceTensor(weight.name(), ElementType.I8, weight.shape(), file, 0, codes),
        Optional.of(
            new SourceTensor(
                weight.name() + " (scales)",
                ElementType.F32,
                scales,
                file,
                codes,
                scales.bytes(ElementType.F32))));
  }

  /// The form of all experts.
  public ExpertFormat format() {
    return format;
  }

  /// Number of NUMA nodes that the experts are cut for.
  public int nodes() {
    return nodes;
  }

  /// The model with its packed experts.
  public Checkpoint checkpoint() {
    return checkpoint;
  }

  /// Bytes of a weight where it lies: packed experts are read as INT8 codes, whatever they are
  /// packed as, and are padded.
  public long storedBytes(Weight weight) {
    Matrix matrix = matrices.get(weight.name());
    return matrix == null
        ? weight.bytes()
        : matrix.parts().stream()
            .mapToLong(part -> Math.addExact(part.codes().bytes(), part.scales().bytes()))
            .reduce(0, Math::addExact);
  }

  @Override
  public String location() {
    return checkpoint.location();
  }

  /// The base's files; virtual ones are not listed.
  @Override
  public List<String> names() {
    return base.names();
  }

  @Override
  public ByteSource open(String name) throws IOException {
    if (!name.startsWith(FOLDER)) {
      return base.open(name);
    }
    Matrix matrix = matrices.get(name.substring(FOLDER.length()));
    if (matrix == null) {
      throw new NoSuchFileException(name);
    }
    return new MatrixFile(name, matrix);
  }

  @Override
  public String stamp(String name) throws IOException {
    if (!name.startsWith(FOLDER)) {
      return base.stamp(name);
    }
    Matrix matrix = matrices.get(name.substring(FOLDER.length()));
    if (matrix == null) {
      throw new NoSuchFileException(name);
    }
    TreeMap<String, String> stamps = new TreeMap<>();
    for (Part part : matrix.parts()) {
      for (Stored stored : List.of(part.codes(), part.scales())) {
        stamps.put(stored.file(), packed.stamp(stored));
      }
    }
    return stamps.toString();
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    return base.readSmall(name, limit);
  }

  @Override
  public void close() throws IOException {
    packed.close();
  }

  /// The unpacked codes of a block of rows, row by row.
  private MemorySegment block(Matrix matrix, int part, long block) throws IOException {
    BlockKey key = new BlockKey(matrix.weight().name(), part, block);
    synchronized (blocks) {
      MemorySegment known = blocks.get(key);
      if (known == null) {
        known = unpack(matrix, matrix.parts().get(part), block);
        blocks.put(key, known);
      }
      return known;
    }
  }

  private MemorySegment unpack(Matrix matrix, Part part, long block) throws IOException {
    Projection projection = matrix.projection();
    long high = format.rowBlock(projection);
    long first = block * high;
    long rows = Math.min(high, part.region().rows() - first);
    long cols = part.region().cols();
    byte[] bytes = new byte[Math.toIntExact(format.bytes(projection, rows, cols))];
    MemorySegment stored = MemorySegment.ofArray(bytes);
    packed.read(part.codes(), format.bytes(projection, first, cols), stored);
    MemorySegment codes = MemorySegment.ofArray(new byte[Math.toIntExact(rows * cols)]);
    format.unpack(projection, stored, 0, rows, cols, codes, 0, cols);
    return codes;
  }

  /// One matrix as a file: INT8 codes row by row, then F32 scales.
  private final class MatrixFile implements ByteSource {

    private final String name;
    private final Matrix matrix;

    MatrixFile(String name, Matrix matrix) {
      this.name = name;
      this.matrix = matrix;
    }

    @Override
    public String name() {
      return name;
    }

    @Override
    public long size() {
      return codeBytes() + scales() * Float.BYTES;
    }

    private long codeBytes() {
      return matrix.rows() * matrix.cols();
    }

    private int scalesPerRow() {
      return matrix.projection() == Projection.DOWN ? nodes : 1;
    }

    private long scales() {
      return matrix.rows() * scalesPerRow();
    }

    @Override
    public void read(long offset, MemorySegment into) throws IOException {
      Objects.checkFromIndexSize(offset, into.byteSize(), size());
      long codes = Math.clamp(codeBytes() - offset, 0, into.byteSize());
      readCodes(offset, into.asSlice(0, codes));
      if (codes < into.byteSize()) {
        readScales(offset + codes - codeBytes(), into.asSlice(codes));
      }
    }

    private void readCodes(long offset, MemorySegment into) throws IOException {
      if (offset % matrix.cols() == 0 && into.byteSize() % matrix.cols() == 0) {
        readRows(offset / matrix.cols(), into.byteSize() / matrix.cols(), into);
        return;
      }
      long at = offset;
      while (at < offset + into.byteSize()) {
        long row = at / matrix.cols();
        long col = at % matrix.cols();
        int index = part(row, col);
        ExpertPacker.Region region = matrix.parts().get(index).region();
        long high = format.rowBlock(matrix.projection());
        long inPart = row - region.firstRow();
        MemorySegment block = block(matrix, index, inPart / high);
        long count =
            Math.min(region.firstCol() + region.cols() - col, offset + into.byteSize() - at);
        long from = inPart % high * region.cols() + col - region.firstCol();
        MemorySegment.copy(block, from, into, at - offset, count);
        at += count;
      }
    }

    /// Reads whole rows block by block, so that each block is unpacked once however many parts a
    /// row has. A block that is wanted whole is not kept, and no other thread waits for it.
    private void readRows(long firstRow, long rows, MemorySegment into) throws IOException {
      long high = format.rowBlock(matrix.projection());
      for (int p = 0; p < matrix.parts().size(); p++) {
        ExpertPacker.Region region = matrix.parts().get(p).region();
        long partEnd = region.firstRow() + region.rows();
        long end = Math.min(firstRow + rows, partEnd);
        for (long row = Math.max(firstRow, region.firstRow()); row < end; ) {
          long inBlock = (row - region.firstRow()) % high;
          long blockFirst = row - inBlock;
          long blockEnd = Math.min(blockFirst + high, partEnd);
          long index = (blockFirst - region.firstRow()) / high;
          boolean whole = inBlock == 0 && blockEnd <= end;
          MemorySegment block =
              whole ? unpack(matrix, matrix.parts().get(p), index) : block(matrix, p, index);
          for (; row < Math.min(end, blockEnd); row++) {
            long from = (row - blockFirst) * region.cols();
            long to = (row - firstRow) * matrix.cols() + region.firstCol();
            MemorySegment.copy(block, from, into, to, region.cols());
          }
        }
      }
    }

    private int part(long row, long col) {
      ExpertPacker.Region first = matrix.parts().getFirst().region();
      return Math.toIntExact(
          matrix.projection() == Projection.DOWN ? col / first.cols() : row / first.rows());
    }

    private void readScales(long offset, MemorySegment into) throws IOException {
      MemorySegment all = MemorySegment.ofArray(new byte[Math.toIntExact(scales() * Float.BYTES)]);
      int perRow = scalesPerRow();
      for (int p = 0; p < matrix.parts().size(); p++) {
        Part part = matrix.parts().get(p);
        MemorySegment stored =
            MemorySegment.ofArray(new byte[Math.toIntExact(part.scales().bytes())]);
        packed.read(part.scales(), 0, stored);
        for (long row = 0; row < part.region().rows(); row++) {
          float scale = stored.get(F32, row * Float.BYTES) * format.codeStep();
          long index = (part.region().firstRow() + row) * perRow + (perRow == 1 ? 0 : p);
          all.set(F32, index * Float.BYTES, scale);
        }
      }
      into.copyFrom(all.asSlice(offset, into.byteSize()));
    }

    @Override
    public void checkUnchanged() throws IOException {
      for (Part part : matrix.parts()) {
        packed.checkUnchanged(part.codes());
      }
    }

    @Override
    public void close() {
      // the packed files stay open for other matrices
    }
  }
}
