package smelt.calibrate.observe;

import java.io.IOException;
import java.lang.foreign.SegmentAllocator;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.tables.ArrowRows;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.files.Sha256;
import smelt.formats.source.ModelSource;

/// A calibration table that `smelt calibrate` made: a folder. Statistics and Hessians are read when
/// they are asked for. Safe for use by several threads; no file stays open.
public final class CalibrationTable {

  private final Path folder;
  private final TableIndex index;
  private final String digest;
  private final Map<Site, Row> rows;
  private final Map<Integer, Coverage> coverage;
  private final Map<String, TableIndex.FileEntry> files;
  private final Set<String> compared = ConcurrentHashMap.newKeySet();

  /// What the table of sites says of one.
  private record Row(
      long tokens,
      long heldOut,
      float min,
      float max,
      int channels,
      int firstChannel,
      int bins,
      int firstBin) {}

  private CalibrationTable(
      Path folder,
      TableIndex index,
      String digest,
      Map<Site, Row> rows,
      Map<Integer, Coverage> coverage) {
    this.folder = folder;
    this.index = index;
    this.digest = digest;
    this.rows = Map.copyOf(rows);
    this.coverage = Map.copyOf(coverage);
    files =
        index.files().stream()
            .collect(Collectors.toMap(TableIndex.FileEntry::name, Function.identity()));
  }

  /// Opens a table. The tables of sites and experts are read, the other files only looked for.
  ///
  /// @throws BadInputException if the folder is no complete table
  public static CalibrationTable open(Path folder) throws IOException {
    Path file = folder.resolve(TableIndex.FILE);
    if (!Files.isRegularFile(file)) {
      throw new BadInputException(
          folder.toString(),
          "no " + TableIndex.FILE,
          "a calibration table",
          "name a folder that smelt calibrate made; run it again if it was interrupted");
    }
    byte[] json = Files.readAllBytes(file);
    TableIndex index = TableIndex.read(file, json);
    for (TableIndex.FileEntry entry : index.files()) {
      if (entry.name().startsWith(LayerTables.SITES + "/")
          || entry.name().startsWith(LayerTables.EXPERTS + "/")) {
        TableFiles.requireSame(folder, entry);
      } else {
        TableFiles.requireSize(folder, entry);
      }
    }
    Map<Site, Row> rows = new HashMap<>();
    Map<Integer, Coverage> coverage = new HashMap<>();
    for (int layer = 0; layer <= index.model().layers(); layer++) {
      readSites(folder, layer, rows);
      coverage.put(layer, readCoverage(folder, layer));
    }
    return new CalibrationTable(folder, index, Sha256.hex(json), rows, coverage);
  }

  private static void readSites(Path folder, int layer, Map<Site, Row> into) throws IOException {
    Path file = folder.resolve(TableIndex.path(LayerTables.SITES, layer));
    try (ArrowRows in = ArrowRows.open(file, LayerTables.schema(LayerTables.SITES))) {
      int count = in.rows();
      List<OptionalInt> experts = in.optionalInt32("expert", 0, count);
      List<String> labels = in.words("site", 0, count);
      long[] tokens = in.int64("tokens", 0, count);
      long[] heldOut = in.int64("held_out_tokens", 0, count);
      float[] min = in.float32("min", 0, count);
      float[] max = in.float32("max", 0, count);
      int[] channels = in.int32("channels", 0, count);
      int[] firstChannel = in.int32("first_channel", 0, count);
      int[] bins = in.int32("bins", 0, count);
      int[] firstBin = in.int32("first_bin", 0, count);
      for (int i = 0; i < count; i++) {
        into.put(
            Sites.of(file.toString(), layer, experts.get(i), labels.get(i)),
            new Row(
                tokens[i],
                heldOut[i],
                min[i],
                max[i],
                channels[i],
                firstChannel[i],
                bins[i],
                firstBin[i]));
      }
    }
  }

