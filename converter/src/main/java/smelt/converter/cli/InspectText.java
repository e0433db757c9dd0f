package smelt.converter.cli;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import smelt.converter.ByteSize;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Inventory;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.Shard;
import smelt.formats.checkpoint.SideFile;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;

/// A model for people.
final class InspectText {

  private final Checkpoint model;
  private final Inventory inventory;
  private final Consumer<String> out;

  private InspectText(Checkpoint model, Consumer<String> out) {
    this.model = model;
    this.inventory = Inventory.of(model);
    this.out = out;
  }

  /// @param tensors whether every stored tensor is listed too
  static void lines(Checkpoint model, boolean tensors, Consumer<String> out) {
    InspectText text = new InspectText(model, out);
    text.head();
    text.table("role", text.inventory.byRole());
    text.table("layers", words(text.inventory.byKind()));
    text.table("encoding", EncodingTotals.of(model));
    text.sideFiles();
    if (tensors) {
      text.tensors();
    }
  }

  private void head() {
    fact("model", model.location());
    fact("architecture", model.architecture().className());
    fact("layers", layers());
    fact("parameters", parameters());
    long size = model.shards().stream().mapToLong(Shard::size).sum();
    fact(
        "shards",
        String.format(
            Locale.ROOT, "%d files, %,d bytes (%s)", model.shards().size(), size, text(size)));
    fact(
        "tensors",
        String.format(
            Locale.ROOT, "%,d stored, %,d weights", model.storedTensors(), model.weights().size()));
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

  private String parameters() {
    long all = inventory.all().parameters();
    Inventory.Total mtp = inventory.byKind().get(Inventory.LayerKind.MTP);
    return mtp == null
        ? String.format(Locale.ROOT, "%,d", all)
        : String.format(Locale.ROOT, "%,d (%,d without MTP)", all, all - mtp.parameters());
  }

  private static Map<String, Inventory.Total> words(
      Map<Inventory.LayerKind, Inventory.Total> byKind) {
    Map<String, Inventory.Total> rows = new LinkedHashMap<>();
    byKind.forEach((kind, total) -> rows.put(kind.name().toLowerCase(Locale.ROOT), total));
    return rows;
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
    return inventory.byType().entrySet().stream()
        .map(e ->
            String.format(
                Locale.ROOT,
                "%s %,d (%s)",
                e.getKey(),
                e.getValue().tensors(),
                text(e.getValue().bytes())))
        .collect(Collectors.joining(", "));
  }

  private void table(String title, Map<String, Inventory.Total> rows) {
    int longest = rows.keySet().stream().mapToInt(String::length).max().orElse(0);
    int width = Math.max(longest, 16);
    out.accept("");
    out.accept(padded(title, width) + "   tensors          parameters               bytes");
    rows.forEach((name, total) ->
        out.accept(
            padded(name, width)
                + String.format(
                    Locale.ROOT,
                    " %,9d %,19d %,19d",
                    total.tensors(),
                    total.parameters(),
                    total.bytes())));
  }

  private static String padded(String text, int width) {
    return text + " ".repeat(Math.max(0, width - text.length()));
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
