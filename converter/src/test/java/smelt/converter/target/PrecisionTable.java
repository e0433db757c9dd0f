package smelt.converter.target;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.ExpectedWeight;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// `docs/precision.md` as the code has it: what each target makes of the weights of every role.
final class PrecisionTable {

  private static final String PAGE =
      """
      # What becomes of each weight

      Made from the code by `PrecisionTableTest`, which fails when this page is out of step and writes
      it anew with `./dev test converter PrecisionTableTest -Dsmelt.test.args=-Dsmelt.record=true`.

      This is what a target does when the recipe says nothing else. A role is named as in a recipe; the
      names are those of the checkpoints.

      {roles}
      - **plain**: numbers without a scale. A weight that the source has in BF16, F16 or F32 is copied, also
        for `bf16`; one that the source has quantized becomes BF16.
      - **row**: one F32 decode scale for each output channel. **128 x 128**: one for each block; blocks at
        the edges are smaller. **1 x 32**, **1 x 128**: one BF16 scale for as many numbers of a row. Always
        value = code x scale.
      - A weight that the source has in the very encoding of the target is copied, codes and scales.

      ## Kept although it could be quantized

      {kept}
      `quantize:` in a recipe overrides these, on the user's own account; `keep:` keeps what the table
      quantizes.

      ## Never quantized

      Embedding, head, norms, biases, router and its bias, the indexer's `weights_proj` and norms, and the
      parts that only an MTP layer has: no loader expects them quantized. A recipe that asks for it is
      refused. The linear layers inside an MTP layer are treated like those of any other layer.

      ## What loaders merge is alike

      Loaders merge some modules into one: `q_a_proj` with `kv_a_proj_with_mqa`; `q`, `k` and `v`; `gate_proj`
      with `up_proj`, dense and shared; all routed experts of a layer. A recipe that keeps one part of such a
      group and quantizes another is refused, and every such weight is named.

      The loaders of `fp8-block`, `int8-block` and `int8-channel` take routed experts quantized only: a recipe
      cannot keep them there. Those of compressed-tensors and Ascend can. Rows that are no whole number
      of groups are refused for `ct-w4a16` (128) and `rawint4` (64: its kernels take two groups at a time).

      ## How it is stored

      {forms}
      `fp8-block` has scales of any value (`f32`) or powers of two (`ue8m0`, stored as F32 all the same).
      Without `scales:` in the recipe they are as the source's. A scale tensor is named like its weight, with
      the ending shown in place of `weight`; packed codes of `ct-w4a16` and `rawint4` end in `weight_packed`,
      eight to an I32, the first in its lowest bits, as code + 8.
      """;

  private static final String PLAIN = "plain";

  private PrecisionTable() {}

  /// The whole page.
  static String page() {
    return PAGE.replace("{roles}\n", roles())
        .replace("{kept}\n", keptList())
        .replace("{forms}\n", forms());
  }

  /// One role of each kind and label, and the names of its weights, over all architectures.
  private record Row(TensorRole role, Set<String> names) {}

  private static Map<String, Row> rows() {
    Map<String, Row> rows = new LinkedHashMap<>();
    for (Architecture architecture : Architecture.values()) {
      byte[] json =
          SyntheticCheckpoint.of(architecture).config().toString().getBytes(StandardCharsets.UTF_8);
      ModelConfig config = ModelConfig.parse(architecture.className(), json);
      architecture.weights(config, weight -> add(rows, weight));
    }
    return rows;
  }

  private static void add(Map<String, Row> rows, ExpectedWeight weight) {
    rows.computeIfAbsent(
            weight.role().getClass() + weight.role().label(),
            _ -> new Row(weight.role(), new LinkedHashSet<>()))
        .names()
        .add(module(weight.name()));
  }

  /// The module's own name without its path: `q_a_proj`; a bias keeps its ending: `q_proj.bias`.
  private static String module(String weight) {
    String path = weight.replaceFirst("\\.weight$", "");
    int end = path.endsWith(".bias") ? path.length() - ".bias".length() : path.length();
    return path.substring(path.lastIndexOf('.', end - 1) + 1);
  }

  /// The kinds of roles that some architecture has a weight of.
  static Set<Class<?>> kinds() {
    return rows().values().stream().map(row -> row.role().getClass()).collect(Collectors.toSet());
  }

