package smelt.verify;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import smelt.calibrate.model.ActivationScheme;
import smelt.calibrate.model.Activations;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.source.ModelSource;
import smelt.verify.CtArgs.Dynamic;

/// How the runtimes that serve a checkpoint round the input of each linear, from what the
/// checkpoint declares of itself.
///
/// | declared | input of a quantized linear |
/// |---|---|
/// | `fp8` with blocks | E4M3, one scale per token and block of columns |
/// | `blockwise_int8` | INT8, one scale per token and block of columns |
/// | `w8a8_int8`, Ascend `W8A8_DYNAMIC` | INT8, one scale per token |
/// | `fp8` without blocks, `activation_scheme` static | E4M3, the weight's `input_scale` |
/// | Ascend `W8A8` | INT8, the weight's `input_scale` and `input_offset`; sums with `quant_bias` and `deq_scale` |
/// | compressed-tensors | what `input_activations` of the weight's group says, with `input_scale` and `input_zero_point` where they are static; as it is where the group has none |
/// | nothing | as it is |
///
/// Only linears whose weight is stored as codes are fed rounded numbers. `kv_b_proj` never is:
/// runtimes absorb it into the attention and work on it in high precision.
public final class ServedActivations implements Activations {

  private final Quantization quantization;

  /// Of the weights with static scales, by name.
  private final Map<String, ActivationScheme> fixed = new HashMap<>();

  private ServedActivations(Quantization quantization) {
    this.quantization = quantization;
  }

  /// Reads what a checkpoint declares: `config.json`, Ascend's description where there is one, and
  /// static scales.
  ///
  /// @throws smelt.formats.BadInputException naming every static scale that is missing or unusable
  public static ServedActivations read(ModelSource source, Checkpoint checkpoint)
      throws IOException {
    ServedActivations served =
        new ServedActivations(Quantization.of(Facts.readConfig(source), Description.read(source)));
    Map<Weight, ElementType> perTensor = new LinkedHashMap<>();
    List<Weight> shifted = new ArrayList<>();
    List<Weight> ascend = new ArrayList<>();
    for (Weight weight : checkpoint.weights()) {
      if (!isPrecise(weight)) {
        served.perTensor(weight).ifPresent(type -> perTensor.put(weight, type));
        if (served.input(weight).filter(CtArgs::isStaticShifted).isPresent()) {
          shifted.add(weight);
        }
        if (served.isAscendStatic(weight)) {
          ascend.add(weight);
        }
      }
    }
    served.fixed.putAll(new StaticScales(source, checkpoint).perTensor(perTensor));
    served.fixed.putAll(new StaticScales(source, checkpoint).shifted(shifted));
    served.fixed.putAll(new StaticScales(source, checkpoint).ascend(ascend));
    return served;
  }

