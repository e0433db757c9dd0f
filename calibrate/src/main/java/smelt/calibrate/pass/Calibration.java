package smelt.calibrate.pass;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.calibrate.observe.HeldOut;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.LayerSizes;
import smelt.calibrate.observe.ModelDigest;
import smelt.calibrate.observe.Site;
import smelt.calibrate.observe.TableFiles;
import smelt.calibrate.observe.TableIndex;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Shard;
import smelt.formats.files.Sha256;
import smelt.formats.source.ModelSource;

/// Runs a model over a corpus, layer by layer, and writes down what went into its linears.
///
/// While it is unfinished the table's folder holds a work folder with the hidden states and a
/// receipt for each finished layer. Run again with the same model, text and settings it goes on
/// behind the last of them, and gives the same bytes.
public final class Calibration {

  /// A model, and where it lies.
  public record Model(ModelSource source, Checkpoint checkpoint) {}

  /// The text.
  ///
  /// @param sequences token ids
  /// @param documents for each sequence the number of its document, see [HeldOut]
  /// @param files what they were cut from
  /// @param sequenceLength most ids of a sequence that were asked for
  public record Text(
      List<int[]> sequences,
      List<Integer> documents,
      List<TableIndex.CorpusFile> files,
      int sequenceLength) {

    public Text {
      sequences = List.copyOf(sequences);
      documents = List.copyOf(documents);
      files = List.copyOf(files);
      if (sequences.isEmpty()) {
        throw new IllegalArgumentException("no text");
      }
    }

    /// The tokens that nothing is chosen from.
    public HeldOut heldOut() {
      return HeldOut.of(sequences, documents);
    }

    public long tokens() {
      return sequences.stream().mapToLong(ids -> ids.length).sum();
    }

    public int longest() {
      return sequences.stream().mapToInt(ids -> ids.length).max().orElse(0);
    }
  }

  /// Hears how far the run is, and may end it by an exception.
  @FunctionalInterface
  public interface Watcher {
    /// @param bytes of weights that are left to read, at most
    /// @param steps layers that are left
    default void starts(long bytes, long steps) {}

    default void read(long bytes) {}

    default void stepDone() {}

    /// Called often.
    void check();
  }

  /// What a finished run says of itself.
  ///
  /// @param bytesRead of weights, by this run
  /// @param layersKept that an earlier run had done; the head counts as a layer
  public record Result(TableIndex index, long bytesRead, int layersKept) {}

  private final Model model;
  private final Text text;
  private final LayerObserver.Options options;
  private final CalibratePlan plan;
  private final Compute compute;
  private final Watcher watcher;
  private final ModelSpec spec;
  private final TableIndex empty;

  /// @param program name and version of the program, for the table
  /// @param options the text says which tokens are held out
  /// @param compute one that is steady
  public Calibration(
      Model model,
      Text text,
      LayerObserver.Options options,
      CalibratePlan plan,
      Compute compute,
      Watcher watcher,
      String program)
      throws IOException {
    this.model = model;
    this.text = text;
    this.options = options.of(text.tokens()).holding(text.heldOut());
    this.plan = plan;
    this.compute = compute;
    this.watcher = watcher;
    spec = ModelSpec.of(model.checkpoint());
    empty = empty(program);
  }

  /// What the table will say of itself before anything is measured.
  private TableIndex empty(String program) throws IOException {
    return new TableIndex(
        TableIndex.SCHEMA,
        program,
        new TableIndex.Model(
            ModelDigest.of(model.checkpoint(), model.source()),
            model.checkpoint().architecture().className(),
            spec.layerCount(),
            spec.hidden()),
        text.files(),
        text.sequences().size(),
        text.tokens(),
        new TableIndex.Settings(
            options.hessians(), options.floor(), text.sequenceLength(), options.heldOut().tokens()),
        List.of(),
        new TableIndex.Cost(LayerSizes.forward(model.checkpoint(), spec, text.tokens()), 0),
        List.of());
  }

  /// Whether a folder's table is what this run would make.
  public boolean made(TableIndex found) {
    return found.isOf(empty);
  }