  /// Parts of one kind of role that all targets treat alike share a line.
  private static String roles() {
    Map<String, List<Row>> lines = new LinkedHashMap<>();
    for (Row row : rows().values()) {
      String kind = row.role().label().replaceFirst("\\..*", "");
      lines.computeIfAbsent(kind + cells(row.role()), _ -> new ArrayList<>()).add(row);
    }
    StringBuilder table = new StringBuilder("| role | names |");
    for (Target target : Target.checkpoints()) {
      table.append(" `").append(target.label()).append("` |");
    }
    table.append("\n|---|---|").append("---|".repeat(Target.checkpoints().size())).append('\n');
    for (List<Row> line : lines.values()) {
      table.append("| ").append(quoted(line.stream().map(row -> row.role().label())));
      table.append(" | ").append(quoted(line.stream().flatMap(row -> row.names().stream())));
      table.append(" | ").append(cells(line.getFirst().role())).append(" |\n");
    }
    return table.append('\n').toString();
  }

  private static String quoted(Stream<String> names) {
    return names.distinct().map(name -> "`" + name + "`").collect(Collectors.joining(", "));
  }

  private static String cells(TensorRole role) {
    return Target.checkpoints().stream()
        .map(target -> cell(target, role))
        .collect(Collectors.joining(" | "));
  }

  private static String cell(Target target, TensorRole role) {
    return switch (Precision.of(target, role)) {
      case QUANTIZED -> words(TargetFormat.of(target, ScaleFormat.FLOAT).quantized().orElseThrow());
      case KEPT -> "**" + PLAIN + "**, kept";
      case NEVER -> PLAIN;
    };
  }

  private static String words(Encoding encoding) {
    String type = encoding.type().name().replace("F8_", "").replaceFirst("^I8$", "INT8");
    return switch (encoding) {
      case Encoding.Plain _ -> type;
      case Encoding.Ggml(var blocks) -> blocks.name();
      case Encoding.Channel _ -> type + ", row";
      case Encoding.Int4 int4 -> "INT4, 1 x " + int4.group();
      case Encoding.Block block ->
          String.format(Locale.ROOT, "%s, %d x %d", type, block.blockRows(), block.blockCols());
    };
  }

  private static String keptList() {
    StringBuilder list = new StringBuilder();
    for (Target target : Target.checkpoints()) {
      for (Precision.Kept kept : Precision.kept(target)) {
        list.append(
            String.format(
                Locale.ROOT,
                "- `%s` keeps `%s`: %s.\n",
                target.label(),
                kept.role(),
                kept.reason()));
      }
    }
    return list.append('\n').toString();
  }

  private static String forms() {
    StringBuilder table =
        new StringBuilder(
            "| target | codes | scale tensor | further tensor | shards |\n|---|---|---|---|---|\n");
    for (Target target : Target.checkpoints()) {
      TargetFormat format = TargetFormat.of(target, ScaleFormat.FLOAT);
      table.append(
          String.format(
              Locale.ROOT,
              "| `%s` | %s | %s | %s | `%s` |\n",
              target.label(),
              format.quantized().map(PrecisionTable::words).orElse("none"),
              format
                  .quantized()
                  .map(e -> "`" + format.scaleSuffix() + "` " + shape(e))
                  .orElse("none"),
              further(format),
              format.shardName(1, 9)));
    }
    return table.append('\n').toString();
  }

  private static String further(TargetFormat format) {
    if (format.zeroOffsets()) {
      return "`" + TargetFormat.OFFSET_SUFFIX + "` [rows, 1], zeros";
    }
    return format.quantized().orElse(null) instanceof Encoding.Int4
        ? "`" + TargetFormat.SHAPE_SUFFIX + "` [2], rows and columns"
        : "none";
  }

  private static String shape(Encoding encoding) {
    return switch (encoding) {
      case Encoding.Plain _, Encoding.Ggml _ -> "";
      case Encoding.Channel _ -> "[rows, 1]";
      case Encoding.Int4 int4 -> "[rows, columns / " + int4.group() + "]";
      case Encoding.Block block ->
          String.format(
              Locale.ROOT,
              "[rows / %d, columns / %d], rounded up",
              block.blockRows(),
              block.blockCols());
    };
  }
}
