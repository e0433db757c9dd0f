package smelt.formats.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.TensorEntry;

/// Fills the tensors of a shard with random numbers. Each kind of number has a pool of random
/// values; a tensor is a run through the pool from a place that its name and the seed decide.
final class RandomData {

  /// Values in a pool: prime, so that rows of usual lengths do not repeat.
  private static final int POOL = 1_000_003;

  /// What a pool holds.
  private enum Kind {
    WEIGHT_BF16,
    NORM_BF16,
    BIAS_F32,
    CODE_E4M3,
    CODE_I8,
    SCALE_F32,
    SCALE_POWER_OF_TWO
  }

  /// A pool's numbers depend on nothing else.
  private record Key(long seed, Kind kind) {}

  /// Read by all tests of the process, changed by none.
  private static final Map<Key, ByteBuffer> POOLS = new ConcurrentHashMap<>();

  private final long seed;

  RandomData(long seed) {
    this.seed = seed;
  }

  /// Overwrites the data of a written shard.
  void fill(Path file, SafetensorsLayout layout, boolean powersOfTwo) throws IOException {
    try (FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE)) {
      for (TensorEntry tensor : layout.tensors()) {
        fill(out, layout.offset(tensor), tensor, kind(tensor, powersOfTwo));
      }
    }
  }

  private void fill(FileChannel out, long offset, TensorEntry tensor, Kind kind)
      throws IOException {
    ByteBuffer pool = POOLS.computeIfAbsent(new Key(seed, kind), RandomData::pool);
    int width = pool.capacity() / POOL;
    long mixed = seed * 0x9E3779B97F4A7C15L + tensor.name().hashCode();
    int start = (int) Math.floorMod(mixed, (long) POOL) * width;
    long done = 0;
    while (done < tensor.bytes()) {
      int length = (int) Math.min(tensor.bytes() - done, pool.capacity() - start);
      ByteBuffer part = pool.slice(start, length);
      while (part.hasRemaining()) {
        done += out.write(part, offset + done);
      }
      start = 0;
    }
  }

  private static Kind kind(TensorEntry tensor, boolean powersOfTwo) {
    return switch (tensor.type()) {
      case F8_E4M3 -> Kind.CODE_E4M3;
      case I8 -> Kind.CODE_I8;
      case BF16 -> tensor.name().endsWith("norm.weight") ? Kind.NORM_BF16 : Kind.WEIGHT_BF16;
      case F32 -> {
        if (!tensor.name().contains(".weight_scale")) {
          yield Kind.BIAS_F32;
        }
        yield powersOfTwo ? Kind.SCALE_POWER_OF_TWO : Kind.SCALE_F32;
      }
      default -> throw new IllegalArgumentException("no random " + tensor.type());
    };
  }

  private static ByteBuffer pool(Key key) {
    Kind kind = key.kind;
    RandomGenerator random =
        RandomGeneratorFactory.of("L64X128MixRandom")
            .create(key.seed * 31 + kind.name().hashCode());
    int width = kind == Kind.WEIGHT_BF16 || kind == Kind.NORM_BF16 ? 2 : 4;
    if (kind == Kind.CODE_E4M3 || kind == Kind.CODE_I8) {
      width = 1;
    }
    ByteBuffer pool = ByteBuffer.allocate(POOL * width).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < POOL; i++) {
      double normal = Math.clamp(random.nextGaussian(), -4.0, 4.0);
      switch (kind) {
        case WEIGHT_BF16 -> pool.putShort(bf16(0.02 * normal));
        case NORM_BF16 -> pool.putShort(bf16(1 + 0.1 * normal));
        case BIAS_F32 -> pool.putFloat((float) (0.1 * normal));
        case CODE_E4M3 -> pool.put(e4m3(100 * normal));
        case CODE_I8 -> pool.put((byte) Math.round(Math.clamp(40 * normal, -127, 127)));
        case SCALE_F32 -> pool.putFloat((float) (2e-4 * (1 + 0.2 * normal)));
        case SCALE_POWER_OF_TWO -> pool.putFloat(Math.scalb(1f, -12 - random.nextInt(3)));
      }
    }
    return pool.flip().asReadOnlyBuffer();
  }

  private static short bf16(double value) {
    return (short) (Float.floatToRawIntBits((float) value) >>> 16);
  }

  /// A code near a value of at most 448; the last bits are cut off. Never NaN.
  private static byte e4m3(double value) {
    int sign = value < 0 ? 0x80 : 0;
    double magnitude = Math.min(Math.abs(value), 448);
    int exponent = Math.max(Math.getExponent(magnitude), -6);
    int mantissa = (int) (magnitude / Math.scalb(1.0, exponent - 3));
    int code = mantissa < 8 ? mantissa : ((exponent + 7) << 3) | (mantissa - 8);
    return (byte) (sign | code);
  }
}