  /// The same of a checkpoint that is still being written: static scales are read when their weight
  /// is first asked for. For one thread.
  public static Activations later(ModelSource source, Checkpoint checkpoint) throws IOException {
    ServedActivations served =
        new ServedActivations(Quantization.of(Facts.readConfig(source), Description.read(source)));
    StaticScales scales = new StaticScales(source, checkpoint);
    return weight -> {
      boolean isFixed = !isPrecise(weight) && served.isAscendStatic(weight);
      if (isFixed && !served.fixed.containsKey(weight.name())) {
        try {
          served.fixed.putAll(scales.ascend(List.of(weight)));
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }
      return served.of(weight);
    };
  }

  /// The type of codes that one stored scale is for; empty where it is not that.
  private Optional<ElementType> perTensor(Weight weight) {
    if (quantization instanceof Quantization.Fp8Tensor fp8 && fp8.fixedInputs()) {
      return Optional.of(ElementType.F8_E4M3);
    }
    return input(weight).filter(CtArgs::isStaticTensor).map(ServedActivations::type);
  }

  /// What compressed-tensors says of the weight's input; empty where nothing.
  private Optional<CtArgs> input(Weight weight) {
    return quantization instanceof Quantization.CompressedTensors(CtConfig config)
        ? config.groupOf(StaticScales.module(weight)).flatMap(CtConfig.Group::input)
        : Optional.empty();
  }

  private boolean isAscendStatic(Weight weight) {
    return quantization instanceof Quantization.Ascend(Description description)
        && weight.encoding() instanceof Encoding.Channel
        && AscendForms.STATIC.equals(description.types().get(weight.name()));
  }

  private static boolean isPrecise(Weight weight) {
    return weight.encoding() instanceof Encoding.Plain || isAbsorbed(weight.role());
  }

  /// @throws UnsupportedException for a scheme that cannot be simulated
  @Override
  public ActivationScheme of(Weight weight) {
    if (isPrecise(weight)) {
      return new ActivationScheme.None();
    }
    if (fixed.containsKey(weight.name())) {
      return fixed.get(weight.name());
    }
    return switch (quantization) {
      case Quantization.None _ -> new ActivationScheme.None();
      case Quantization.Fp8Block b ->
          new ActivationScheme.PerGroup(
              ElementType.F8_E4M3,
              b.cols(),
              b.powersOfTwo() ? ScaleFormat.UE8M0 : ScaleFormat.FLOAT);
      case Quantization.Int8Block b -> new ActivationScheme.PerGroup(ElementType.I8, b.cols());
      case Quantization.Int8Channel _ -> new ActivationScheme.PerToken(ElementType.I8);
      case Quantization.CompressedTensors _ ->
          input(weight).map(input -> dynamic(input, weight)).orElseGet(ActivationScheme.None::new);
      case Quantization.Ascend(Description description) -> described(description, weight);
      case Quantization.Fp8Tensor _, Quantization.Other _, Quantization.Malformed _ ->
          throw unknown(weight, quantization.label());
    };
  }

  /// The schemes of all weights in words, such as `INT8 per token`; `none` where nothing is
  /// rounded.
  public static String label(Activations activations, Checkpoint checkpoint) {
    Set<String> labels = new TreeSet<>();
    for (Weight weight : checkpoint.weights()) {
      ActivationScheme scheme = activations.of(weight);
      if (!(scheme instanceof ActivationScheme.None)) {
        labels.add(scheme.label());
      }
    }
    return labels.isEmpty() ? "none" : labels.stream().collect(Collectors.joining(" and "));
  }

  private static boolean isAbsorbed(TensorRole role) {
    return role instanceof TensorRole.Attention attention
        && attention.part() == TensorRole.AttentionPart.KV_B;
  }

  private static ActivationScheme dynamic(CtArgs input, Weight weight) {
    boolean known = input.bits() == 8 && input.symmetric() && input.dynamic() == Dynamic.DYNAMIC;
    if (known && input.strategy() == CtArgs.Strategy.TOKEN) {
      return new ActivationScheme.PerToken(type(input));
    }
    if (known && input.strategy() == CtArgs.Strategy.GROUP && input.groupSize().orElse(0) > 0) {
      return new ActivationScheme.PerGroup(type(input), input.groupSize().getAsInt());
    }
    throw unknown(
        weight,
        (input.symmetric() ? "" : "asymmetric ")
            + input.dynamic()
            + " "
            + input.strategy()
            + " input_activations of "
            + input.bits()
            + " bits");
  }

  private static ElementType type(CtArgs input) {
    return input.integer() ? ElementType.I8 : ElementType.F8_E4M3;
  }

  private static ActivationScheme described(Description description, Weight weight) {
    String type = description.types().getOrDefault(weight.name(), AscendForms.FLOAT);
    return switch (type) {
      case AscendForms.FLOAT -> new ActivationScheme.None();
      case AscendForms.DYNAMIC -> new ActivationScheme.PerToken(ElementType.I8);
      default -> throw unknown(weight, type);
    };
  }

  private static UnsupportedException unknown(Weight weight, String what) {
    return new UnsupportedException(
        "the activations of " + what + " (" + weight.name() + ")",
        "symmetric dynamic scales per token or per group, and static ones per tensor, are simulated;"
            + " --activations none leaves them out");
  }
}
