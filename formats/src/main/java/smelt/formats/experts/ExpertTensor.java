package smelt.formats.experts;

import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import smelt.formats.checkpoint.Projection;

/// Codes or scales of a slice of an expert's matrix, under the names of KTransformers' files.
///
/// | form | name |
/// |---|---|
/// | merged safetensors | tensor `blk.L.ffn_{gate,up,down}_exps.E.numa.T.{weight,scale}` |
/// | `.kt` tree | file `_layer_L/_numa_T/NAME_{gate,up,down}_E_{bytes}Byte_{quant,scale}_.kt` |
///
/// `L` is the layer of the checkpoint, `E` the expert and `T` the node, both from 0; `NAME` is
/// [ExpertFormat#treeName].
///
/// @param node NUMA node that reads the slice
public record ExpertTensor(
    int layer, Projection projection, int expert, int node, Content content) {

  /// What a name stands for.
  public enum Content {
    CODES("weight", "quant"),
    SCALES("scale", "scale");

    private final String merged;
    private final String tree;

    Content(String merged, String tree) {
      this.merged = merged;
      this.tree = tree;
    }
  }

  /// A file of a tree, as its path says.
  ///
  /// @param root the tree's folder with a `/` behind it; empty for the top
  /// @param bytes size that the name gives
  public record KtFile(String root, ExpertFormat format, ExpertTensor tensor, long bytes) {}

  private static final String NUMBER = "(0|[1-9]\\d{0,5})";
  private static final Pattern TENSOR =
      Pattern.compile(
          "blk\\."
              + NUMBER
              + "\\.ffn_(gate|up|down)_exps\\."
              + NUMBER
              + "\\.numa\\."
              + NUMBER
              + "\\.(weight|scale)");
  private static final Pattern PATH =
      Pattern.compile(
          "((?:.*/)?)_layer_"
              + NUMBER
              + "/_numa_"
              + NUMBER
              + "/(INT8|INT4|MOE_INT8)_(gate|up|down)_"
              + NUMBER
              + "_(0|[1-9]\\d{0,17})Byte_(quant|scale)_\\.kt");

  /// What a tensor's name says; empty for other tensors.
  public static Optional<ExpertTensor> ofTensor(String name) {
    Matcher parts = TENSOR.matcher(name);
    if (!parts.matches()) {
      return Optional.empty();
    }
    return Optional.of(
        new ExpertTensor(
            number(parts, 1),
            projection(parts.group(2)),
            number(parts, 3),
            number(parts, 4),
            parts.group(5).equals(Content.CODES.merged) ? Content.CODES : Content.SCALES));
  }

  /// What the path of a file says; empty for other files.
  public static Optional<KtFile> ofPath(String path) {
    Matcher parts = PATH.matcher(path);
    if (!parts.matches()) {
      return Optional.empty();
    }
    Content content = parts.group(8).equals(Content.CODES.tree) ? Content.CODES : Content.SCALES;
    ExpertTensor tensor =
        new ExpertTensor(
            number(parts, 2),
            projection(parts.group(5)),
            number(parts, 6),
            number(parts, 3),
            content);
    return ExpertFormat.ofTreeName(parts.group(4))
        .map(format -> new KtFile(parts.group(1), format, tensor, Long.parseLong(parts.group(7))));
  }

  private static int number(Matcher parts, int group) {
    return Integer.parseInt(parts.group(group));
  }

  private static Projection projection(String name) {
    return Projection.valueOf(name.toUpperCase(Locale.ROOT));
  }

  private String projectionName() {
    return projection.name().toLowerCase(Locale.ROOT);
  }

  /// Codes and scales of the same slice.
  public ExpertTensor with(Content other) {
    return new ExpertTensor(layer, projection, expert, node, other);
  }

  /// The name in merged safetensors.
  public String tensorName() {
    return "blk."
        + layer
        + ".ffn_"
        + projectionName()
        + "_exps."
        + expert
        + ".numa."
        + node
        + "."
        + content.merged;
  }

  /// The folder of the layer in a tree.
  public String layerFolder() {
    return "_layer_" + layer;
  }

  /// The path within a tree.
  ///
  /// @param bytes size of the file
  public String path(ExpertFormat format, long bytes) {
    return layerFolder()
        + "/_numa_"
        + node
        + "/"
        + format.treeName()
        + "_"
        + projectionName()
        + "_"
        + expert
        + "_"
        + bytes
        + "Byte_"
        + content.tree
        + "_.kt";
  }
}
