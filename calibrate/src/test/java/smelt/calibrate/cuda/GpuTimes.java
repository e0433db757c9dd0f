package smelt.calibrate.cuda;

import static smelt.calibrate.cuda.GpuCheck.say;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.codec.DeviceTranscoder;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;

/// How fast the kernels are: codecs beside a copy within the device, transfers beside a plain one,
/// products beside cuBLAS where it is installed. Each figure is the best of some rounds, after one
/// that is not counted.
final class GpuTimes {

  private static final Encoding BF16 = new Encoding.Plain(ElementType.BF16);
  private static final Encoding F32 = new Encoding.Plain(ElementType.F32);
  private static final Encoding E4M3 = Encoding.fp8Block(ScaleFormat.FLOAT);
  private static final Encoding INT8 = new Encoding.Channel(ElementType.I8, ElementType.F32);
  private static final Encoding INT8_BLOCK =
      new Encoding.Block(ElementType.I8, 128, 128, ElementType.F32, ScaleFormat.FLOAT);

  /// Weights that tensor cores multiply with.
  static final List<Encoding> WEIGHTS = List.of(BF16, E4M3, INT8);

  private static final long PIECE = 128;

  private record Pair(Encoding from, Encoding to) {}

  private static final List<Pair> PAIRS =
      List.of(
          new Pair(BF16, E4M3),
          new Pair(BF16, INT8),
          new Pair(BF16, INT8_BLOCK),
          new Pair(BF16, F32),
          new Pair(F32, BF16),
          new Pair(F32, E4M3),
          new Pair(E4M3, BF16),
          new Pair(E4M3, F32),
          new Pair(E4M3, INT8),
          new Pair(INT8, BF16));

  private final CudaDevice device;
  private final boolean small;
  private final int rounds;

  GpuTimes(CudaDevice device, boolean small) {
    this.device = device;
    this.small = small;
    this.rounds = small ? 1 : 7;
  }

  /// Seconds that a round takes, at best.
  private double best(Runnable start, Runnable finish) {
    start.run();
    finish.run();
    double best = Double.POSITIVE_INFINITY;
    for (int i = 0; i < rounds; i++) {
      long before = System.nanoTime();
      start.run();
      finish.run();
      best = Math.min(best, (System.nanoTime() - before) / 1e9);
    }
    return best;
  }

  private static String name(Encoding encoding) {
    return switch (encoding) {
      case Encoding.Plain p -> p.type().toString();
      case Encoding.Block b -> b.type() + " block";
      case Encoding.Channel c -> c.type() + " channel";
      case Encoding.Int4 _ -> "INT4";
      case Encoding.Ggml _ -> "GGUF";
    };
  }

  void codecs() {
    long rows = small ? 128 : 16384;
    long cols = small ? 128 : 7168;
    int repeats = small ? 1 : 10;
    double copy = copyRate(rows * cols * 2, repeats);
    say("%-28s %8.0f GB/s read and written", "copy within the device", copy);
    for (Pair pair : PAIRS) {
      try (CodecLane lane = new CodecLane(device);
          Arena arena = Arena.ofConfined()) {
        Tile in = repeated(arena, pair.from(), rows, cols);
        Tile out = DeviceTiles.empty(arena, pair.to(), rows, cols);
        lane.start(in, out);
        lane.finish(cols);
        double seconds =
            best(
                () -> {
                  for (int i = 0; i < repeats; i++) {
                    lane.computeAgain(in, out);
                  }
                },
                () -> lane.finish(cols));
        long bytes = TileForm.of(in).codeBytes() + TileForm.of(out).codeBytes();
        double rate = bytes * repeats / seconds / 1e9;
        say(
            "%-28s %8.0f GB/s, %.2f of the copy",
            name(pair.from()) + " to " + name(pair.to()), rate, rate / copy);
      }
    }
  }

  /// Random rows, again and again.
  private static Tile repeated(Arena arena, Encoding encoding, long rows, long cols) {
    Tile piece = DeviceTiles.random(arena, encoding, PIECE, cols, new Random(1));
    Tile whole = DeviceTiles.empty(arena, encoding, rows, cols);
    TileForm form = TileForm.of(piece);
    for (long i = 0; i < rows / PIECE; i++) {
      MemorySegment.copy(
          piece.codes(),
          piece.codesOffset(),
          whole.codes(),
          whole.codesOffset() + i * form.codeBytes(),
          form.codeBytes());
      MemorySegment.copy(
          piece.scales(),
          piece.scalesOffset(),
          whole.scales(),
          whole.scalesOffset() + i * form.scaleBytes(),
          form.scaleBytes());
    }
    return whole;
  }

