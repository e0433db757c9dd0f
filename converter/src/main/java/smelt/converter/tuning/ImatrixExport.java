package smelt.converter.tuning;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.Importance;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.Site;
import smelt.calibrate.observe.TableIndex;
import smelt.converter.gguf.GgufMapping;
import smelt.converter.gguf.GgufOptions;
import smelt.converter.gguf.Slab;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.gguf.GgmlType;
import smelt.formats.imatrix.Imatrix;
import smelt.formats.imatrix.ImatrixEntry;

/// The importance that a calibration table gives to the columns of a model's linears, as an
/// importance matrix of llama.cpp.
///
/// Each matrix has as many rows as tokens were chosen from, at least 1, and as sums the importance
/// that [Importance] defines times these: the mean is what a conversion by the table takes. Tensors
/// whose rows are turned, and stacks of which an expert has no importance at all, are left out.
public final class ImatrixExport {

  private final CalibrationTable table;
  private final int layers;

  private ImatrixExport(CalibrationTable table, int layers) {
    this.table = table;
    this.layers = layers;
  }

  /// Refuses a model that llama.cpp has no place for, before anything is measured.
  ///
  /// @throws smelt.formats.UnsupportedException for such a model
  public static void require(Checkpoint checkpoint) {
    GgufMapping _ = mapping(checkpoint);
  }

  /// Bytes of memory that the export takes at most: the numbers, and what writing them takes.
  public static long bytes(Checkpoint checkpoint) {
    long columns = 0;
    for (GgufMapping.Tensor tensor : mapping(checkpoint).tensors()) {
      long matrices = tensor.dims().size() < 3 ? 1 : tensor.dims().get(2);
      columns = Math.addExact(columns, Math.multiplyExact(tensor.dims().getFirst(), matrices));
    }
    return Math.multiplyExact(3L * Float.BYTES, columns);
  }

  private static GgufMapping mapping(Checkpoint checkpoint) {
    return GgufMapping.of(checkpoint, GgufOptions.of(GgmlType.Q8_0));
  }

  /// Makes it.
  public static Imatrix of(CalibrationTable table, Checkpoint checkpoint) throws IOException {
    ImatrixExport export = new ImatrixExport(table, ModelSpec.of(checkpoint).layerCount());
    Map<String, ImatrixEntry> entries = new TreeMap<>();
    for (GgufMapping.Tensor tensor : mapping(checkpoint).tensors()) {
      if (tensor.content() instanceof GgufMapping.Content.Weights(List<Slab> slabs)) {
        Optional<ImatrixEntry> entry = export.entry(slabs);
        entry.ifPresent(found -> entries.put(tensor.name(), found));
      }
    }
    TableIndex index = table.index();
    return new Imatrix(
        new TreeMap<>(entries),
        index.corpus().stream().map(TableIndex.CorpusFile::name).toList(),
        Math.toIntExact(index.sequences()),
        index.settings().sequenceLength());
  }

  /// What one matrix has.
  private static final class Means {
    private final float[] means;
    private final long tokens;

    Means(float[] means, long tokens) {
      this.means = means;
      this.tokens = tokens;
    }
  }

  private Optional<ImatrixEntry> entry(List<Slab> slabs) throws IOException {
    List<Means> matrices = new ArrayList<>();
    for (Slab slab : slabs) {
      Optional<Means> means =
          slab.order() == Slab.Order.TRANSPOSED ? Optional.empty() : means(slab.weight());
      if (means.isEmpty()) {
        return Optional.empty();
      }
      matrices.add(means.get());
    }
    int cols = matrices.getFirst().means.length;
    float[] sums = new float[Math.multiplyExact(cols, matrices.size())];
    float[] counts = new float[matrices.size()];
    for (int m = 0; m < counts.length; m++) {
      counts[m] = Math.max(1, matrices.get(m).tokens);
      for (int c = 0; c < cols; c++) {
        sums[m * cols + c] = matrices.get(m).means[c] * counts[m];
      }
    }
    return Optional.of(new ImatrixEntry(sums, counts));
  }

  private Optional<Means> means(Weight weight) throws IOException {
    Optional<Site> site = Site.of(weight.role(), layers);
    if (site.isEmpty()) {
      return Optional.empty();
    }
    long tokens = table.stats(site.get()).map(InputStats::tokens).orElse(0L);
    return Importance.of(table::stats, site.get()).map(means -> new Means(means, tokens));
  }
}