  private static Coverage readCoverage(Path folder, int layer) throws IOException {
    Path file = folder.resolve(TableIndex.path(LayerTables.EXPERTS, layer));
    try (ArrowRows in = ArrowRows.open(file, LayerTables.schema(LayerTables.EXPERTS))) {
      int count = in.rows();
      long[] tokens = in.int64("tokens", 0, count);
      double[] mass = in.real("weight_sum", 0, count);
      double[] squares = in.real("weight_square_sum", 0, count);
      long[] forced = in.int64("forced_tokens", 0, count);
      List<String> input = in.words("input_source", 0, count);
      List<String> down = in.words("down_source", 0, count);
      long[] all = in.int64("sample_tokens", 0, count);
      List<Coverage.Expert> experts = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        experts.add(
            new Coverage.Expert(
                tokens[i],
                mass[i],
                squares[i],
                forced[i],
                source(input.get(i)),
                source(down.get(i))));
      }
      return new Coverage(layer, count == 0 ? 0 : all[0], experts);
    }
  }

  private static Coverage.Source source(String word) {
    return Coverage.Source.valueOf(word.toUpperCase(Locale.ROOT));
  }

  /// SHA-256 of `calibration.json`, which has the digests of all other files: the table's identity.
  public String digest() {
    return digest;
  }

  /// What the table was made of.
  public TableIndex index() {
    return index;
  }

  /// One digest for the corpus: SHA-256 over name and digest of each file, in order.
  public String corpusDigest() {
    StringBuilder lines = new StringBuilder();
    index.corpus().forEach(file -> lines.append(file.sha256()).append('\n'));
    return Sha256.hex(lines.toString().getBytes(java.nio.charset.StandardCharsets.US_ASCII));
  }

  /// Refuses a table that was made from another model.
  ///
  /// @throws BadInputException if it was
  public void requireModel(Checkpoint checkpoint, ModelSource source) throws IOException {
    String own = ModelDigest.of(checkpoint, source);
    if (!own.equals(index.model().digest())) {
      throw new BadInputException(
          folder.toString(),
          "a calibration table of another model (" + index.model().digest() + ")",
          "one of " + checkpoint.location() + " (" + own + ")",
          "calibrate this model: smelt calibrate " + checkpoint.location());
    }
  }

  /// All sites that were seen.
  public Set<Site> sites() {
    return rows.keySet();
  }

  /// What was seen at a site; empty for a site that no token came to.
  public Optional<InputStats> stats(Site site) throws IOException {
    Row row = rows.get(site);
    if (row == null) {
      return Optional.empty();
    }
    compare(TableIndex.path(LayerTables.CHANNELS, site.layer()));
    Path file = folder.resolve(TableIndex.path(LayerTables.CHANNELS, site.layer()));
    try (ArrowRows in = ArrowRows.open(file, LayerTables.schema(LayerTables.CHANNELS))) {
      return Optional.of(
          new InputStats(
              row.tokens,
              row.min,
              row.max,
              in.float32("absmax", row.firstChannel, row.channels),
              in.float32("mean_square", row.firstChannel, row.channels),
              histogram(site, row),
              row.heldOut,
              in.float32("held_out_mean_square", row.firstChannel, row.channels)));
    }
  }

  private Optional<Histogram> histogram(Site site, Row row) throws IOException {
    if (row.bins == 0) {
      return Optional.empty();
    }
    compare(TableIndex.path(LayerTables.HISTOGRAMS, site.layer()));
    Path file = folder.resolve(TableIndex.path(LayerTables.HISTOGRAMS, site.layer()));
    try (ArrowRows in = ArrowRows.open(file, LayerTables.schema(LayerTables.HISTOGRAMS))) {
      int[] bins = in.int32("bin", row.firstBin, row.bins);
      long[] counts = in.int64("count", row.firstBin, row.bins);
      long[] all = new long[Histogram.BINS];
      for (int i = 0; i < bins.length; i++) {
        all[bins[i]] = counts[i];
      }
      return Optional.of(new Histogram(all));
    }
  }

  /// Compares a file's digest before it is first used.
  private void compare(String name) throws IOException {
    if (!compared.contains(name)) {
      TableFiles.requireSame(folder, files.get(name));
      compared.add(name);
    }
  }

  /// Channels of a site; empty for a site that no token came to.
  public OptionalInt channels(Site site) {
    Row row = rows.get(site);
    return row == null ? OptionalInt.empty() : OptionalInt.of(row.channels);
  }

  /// The Hessian of a site, where the table has it.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  public Optional<Hessian> hessian(Site site, SegmentAllocator memory) throws IOException {
    Optional<Matrix> into = matrix(site, TableIndex.hessianPath(site), memory);
    return into.isEmpty()
        ? Optional.empty()
        : Optional.of(TableFiles.readHessian(folder, site, rows.get(site).tokens, into.get()));
  }

  /// The Hessian of a site's tokens held out, where the table has it.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  public Optional<Hessian> heldOutHessian(Site site, SegmentAllocator memory) throws IOException {
    Optional<Matrix> into = matrix(site, TableIndex.heldOutPath(site), memory);
    return into.isEmpty()
        ? Optional.empty()
        : Optional.of(TableFiles.readHeldOut(folder, site, rows.get(site).heldOut, into.get()));
  }

  /// Room for the matrix in a file that is what it was; empty where the table has none.
  private Optional<Matrix> matrix(Site site, String file, SegmentAllocator memory)
      throws IOException {
    Row row = rows.get(site);
    if (row == null || !files.containsKey(file)) {
      return Optional.empty();
    }
    compare(file);
    return Optional.of(Matrix.zeros(memory, row.channels, row.channels));
  }

  /// What the experts of a layer saw; without experts for a layer that has none.
  public Coverage coverage(int layer) {
    Coverage found = coverage.get(layer);
    if (found == null) {
      throw new IllegalArgumentException("layer " + layer + " of " + index.model().layers());
    }
    return found;
  }

  /// What the experts of all layers saw, in order.
  public List<Coverage> coverage() {
    return coverage.values().stream().sorted(Comparator.comparingInt(Coverage::layer)).toList();
  }

  /// Reads all files and compares their digests.
  ///
  /// @throws BadInputException naming a file that is not as it was written
  public void requireIntact() throws IOException {
    for (TableIndex.FileEntry entry : index.files()) {
      TableFiles.requireSame(folder, entry);
    }
  }
}