  /// Digest of what the table is made of, of the kernels, and of the stamps of the model's files:
  /// layers of another work are not gone on with.
  public String work() throws IOException {
    StringBuilder lines = new StringBuilder(Sha256.hex(empty.json())).append('\n');
    lines.append(compute.codec().name()).append('\n');
    for (Shard shard : model.checkpoint().shards()) {
      lines.append(shard.file()).append(' ').append(model.source().stamp(shard.file()));
      lines.append('\n');
    }
    return Sha256.hex(lines.toString().getBytes(StandardCharsets.UTF_8));
  }

  /// Does what is left to do, and writes `calibration.json` last of all.
  ///
  /// @param folder the table's
  /// @param workFolder for hidden states and receipts; the caller removes it afterwards
  public Result run(Path folder, Path workFolder) throws IOException {
    String work = work();
    List<LayerReceipt> receipts = receipts(workFolder, work);
    int kept = receipts.size();
    // Those of another work: once hidden states are written anew, none of its layers may go on.
    LayerReceipt.removeFrom(workFolder, kept, spec.layerCount());
    watcher.starts(plan.weightBytes(), spec.layerCount() + 1 - kept);
    long read;
    try (Spill spill = Spill.open(workFolder, text.tokens(), spec.hidden());
        ReferenceModel reference =
            ReferenceModel.open(model.checkpoint(), model.source(), compute, plan.scratch())) {
      if (kept == 0) {
        reference.embed(TokenBatch.over(spill.before(0), text.sequences()));
      }
      for (int layer = kept; layer <= spec.layerCount(); layer++) {
        receipts.add(layer(layer, reference, spill, folder, work));
        receipts.getLast().write(workFolder);
        watcher.stepDone();
      }
      read = reference.bytesRead();
    }
    TableIndex index = index(receipts);
    TableFiles.removeOthers(folder, index.files());
    TableFiles.writeIndex(folder, index);
    return new Result(index, read, kept);
  }

  private List<LayerReceipt> receipts(Path workFolder, String work) throws IOException {
    List<LayerReceipt> receipts = new ArrayList<>();
    boolean found = Spill.isThere(workFolder, text.tokens(), spec.hidden());
    while (found && receipts.size() <= spec.layerCount()) {
      Optional<LayerReceipt> next = LayerReceipt.read(workFolder, work, receipts.size());
      next.ifPresent(receipts::add);
      found = next.isPresent();
    }
    return receipts;
  }

  private LayerReceipt layer(
      int layer, ReferenceModel reference, Spill spill, Path folder, String work)
      throws IOException {
    List<TableIndex.FileEntry> files = new ArrayList<>();
    Matrix behind = spill.behind(layer);
    compute.copy(spill.before(layer), behind);
    try (LayerObserver observer =
        new LayerObserver(
            spec, layer, options, compute, (seen, site) -> keep(seen, site, folder, files))) {
      TokenBatch batch = TokenBatch.over(behind, text.sequences());
      LayerOptions observed =
          LayerOptions.observed(new WatchedObserver(observer, watcher, reference::bytesRead));
      if (layer < spec.layerCount()) {
        var _ = reference.layerOnce(layer, batch, spill.spare(), observed);
      } else {
        reference.norm(batch);
        reference.showHead(behind, observed.observer());
      }
      for (Site site : observer.sites()) {
        keep(observer, site, folder, files);
      }
      files.addAll(TableFiles.write(folder, observer));
      Spill.force(behind);
      return new LayerReceipt(
          work,
          layer,
          files,
          Optional.of(observer.coverage())
              .filter(coverage -> !coverage.experts().isEmpty())
              .map(TableIndex.LayerCoverage::of));
    }
  }

  /// Writes a site's Hessians as soon as it is complete, unless that has been done.
  private static void keep(
      LayerObserver observer, Site site, Path folder, List<TableIndex.FileEntry> files)
      throws IOException {
    if (observer.keepsHessian(site)) {
      files.addAll(TableFiles.writeHessians(folder, observer, site));
      observer.forget(site);
    }
  }

  private TableIndex index(List<LayerReceipt> receipts) {
    List<TableIndex.LayerCoverage> coverage =
        receipts.stream().flatMap(receipt -> receipt.coverage().stream()).toList();
    List<TableIndex.FileEntry> files =
        receipts.stream()
            .flatMap(receipt -> receipt.files().stream())
            .sorted(Comparator.comparing(TableIndex.FileEntry::name))
            .toList();
    return empty.with(coverage, LayerSizes.forced(spec, coverage), files);
  }
}
