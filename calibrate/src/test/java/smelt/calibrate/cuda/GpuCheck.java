package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.RoutingRule;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// Checks the GPU of this machine: every codec kernel gives the bytes of the processor, every math
/// kernel stays within its bound; then it measures both. `./dev gpu` runs it.
///
/// Arguments: `--probe` only says what is there; `--small` uses small matrices, for a stand-in
/// driver. Exit codes: 0 all is right, 1 something is not, 4 there is no GPU.
public final class GpuCheck {

  private final CudaDevice device;
  private final boolean small;
  private int faults;

  private GpuCheck(CudaDevice device, boolean small) {
    this.device = device;
    this.small = small;
  }

  public static void main(String[] arguments) {
    List<String> options = Arrays.asList(arguments);
    CudaState state = CudaProbe.probe();
    say("device: %s", state.text());
    if (!(state instanceof CudaState.Ready ready)) {
      say("expected %s; %s", state.expected(), state.remedy());
      System.exit(4);
      return;
    }
    if (options.contains("--probe")) {
      return;
    }
    System.exit(run(ready, options.contains("--small")));
  }

  /// @return the exit code
  static int run(CudaState.Ready ready, boolean small) {
    try (CudaDevice device = CudaDevice.open(ready)) {
      GpuCheck check = new GpuCheck(device, small);
      check.codecs();
      check.math();
      GpuTimes times = new GpuTimes(device, small);
      times.codecs();
      times.transfers();
      times.products();
      say(check.faults == 0 ? "all kernels are right" : "%d faults", check.faults);
      return check.faults == 0 ? 0 : 1;
    }
  }

  static void say(String format, Object... arguments) {
    System.out.println(String.format(Locale.ROOT, format, arguments));
  }

  private void require(boolean right, String what) {
    if (!right) {
      faults++;
      say("WRONG: %s", what);
    }
  }

  private void codecs() {
    Kernels scalar = KernelSet.choose("scalar");
    long[][] sizes =
        small
            ? new long[][] {{130, 136}, {3, 35}}
            : new long[][] {{512, 7168}, {130, 1000}, {257, 1031}, {1, 1}, {1, 129280}};
    int tiles = 0;
    try (CudaTranscoder transcoder = new CudaTranscoder(device, 1)) {
      for (Encoding from : DeviceTiles.sources()) {
        for (Encoding to : DeviceTiles.targets()) {
          for (long[] size : sizes) {
            if (transcoder.supports(from, to)) {
              Random random = new Random(tiles++);
              require(
                  same(scalar, transcoder, from, to, size, random),
                  from + " to " + to + ", " + size[0] + " x " + size[1]);
            }
          }
        }
      }
      everyNumberOfSixteenBits(scalar, transcoder);
      refusals(transcoder);
    }
    say("codec kernels: %d tiles compared with the scalar kernels", tiles);
  }

  private static boolean same(
      Kernels scalar,
      CudaTranscoder transcoder,
      Encoding from,
      Encoding to,
      long[] size,
      Random random) {
    try (Arena arena = Arena.ofConfined()) {
      Tile in = DeviceTiles.random(arena, from, size[0], size[1], random);
      return same(scalar, transcoder, in, to, arena);
    }
  }

