package smelt.converter.choose;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import smelt.calibrate.sensitivity.ModelPart;
import smelt.calibrate.sensitivity.Scheme;
import smelt.converter.gguf.GgufOptions;
import smelt.converter.gguf.GgufTypes;
import smelt.converter.recipe.Selector;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Precision;
import smelt.converter.target.Target;
import smelt.converter.target.TargetFormat;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.gguf.GgmlType;

/// The schemes that a target allows, and how a recipe says which part gets which.
///
/// `gguf` has the types of its blocks, said by `types`. A target that is a checkpoint has its own
/// encoding and BF16, said by `keep`. `kv_b` of GGUF is not chosen: it is written as two tensors,
/// one of them transposed, and stays as the recipe has it.
public sealed interface TargetSchemes {

  /// The schemes, the recipe's own among them.
  List<Scheme> schemes();

  /// Whether a part may have any of them.
  boolean isChosen(ModelPart part);

  /// The scheme of a part that is chosen, as the recipe has it.
  Scheme own(ModelPart part);

  /// The target with other schemes.
  TargetSpec with(Map<ModelPart, Scheme> schemes);

  /// @param names of the types of GGUF to choose among
  /// @throws UnsupportedException for a target without a choice
  static TargetSchemes of(TargetSpec spec, List<String> names) {
    return switch (spec.target().kind()) {
      case GGUF -> new Gguf(spec, types(spec, names));
      case CHECKPOINT -> {
        if (spec.target() == Target.BF16 || spec.target() == Target.RAWINT4) {
          throw unsupported(spec);
        }
        yield new Checkpoint(spec);
      }
      case EXPERTS -> throw unsupported(spec);
    };
  }

  private static UnsupportedException unsupported(TargetSpec spec) {
    return new UnsupportedException(
        "choosing schemes for " + spec.target().label(),
        "gguf, and checkpoints that are quantized throughout, have schemes to choose among");
  }

  private static List<GgmlType> types(TargetSpec spec, List<String> names) {
    Set<GgmlType> types = new LinkedHashSet<>();
    names.forEach(name -> types.add(GgmlType.valueOf(name.toUpperCase(Locale.ROOT))));
    types.add(spec.gguf().types().linear());
    spec.gguf().types().rules().forEach(rule -> types.add(rule.type()));
    return List.copyOf(types);
  }

  /// Blocks of GGUF.
  record Gguf(TargetSpec spec, List<GgmlType> types) implements TargetSchemes {

    @Override
    public List<Scheme> schemes() {
      return types.stream().map(Gguf::scheme).toList();
    }

    private static Scheme scheme(GgmlType type) {
      return new Scheme(
          name(type),
          weight -> rounding(fitting(type, weight)),
          weight -> fitting(type, weight).bytes(weight.shape().elements()));
    }

    private static String name(GgmlType type) {
      return type.name().toLowerCase(Locale.ROOT);
    }

    private static GgmlType fitting(GgmlType type, Weight weight) {
      return GgufTypes.fitting(type, weight.shape().dim(1));
    }

    /// F16 and F32 are taken to hold what a checkpoint has.
    private static Optional<Encoding> rounding(GgmlType type) {
      return switch (type) {
        case F32, F16 -> Optional.empty();
        case BF16 -> Optional.of(new Encoding.Plain(ElementType.BF16));
        default -> Optional.of(new Encoding.Ggml(type));
      };
    }

    @Override
    public boolean isChosen(ModelPart part) {
      return !part.name().endsWith("kv_b");
    }

    @Override
    public Scheme own(ModelPart part) {
      Weight first = part.weights().getFirst();
      return scheme(spec.gguf().types().wanted(first.role(), first.name()));
    }

    @Override
    public TargetSpec with(Map<ModelPart, Scheme> schemes) {
      List<GgufTypes.Rule> rules = new ArrayList<>();
      schemes.forEach((part, scheme) -> {
        GgmlType type = GgmlType.valueOf(scheme.name().toUpperCase(Locale.ROOT));
        for (Selector selector : PartNames.selectors(part)) {
          rules.add(new GgufTypes.Rule(selector, type));
        }
      });
      rules.addAll(spec.gguf().types().rules());
      GgufTypes chosen = new GgufTypes(spec.gguf().types().linear(), rules);
      return spec.with(new GgufOptions(chosen, spec.gguf().name(), spec.gguf().latent()));
    }
  }

  /// A checkpoint in one encoding, of which parts may stay in BF16.
  record Checkpoint(TargetSpec spec) implements TargetSchemes {

    private static final String PLAIN = "bf16";

    @Override
    public List<Scheme> schemes() {
      Encoding bf16 = new Encoding.Plain(ElementType.BF16);
      return List.of(
          new Scheme(spec.target().label(), _ -> Optional.of(encoding()), this::bytes),
          new Scheme(PLAIN, _ -> Optional.of(bf16), weight -> 2 * weight.shape().elements()));
    }

    private TargetFormat format() {
      return TargetFormat.of(spec.target(), spec.scales().orElse(ScaleFormat.FLOAT));
    }

    private Encoding encoding() {
      return format().quantized().orElseThrow();
    }

    private long bytes(Weight weight) {
      long codes = encoding().codeBytes(weight.shape().elements());
      long scales =
          encoding()
              .scaleShape(weight.shape())
              .map(shape -> shape.bytes(encoding().scales().orElseThrow()))
              .orElse(0L);
      long shape =
          format().rowStep().isPresent() ? TargetFormat.SHAPE_SHAPE.bytes(ElementType.I64) : 0;
      return codes + scales * (format().zeroOffsets() ? 2 : 1) + shape;
    }

    @Override
    public boolean isChosen(ModelPart part) {
      return part.weights().stream()
          .allMatch(weight ->
              Precision.of(spec.target(), weight.role()) == Precision.QUANTIZED
                  && (format().rowStep().isEmpty()
                      || weight.shape().dim(1) % format().rowStep().getAsLong() == 0)
                  && spec.quantize().isEmpty());
    }

    @Override
    public Scheme own(ModelPart part) {
      boolean kept =
          part.weights().stream()
              .anyMatch(weight ->
                  spec.keep().stream().anyMatch(s -> s.matches(weight.role(), weight.name())));
      return schemes().get(kept ? 1 : 0);
    }

    @Override
    public TargetSpec with(Map<ModelPart, Scheme> schemes) {
      Map<String, Selector> keep = new LinkedHashMap<>();
      schemes.forEach((part, scheme) -> {
        if (scheme.name().equals(PLAIN)) {
          PartNames.selectors(part).forEach(selector -> keep.put(selector.text(), selector));
        }
      });
      return spec.withKeep(List.copyOf(keep.values()));
    }
  }
}
