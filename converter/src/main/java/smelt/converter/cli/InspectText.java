package smelt.converter.cli;

import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import smelt.converter.ByteSize;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.Shard;
import smelt.formats.checkpoint.SideFile;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;

/// A model for people.
final class InspectText {

  private final Checkpoint model;
  private final ModelTotals totals;
  private final Consumer<String> out;

  private InspectText(Checkpoint model, Consumer<String> out) {
    this.model = model;
    this.totals = ModelTotals.of(model);
    this.out = out;
  }

  /// @param tensors whether every stored tensor is listed too
  static void lines(Checkpoint model, boolean tensors, Consumer<String> out) {
    InspectText text = new InspectText(model, out);
    text.head();
    text.table("role", text.totals.roles());
    text.table("where", text.totals.parts());
    text.table("encoding", text.totals.encodings());
    text.sideFiles();
    if (tensors) {
      text.tensors();
    }
  }

  private void head() {
    ModelTotals.Total all = totals.all();
    ModelTotals.Total mtp = totals.part("MTP layers");
    fact("model", model.location());
    fact("architecture", model.architecture().className());
    fact("layers", layers());
    fact(
        "parameters",
        String.format(Locale.ROOT, "%,d (%,d without MTP)", all.parameters(), without(all, mtp)));
    long size = model.shards().stream().mapToLong(Shard::size).sum();
    fact(
        "shards",
        String.format(
            Locale.ROOT, "%d files, %,d bytes (%s)", model.shards().size(), size, text(size)));
    fact(
        "tensors",
        String.format(
            Locale.ROOT, "%,d stored, %,d weights", model.storedTensors(), all.weights()));
    fact(
        "bytes",
        String.format(
            Locale.ROOT, "%,d of tensors (%s)", model.tensorBytes(), text(model.tensorBytes())));
    fact("element types", types());
    model.config().quantization().flatMap(q -> q.method()).ifPresent(m -> fact("method", m));
    model.notes().forEach(note -> fact("note", note));
    model.leftovers().stream()
        .collect(Collectors.groupingBy(Leftover::reason, Collectors.counting()))
        .forEach((reason, n) -> fact("left over", n + " tensors: " + reason.words()));
  }

  private static long without(ModelTotals.Total all, ModelTotals.Total mtp) {
    return all.parameters() - mtp.parameters();
  }

  private String layers() {
    String experts =
        model.config().routedExperts().isPresent()
            ? String.format(
                Locale.ROOT,
                ", %d routed and %d shared experts",
                model.config().routedExperts().getAsInt(),
                model.config().sharedExperts())
            : "";
    return String.format(
        Locale.ROOT,
        "%d, and %d for MTP%s",
        model.config().numHiddenLayers(),
        model.config().mtpLayers(),
        experts);
  }

  private String types() {
    return totals.types().entrySet().stream()
        .map(e ->
            String.format(
                Locale.ROOT,
                "%s %,d (%s)",
                e.getKey(),
                e.getValue().tensors(),
                text(e.getValue().bytes())))
        .collect(Collectors.joining(", "));
  }

  private void table(String title, Map<String, ModelTotals.Total> rows) {
    int width = rows.keySet().stream().mapToInt(String::length).max().orElse(0);
    width = Math.max(width, 16);
    out.accept("");
    String head = String.format(Locale.ROOT, "%%-%ds %%9s %%9s %%19s %%19s", width);
    out.accept(
        String.format(Locale.ROOT, head, title, "weights", "tensors", "parameters", "bytes"));
    String row = String.format(Locale.ROOT, "%%-%ds %%,9d %%,9d %%,19d %%,19d", width);
    rows.forEach((name, t) ->
        out.accept(
            String.format(
                Locale.ROOT, row, name, t.weights(), t.tensors(), t.parameters(), t.bytes())));
  }

  private void sideFiles() {
    out.accept("");
    out.accept(String.format(Locale.ROOT, "%-40s %12s  %s", "other files", "bytes", "kind"));
    for (SideFile file : model.sideFiles()) {
      String kind = file.kind().name().toLowerCase(Locale.ROOT).replace('_', ' ');
      out.accept(String.format(Locale.ROOT, "%-40s %,12d  %s", file.name(), file.size(), kind));
    }
  }

  private void tensors() {
    out.accept("");
    for (Weight weight : model.weights()) {
      tensor(weight.codes(), weight.role().label());
      weight.scale().ifPresent(scale -> tensor(scale, "scale of the former"));
    }
    model.leftovers().forEach(l -> tensor(l.tensor(), "left over: " + l.reason().words()));
  }

  private void tensor(SourceTensor t, String role) {
    out.accept(
        String.format(
            Locale.ROOT,
            "%s  %s %s  %,d bytes  %s  %s",
            t.name(),
            t.type(),
            t.shape(),
            t.bytes(),
            role,
            t.file()));
  }

  private void fact(String label, String value) {
    out.accept(String.format(Locale.ROOT, "%-15s %s", label, value));
  }

  private static String text(long bytes) {
    return ByteSize.format(bytes);
  }
}
