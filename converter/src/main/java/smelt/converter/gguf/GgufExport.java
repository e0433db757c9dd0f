package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.LongConsumer;
import java.util.zip.CRC32C;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.Sha256;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.source.ModelSource;

/// Writes a planned GGUF file, front to back, in a memory that depends on the longest row of the
/// model and not on its size: a few rows of one weight, or one head of `kv_b_proj`, at a time.
///
/// Values go from the source's encoding through F32 to the file's type and are rounded nowhere
/// else. The file appears under its name when it is complete, was read back from the disk, and the
/// source is unchanged; otherwise nothing of it stays.
public final class GgufExport {

  /// What was written.
  public record Result(long bytes, String sha256) {}

  /// F32 bytes of the rows that are handled together, unless one row alone has more.
  private static final long CHUNK_BYTES = 4L << 20;

  private static final long READ_BACK_BYTES = 1L << 20;

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final GgufPlan plan;
  private final Kernels kernels;
  private final LongConsumer progress;
  private final OpenShards shards;
  private final RowReader reader;
  private final AtomicFile file;
  private final MemorySegment values;
  private final MemorySegment turned;
  private final MemorySegment encoded;
  private final CRC32C written = new CRC32C();
  private long position;

  private GgufExport(
      GgufPlan plan,
      Kernels kernels,
      LongConsumer progress,
      OpenShards shards,
      AtomicFile file,
      Memory sizes,
      Arena arena) {
    this.plan = plan;
    this.kernels = kernels;
    this.progress = progress;
    this.shards = shards;
    this.file = file;
    this.reader = new RowReader(shards, kernels, arena.allocate(sizes.source(), 64));
    this.values = arena.allocate(sizes.values(), 64);
    this.turned = arena.allocate(sizes.turned(), 64);
    this.encoded = arena.allocate(sizes.encoded(), 64);
  }

  /// The buffers of a run.
  private record Memory(long source, long values, long turned, long encoded) {
    static Memory of(GgufPlan plan) {
      Memory most = new Memory(0, 0, 0, READ_BACK_BYTES);
      for (GgufPart part : plan.parts()) {
        for (Slab slab : part.slabs()) {
          most = most.atLeast(part.tensor().type(), slab);
        }
      }
      return most;
    }

    private Memory atLeast(GgmlType type, Slab slab) {
      long rows = rowsAtOnce(slab);
      long elements = Math.multiplyExact(rows, slab.cols());
      long floats = Math.multiplyExact(elements, (long) Float.BYTES);
      return new Memory(
          Math.max(source, RowReader.memoryBytes(slab.weight(), rows, slab.cols())),
          Math.max(values, floats),
          Math.max(turned, slab.order() == Slab.Order.PLAIN ? 0 : floats),
          Math.max(encoded, type.bytes(elements)));
    }
  }

  /// Native memory that writing a plan takes, in bytes.
  public static long memoryBytes(GgufPlan plan) {
    Memory memory = Memory.of(plan);
    return memory.source() + memory.values() + memory.turned() + memory.encoded();
  }

  /// Writes the file.
  ///
  /// @param checkpoint what was planned
  /// @param source where the checkpoint lies
  /// @param target the file; its folder must exist, and what it held before is replaced at the end
  /// @param progress told how many bytes were written, as they are
  /// @throws smelt.formats.BadInputException if the source has a weight or scale that is not
  ///   finite, or a weight that the file's type cannot hold, or was changed meanwhile
  /// @throws IOException if reading or writing fails, or the disk does not hold what was written
  public static Result write(
      Checkpoint checkpoint,
      ModelSource source,
      GgufPlan plan,
      Path target,
      Kernels kernels,
      LongConsumer progress)
      throws IOException {
    plan.requireMadeFor(checkpoint);
    try (Arena arena = Arena.ofConfined();
        OpenShards shards = new OpenShards(source);
        AtomicFile file = AtomicFile.create(target, plan.layout().fileSize())) {
      Memory sizes = Memory.of(plan);
      return new GgufExport(plan, kernels, progress, shards, file, sizes, arena).run();
    }
  }