  private double copyRate(long bytes, int repeats) {
    try (DeviceMemory from = device.allocate(bytes);
        DeviceMemory to = device.allocate(bytes);
        DeviceStream stream = device.stream()) {
      double seconds =
          best(
              () -> {
                for (int i = 0; i < repeats; i++) {
                  stream.copy(from, to, bytes);
                }
              },
              stream::finish);
      return 2.0 * bytes * repeats / seconds / 1e9;
    }
  }

  /// Tiles of 4 MiB from and to pinned memory, two at a time.
  void transfers() {
    long rows = small ? 16 : 512;
    long cols = small ? 128 : 4096;
    int tiles = small ? 4 : 200;
    try (CudaTranscoder pins = new CudaTranscoder(device, 1);
        CodecLane first = new CodecLane(device);
        CodecLane second = new CodecLane(device);
        DeviceStream stream = device.stream();
        DeviceMemory memory = device.allocate(rows * cols * 2);
        Arena arena = Arena.ofConfined()) {
      CodecLane[] lanes = {first, second};
      Tile[] in = new Tile[2];
      Tile[] out = new Tile[2];
      for (int i = 0; i < 2; i++) {
        in[i] = DeviceTiles.random(arena, BF16, rows, cols, new Random(i));
        out[i] = DeviceTiles.empty(arena, E4M3, rows, cols);
      }
      try (DeviceTranscoder.Pinned _ = pins.pin(in[0].codes());
          DeviceTranscoder.Pinned _ = pins.pin(in[1].codes());
          DeviceTranscoder.Pinned _ = pins.pin(out[0].codes());
          DeviceTranscoder.Pinned _ = pins.pin(out[1].codes())) {
        MemorySegment plain = in[0].codes().asSlice(0, rows * cols * 2);
        double copied =
            best(
                () -> {
                  for (int i = 0; i < tiles; i++) {
                    stream.upload(plain, memory, 0);
                  }
                },
                stream::finish);
        double converted = best(() -> alternate(lanes, in, out, tiles), () -> {});
        double bytes = 2.0 * rows * cols * tiles;
        say("%-28s %8.1f GB/s", "upload, pinned", bytes / copied / 1e9);
        say("%-28s %8.1f GB/s", "BF16 up, to E4M3, and back", bytes / converted / 1e9);
      }
    }
  }

  private static void alternate(CodecLane[] lanes, Tile[] in, Tile[] out, int tiles) {
    for (int i = 0; i < tiles; i++) {
      int at = i % 2;
      if (i >= 2) {
        lanes[at].finish(in[at].cols());
      }
      lanes[at].start(in[at], out[at]);
    }
    for (int at = 0; at < 2; at++) {
      lanes[at].finish(in[at].cols());
    }
  }

  void products() {
    long[][] sizes =
        small
            ? new long[][] {{4, 128, 128}}
            : new long[][] {{4096, 4096, 4096}, {4096, 7168, 2048}, {256, 2048, 7168}};
    try (CudaMath math = new CudaMath(device);
        Arena arena = Arena.ofConfined()) {
      Optional<Cublas> cublas = Cublas.find();
      if (cublas.isEmpty()) {
        say("cuBLAS is not installed: nothing to compare products with");
      }
      for (long[] size : sizes) {
        double peer = cublas.map(b -> b.rate(device, size, rounds)).orElse(0.0);
        if (peer > 0) {
          say("%-28s %8.1f TFLOP/s", shape(size) + " cuBLAS", peer);
        }
        for (Encoding encoding : WEIGHTS) {
          double rate = productRate(math, arena, encoding, size);
          String share = peer > 0 ? String.format(", %.2f of cuBLAS", rate / peer) : "";
          say("%-28s %8.1f TFLOP/s%s", shape(size) + " " + name(encoding), rate, share);
        }
      }
    }
  }

  private static String shape(long[] size) {
    return size[0] + "x" + size[1] + "x" + size[2];
  }

  private double productRate(CudaMath math, Arena arena, Encoding encoding, long[] size) {
    Random random = new Random(9);
    Matrix x = MathBounds.random(arena, size[0], size[2], 1, random);
    Tile w = DeviceTiles.random(arena, encoding, size[1], size[2], random);
    int repeats = small ? 1 : 20;
    try (DeviceMatrix sent = math.send(x);
        DeviceWeight weight = math.send(w);
        DeviceMatrix out = math.matrix(size[0], size[1])) {
      double seconds =
          best(
              () -> {
                for (int i = 0; i < repeats; i++) {
                  math.multiply(sent, weight, out);
                }
              },
              math::finish);
      return 2.0 * size[0] * size[1] * size[2] * repeats / seconds / 1e12;
    }
  }
}