  private static boolean same(
      Kernels scalar, CudaTranscoder transcoder, Tile in, Encoding to, Arena arena) {
    Tile expected = DeviceTiles.empty(arena, to, in.rows(), in.cols());
    Tile found = DeviceTiles.empty(arena, to, in.rows(), in.cols());
    MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(in.encoding(), to, in.cols()));
    Transcoder.transcode(scalar, in, expected, scratch);
    transcoder.transcode(in, found);
    return found.codes().mismatch(expected.codes()) == -1
        && found.scales().mismatch(expected.scales()) == -1;
  }

  private void everyNumberOfSixteenBits(Kernels scalar, CudaTranscoder transcoder) {
    for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
      int exponent = type == ElementType.BF16 ? 0x7F80 : 0x7C00;
      for (Encoding to : DeviceTiles.targets()) {
        try (Arena arena = Arena.ofConfined()) {
          Tile tile = DeviceTiles.empty(arena, new Encoding.Plain(type), 256, 256);
          for (int code = 0; code < 65536; code++) {
            short finite = (code & exponent) == exponent ? 0 : (short) code;
            tile.codes().set(DeviceTiles.U16, tile.codesOffset() + 2L * code, finite);
          }
          if (transcoder.supports(tile.encoding(), to)) {
            require(same(scalar, transcoder, tile, to, arena), "every " + type + " to " + to);
          }
        }
      }
    }
  }

  private void refusals(CudaTranscoder transcoder) {
    try (Arena arena = Arena.ofConfined()) {
      Encoding bf16 = new Encoding.Plain(ElementType.BF16);
      Tile in = DeviceTiles.random(arena, bf16, 300, 264, new Random(1));
      in.codes().set(DeviceTiles.U16, in.codesOffset() + 2 * (299 * 264 + 3), (short) 0x7FC0);
      in.codes().set(DeviceTiles.U16, in.codesOffset() + 2 * (131 * 264 + 260), (short) 0x7F80);
      Tile out = DeviceTiles.empty(arena, Encoding.fp8Block(ScaleFormat.FLOAT), 300, 264);
      try {
        transcoder.transcode(in, out);
        require(false, "an infinite weight was not refused");
      } catch (NonFiniteException e) {
        require(
            e.place().equals(new NonFiniteException.Place.Weight(131, 260)),
            "refused " + e.place());
      }
    }
  }

  private void math() {
    long[] size = small ? new long[] {5, 130, 144} : new long[] {300, 520, 2048};
    try (CudaMath math = new CudaMath(device);
        Arena arena = Arena.ofConfined()) {
      for (Encoding encoding : GpuTimes.WEIGHTS) {
        products(math, arena, encoding, size);
      }
      rows(math, arena, small ? 3 : 200, small ? 70 : 7168);
      routing(math, arena, small ? 3 : 2000);
      hessian(math, arena, small ? 40 : 1000, small ? 30 : 200);
    }
  }

  private void products(CudaMath math, Arena arena, Encoding encoding, long[] size) {
    Random random = new Random(2);
    Matrix x = MathBounds.random(arena, size[0], size[2], 1, random);
    Tile w = DeviceTiles.random(arena, encoding, size[1], size[2], random);
    Matrix found = Matrix.zeros(arena, size[0], size[1]);
    try (DeviceMatrix sent = math.send(x);
        DeviceWeight weight = math.send(w);
        DeviceMatrix out = math.matrix(size[0], size[1])) {
      math.multiplyPlain(sent, weight, out);
      math.read(out, found);
      bound("product, plain, " + encoding.type(), MathBounds.product(arena, x, w, found, false));
      math.multiply(sent, weight, out);
      math.read(out, found);
      bound("product, tensors, " + encoding.type(), MathBounds.product(arena, x, w, found, true));
    }
  }

  private void bound(String what, double share) {
    say("%-28s %.4f of its bound", what, share);
    require(share <= 1, what);
  }

  private void rows(CudaMath math, Arena arena, long rows, long cols) {
    Random random = new Random(3);
    Matrix x = MathBounds.random(arena, rows, cols, 20, random);
    Matrix y = MathBounds.random(arena, rows, cols, 1, random);
    Matrix gain = MathBounds.random(arena, 1, cols, 1, random);
    Matrix found = Matrix.zeros(arena, rows, cols);
    try (DeviceMatrix dx = math.send(x);
        DeviceMatrix dy = math.send(y);
        DeviceMatrix weight = math.send(gain);
        DeviceMatrix out = math.matrix(rows, cols)) {
      math.rmsNorm(dx, weight, 1e-6, out);
      math.read(out, found);
      bound("RMS norm", MathBounds.rmsNorm(x, gain, 1e-6, found));
      math.siluMultiply(dx, dy, out);
      math.read(out, found);
      bound("SiLU and product", MathBounds.siluMultiply(x, y, found));
      math.softmax(dx);
      math.read(dx, found);
      bound("softmax", MathBounds.softmax(x, found));
    }
  }

  private void routing(CudaMath math, Arena arena, long rows) {
    Random random = new Random(5);
    RoutingRule rule = new RoutingRule.BiasedSigmoid(256, 8, 8, 4, true, 2.5);
    Matrix logits = MathBounds.random(arena, rows, 256, 2, random);
    Matrix bias = MathBounds.random(arena, 1, 256, 0.3, random);
    Matrix weights = Matrix.zeros(arena, rows, 8);
    MemorySegment experts = arena.allocate(Integer.BYTES * 8 * rows, Integer.BYTES);
    try (DeviceMatrix sent = math.send(logits);
        DeviceMatrix added = math.send(bias);
        DeviceMemory chosen = math.zeros(experts.byteSize());
        DeviceMatrix out = math.matrix(rows, 8)) {
      math.route(sent, Optional.of(added), rule, chosen, out);
      math.read(chosen, experts);
      math.read(out, weights);
    }
    int[] found = experts.toArray(ValueLayout.JAVA_INT);
    bound("routing", MathBounds.routing(logits, bias, rule, found, weights));
  }

  private void hessian(CudaMath math, Arena arena, long rows, int cols) {
    Matrix x = MathBounds.random(arena, rows, cols, 1, new Random(4));
    MemorySegment found = arena.allocate(8L * cols * cols, 8);
    MemorySegment squares = arena.allocate(8L * cols, 8);
    double[] expected = new double[cols];
    for (int c = 0; c < cols; c++) {
      for (long r = 0; r < rows; r++) {
        expected[c] += (double) x.get(r, c) * x.get(r, c);
      }
    }
    try (DeviceMatrix sent = math.send(x);
        DeviceMemory absmax = math.zeros(4L * cols);
        DeviceMemory sums = math.zeros(8L * cols);
        DeviceMemory sum = math.zeros(8L * cols * cols)) {
      math.addHessian(sent, sum);
      math.read(sum, found);
      math.observe(sent, absmax, sums);
      math.read(sums, squares);
    }
    double[] hessian = found.toArray(ValueLayout.JAVA_DOUBLE);
    bound("Hessian", MathBounds.hessian(x, new double[cols * cols], hessian, CudaMath.HESSIAN_RUN));
    require(Arrays.equals(expected, squares.toArray(ValueLayout.JAVA_DOUBLE)), "sums of squares");
  }
}