  private Result run() throws IOException {
    GgufLayout layout = plan.layout();
    append(MemorySegment.ofArray(layout.header()));
    for (GgufPart part : plan.parts()) {
      switch (part.content()) {
        case GgufMapping.Content.Weights(List<Slab> slabs) -> {
          for (Slab slab : slabs) {
            slab(part.tensor().type(), slab);
          }
        }
        case GgufMapping.Content.Numbers(List<Float> values) -> numbers(values);
      }
      append(encoded.asSlice(0, layout.padding(part.tensor())).fill((byte) 0));
    }
    shards.checkUnchanged();
    file.force();
    String sha256 = readBack();
    file.commit();
    return new Result(layout.fileSize(), sha256);
  }

  /// Rows of a slab that are handled together: all when they are turned.
  private static long rowsAtOnce(Slab slab) {
    if (slab.order() != Slab.Order.PLAIN) {
      return slab.rows();
    }
    return Math.clamp(CHUNK_BYTES / Float.BYTES / slab.cols(), 1, slab.rows());
  }

  private void slab(GgmlType type, Slab slab) throws IOException {
    long atOnce = rowsAtOnce(slab);
    for (long row = 0; row < slab.rows(); row += atOnce) {
      long rows = Math.min(atOnce, slab.rows() - row);
      long count = rows * slab.cols();
      reader.read(slab.weight(), slab.firstRow() + row, rows, slab.cols(), values);
      check(type, slab, row, count);
      MemorySegment in =
          switch (slab.order()) {
            case PLAIN -> values;
            case TRANSPOSED -> turn(rows, slab.cols());
            case HALVES_BY_TURNS -> byTurns(rows, slab.cols());
          };
      RowEncoder.encode(kernels, type, in, encoded, count);
      append(encoded.asSlice(0, type.bytes(count)));
    }
  }

  private void check(GgmlType type, Slab slab, long row, long count) {
    OptionalLong unfit = RowEncoder.firstUnfit(type, values, count);
    if (unfit.isPresent()) {
      long index = (slab.firstRow() + row) * slab.cols() + unfit.getAsLong();
      float value = values.get(F32, unfit.getAsLong() * Float.BYTES);
      Weight weight = slab.weight();
      SourceTensor codes = weight.codes();
      throw RowReader.corrupt(
          codes, codes.type().bytes(index), value + " at index " + index, "finite " + type);
    }
  }

  /// Makes columns of rows.
  private MemorySegment turn(long rows, long cols) {
    for (long row = 0; row < rows; row++) {
      for (long col = 0; col < cols; col++) {
        float value = values.get(F32, (row * cols + col) * Float.BYTES);
        turned.set(F32, (col * rows + row) * Float.BYTES, value);
      }
    }
    return turned;
  }

  /// Puts rows of the first and the second half by turns.
  private MemorySegment byTurns(long rows, long cols) {
    long bytes = cols * Float.BYTES;
    for (long row = 0; row < rows; row++) {
      long from = row / 2 + (row % 2) * (rows / 2);
      MemorySegment.copy(values, from * bytes, turned, row * bytes, bytes);
    }
    return turned;
  }

  private void numbers(List<Float> numbers) throws IOException {
    MemorySegment out = encoded.asSlice(0, (long) numbers.size() * Float.BYTES);
    for (int i = 0; i < numbers.size(); i++) {
      out.set(F32, (long) i * Float.BYTES, numbers.get(i));
    }
    append(out);
  }

  private void append(MemorySegment bytes) throws IOException {
    file.write(position, bytes);
    written.update(bytes.asByteBuffer());
    position += bytes.byteSize();
    progress.accept(bytes.byteSize());
  }

  /// @return the digest of what the disk holds, which is what was written
  private String readBack() throws IOException {
    MessageDigest sha256 = Sha256.start();
    CRC32C read = new CRC32C();
    MemorySegment buffer = encoded.asSlice(0, READ_BACK_BYTES);
    for (long at = 0; at < position; at += READ_BACK_BYTES) {
      MemorySegment chunk = buffer.asSlice(0, Math.min(READ_BACK_BYTES, position - at));
      file.read(at, chunk);
      sha256.update(chunk.asByteBuffer());
      read.update(chunk.asByteBuffer());
    }
    if (read.getValue() != written.getValue()) {
      throw new IOException(
          file.target()
              + " does not read back as it was written; check the disk and the memory of this"
              + " machine");
    }
    return Sha256.hex(sha256);
  }
}
