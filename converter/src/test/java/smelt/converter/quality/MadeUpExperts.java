package smelt.converter.quality;

import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertPacker;

/// Experts of DeepSeek-V3's width, 7168 to 2048 and back, whose weights are drawn: what each layout
/// makes of the weights, and of the experts' output for Gaussian inputs. Activations are not
/// rounded.
final class MadeUpExperts {

  private static final int HIDDEN = 7168;
  private static final int WIDTH = 2048;
  private static final int TOKENS = 32;
  private static final Encoding INT8 = new Encoding.Channel(ElementType.I8, ElementType.F32);

  private static final Map<String, ToDoubleFunction<Random>> SHAPES = new LinkedHashMap<>();

  static {
    SHAPES.put("Gaussian", Random::nextGaussian);
    SHAPES.put("Student t, 5 degrees", random -> student(random, 5));
    SHAPES.put("Student t, 3 degrees", random -> student(random, 3));
  }

  private final Arena arena;
  private final Compute compute;
  private final Kernels codec;

  private MadeUpExperts(Arena arena, Compute compute, Kernels codec) {
    this.arena = arena;
    this.compute = compute;
    this.codec = codec;
  }

  private record Expert(Tile gate, Tile up, Tile down) {

    Expert map(Function<Tile, Tile> to) {
      return new Expert(to.apply(gate), to.apply(up), to.apply(down));
    }
  }

  /// Prints SQNR of weights and outputs in dB.
  static void table(PrintStream out) {
    out.println("| weights | layout | gate, up (rows of 7168) | down (rows of 2048) | output |");
    out.println("|---|---|---:|---:|---:|");
    for (Map.Entry<String, ToDoubleFunction<Random>> shape : SHAPES.entrySet()) {
      Kernels codec = KernelSet.choose("auto");
      try (Arena arena = Arena.ofShared();
          Compute compute = new Compute(MathKernelSet.choose("auto"), codec, 2)) {
        new MadeUpExperts(arena, compute, codec).rows(out, shape.getKey(), shape.getValue());
      }
    }
  }

  private void rows(PrintStream out, String name, ToDoubleFunction<Random> shape) {
    Random random = new Random(71);
    Expert expert =
        new Expert(
            drawn(WIDTH, HIDDEN, shape, random),
            drawn(WIDTH, HIDDEN, shape, random),
            drawn(HIDDEN, WIDTH, shape, random));
    Matrix x = matrix(drawn(TOKENS, HIDDEN, Random::nextGaussian, random));
    Matrix exact = output(expert, x);
    layouts()
        .forEach((layout, quantize) -> {
          Expert plain = expert.map(tile -> plain(quantize.apply(tile)));
          out.printf(
              Locale.ROOT,
              "| %s | %s | %.2f | %.2f | %.2f |%n",
              name,
              layout,
              sqnr(expert.gate().codes(), plain.gate().codes()),
              sqnr(expert.down().codes(), plain.down().codes()),
              sqnr(exact.data(), output(plain, x).data()));
        });
  }

  private Map<String, Function<Tile, Tile>> layouts() {
    Map<String, Function<Tile, Tile>> layouts = new LinkedHashMap<>();
    layouts.put(
        "`kt-amx-int4`, upstream",
        tile -> packed(ExpertFormat.AMXINT4, ExpertPacker.Rule.UPSTREAM, tile));
    layouts.put(
        "`kt-amx-int4`", tile -> packed(ExpertFormat.AMXINT4, ExpertPacker.Rule.EXACT, tile));
    layouts.put("`ct-w4a16`", tile -> coded(new Encoding.Int4(128, ElementType.BF16, -7), tile));
    layouts.put("`rawint4`", tile -> coded(new Encoding.Int4(32, ElementType.BF16, -7), tile));
    layouts.put("`kt-amx-int8`", tile -> coded(INT8, tile));
    return layouts;
  }

  private static double student(Random random, int degrees) {
    double squares = 0;
    for (int i = 0; i < degrees; i++) {
      double g = random.nextGaussian();
      squares += g * g;
    }
    return random.nextGaussian() / Math.sqrt(squares / degrees);
  }

  private Tile drawn(int rows, int cols, ToDoubleFunction<Random> shape, Random random) {
    MemorySegment data = arena.allocate((long) Float.BYTES * rows * cols, 64);
    for (long i = 0; i < (long) rows * cols; i++) {
      data.setAtIndex(Matrix.F32, i, (float) (0.02 * shape.applyAsDouble(random)));
    }
    return Tile.plain(ElementType.F32, data, 0, rows, cols);
  }

  private Tile coded(Encoding encoding, Tile from) {
    long count = from.rows() * from.cols();
    MemorySegment codes = arena.allocate(encoding.codeBytes(count), 64);
    MemorySegment scales = arena.allocate(Float.BYTES * count / 32, 64);
    Tile to = new Tile(encoding, codes, 0, scales, 0, from.rows(), from.cols());
    long scratch = Transcoder.scratchBytes(from.encoding(), encoding, from.cols());
    Transcoder.transcode(codec, from, to, arena.allocate(scratch, 64));
    return to;
  }

  /// Codes and scales as they go into the layout, in the order of the rows.
  private Tile packed(ExpertFormat format, ExpertPacker.Rule rule, Tile from) {
    MemorySegment codes = arena.allocate(from.rows() * from.cols(), 64);
    MemorySegment scales = arena.allocate(Float.BYTES * from.rows(), 64);
    MemorySegment scratch =
        arena.allocate(ExpertPacker.scratchBytes(from.encoding(), from.cols()), 64);
    new ExpertPacker(format, rule)
        .quantize(
            codec,
            from,
            new ExpertPacker.Region(0, from.rows(), 0, from.cols()),
            codes,
            scales,
            scratch);
    for (long row = 0; row < from.rows(); row++) {
      float stored = scales.getAtIndex(Matrix.F32, row);
      scales.setAtIndex(Matrix.F32, row, stored * format.codeStep());
    }
    return new Tile(INT8, codes, 0, scales, 0, from.rows(), from.cols());
  }

  private Tile plain(Tile from) {
    return coded(new Encoding.Plain(ElementType.F32), from);
  }

  private static Matrix matrix(Tile plain) {
    return new Matrix(plain.codes(), 0, plain.rows(), plain.cols(), plain.cols());
  }

  private Matrix output(Expert expert, Matrix x) {
    Matrix gate = Matrix.zeros(arena, TOKENS, WIDTH);
    Matrix up = Matrix.zeros(arena, TOKENS, WIDTH);
    Matrix out = Matrix.zeros(arena, TOKENS, HIDDEN);
    compute.multiply(x, expert.gate(), gate);
    compute.multiply(x, expert.up(), up);
    compute.siluMultiply(gate, up, gate);
    compute.multiply(gate, expert.down(), out);
    return out;
  }

  private static double sqnr(MemorySegment exact, MemorySegment other) {
    double signal = 0;
    double noise = 0;
    for (long i = 0; i < exact.byteSize() / Float.BYTES; i++) {
      double value = exact.getAtIndex(Matrix.F32, i);
      double difference = value - other.getAtIndex(Matrix.F32, i);
      signal += value * value;
      noise += difference * difference;
    }
    return 10 * Math.log10(signal / noise);
  }
}
