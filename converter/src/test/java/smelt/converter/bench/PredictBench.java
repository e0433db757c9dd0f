package smelt.converter.bench;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.IntStream;
import smelt.calibrate.cost.CostModel;
import smelt.calibrate.cost.Effort;
import smelt.calibrate.cost.ProductMeter;
import smelt.calibrate.cost.Rates;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.converter.WideModel;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Shard;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The time of a forward pass as the plan predicts it from measured rates, beside the time that it
/// takes: a model of hidden size 2048 with 64 experts, in FP8. The reference model reads and
/// computes in turn, so the prediction is that sum.
public final class PredictBench {

  private static final int LENGTH = 512;
  private static final long PIECE = 8L << 20;

  private final Checkpoint checkpoint;
  private final ModelSource source;
  private final Compute compute;

  private PredictBench(Checkpoint checkpoint, ModelSource source, Compute compute) {
    this.checkpoint = checkpoint;
    this.source = source;
    this.compute = compute;
  }

  /// @param args layers, by default 2; runs, by default 3
  public static void main(String[] args) throws IOException {
    int layers = args.length > 0 ? Integer.parseInt(args[0]) : 2;
    int runs = args.length > 1 ? Integer.parseInt(args[1]) : 3;
    Path folder = Files.createTempDirectory("smelt-predict-");
    try {
      Path model = folder.resolve("model");
      WideModel.of(layers).with("num_nextn_predict_layers", 0).shards(2).write(model);
      int threads = Runtime.getRuntime().availableProcessors();
      try (ModelSource source = ModelSources.open(model);
          Compute compute =
              Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), threads)) {
        new PredictBench(Checkpoint.open(source), source, compute).run(runs);
      }
    } finally {
      try (java.util.stream.Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  private void run(int runs) throws IOException {
    System.out.println("tokens  read      products      predicted  measured  off");
    for (int tokens : new int[] {512, 1024, 2048}) {
      double[] off = new double[runs];
      for (int run = 0; run < runs; run++) {
        off[run] = compare(tokens);
      }
      Arrays.sort(off);
      System.out.printf(Locale.ROOT, "%6d  median %+.1f %%%n", tokens, 100 * off[runs / 2]);
    }
  }

  private double compare(int tokens) throws IOException {
    long bytes = checkpoint.weights().stream().mapToLong(Weight::bytes).sum();
    try (ReferenceModel model =
        ReferenceModel.open(
            checkpoint,
            source,
            compute,
            ReferenceModel.thriftyScratch(checkpoint, tokens, LENGTH))) {
      double read = readRate();
      double flops =
          new ProductMeter(model.spec(), Encoding.fp8Block(ScaleFormat.FLOAT), compute)
              .flops(tokens, LENGTH);
      Rates rates = new Rates(read, read, flops);
      Effort effort =
          new Effort((double) bytes, 0, CostModel.of(model.spec()).forward(tokens, LENGTH));
      double predicted = effort.inTurn(rates);
      double measured = forward(model, tokens);
      double off = predicted / measured - 1;
      System.out.printf(
          Locale.ROOT,
          "%6d  %.2f GB/s  %6.1f GFLOP/s  %6.2f s   %6.2f s  %+.1f %%%n",
          tokens,
          read / 1e9,
          flops / 1e9,
          predicted,
          measured,
          100 * off);
      return off;
    }
  }

  private double readRate() throws IOException {
    long bytes = 0;
    long start = System.nanoTime();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(PIECE);
      for (Shard shard : checkpoint.shards()) {
        try (ByteSource file = source.open(shard.file())) {
          for (long at = 0; at < file.size(); at += PIECE) {
            long count = Math.min(PIECE, file.size() - at);
            file.read(at, buffer.asSlice(0, count));
            bytes += count;
          }
        }
      }
    }
    return bytes / ((System.nanoTime() - start) / 1e9);
  }

  private static double forward(ReferenceModel model, int tokens) throws IOException {
    Random random = new Random(1);
    List<int[]> texts =
        IntStream.range(0, tokens / LENGTH)
            .mapToObj(_ -> random.ints(LENGTH, 0, model.spec().vocabulary()).toArray())
            .toList();
    try (Arena arena = Arena.ofShared()) {
      TokenBatch batch = TokenBatch.of(arena, texts, model.spec().hidden());
      Matrix logits = Matrix.zeros(arena, tokens, 1024);
      long start = System.nanoTime();
      model.embed(batch);
      for (int layer = 0; layer < model.spec().layerCount(); layer++) {
        model.layer(layer, batch, LayerOptions.PLAIN);
      }
      model.norm(batch);
      for (int first = 0; first < model.spec().vocabulary(); first += 1024) {
        int rows = Math.min(1024, model.spec().vocabulary() - first);
        model.logits(batch.hidden(), first, rows, LayerOptions.PLAIN, logits.columns(0, rows));
      }
      return (System.nanoTime() - start) / 1e9;
    }
  }
}
