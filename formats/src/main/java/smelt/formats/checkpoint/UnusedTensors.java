package smelt.formats.checkpoint;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import smelt.formats.Problem;
import smelt.formats.UnsupportedException;

/// Accounts for the stored tensors that are neither weights nor their scales: a few kinds may be
/// left behind, some belong to formats that are not read, the rest are problems.
final class UnusedTensors {

  private static final Pattern ROTARY_FREQUENCIES =
      Pattern.compile("model\\.(?:layers\\.\\d+\\.self_attn\\.)?rotary_emb\\.inv_freq");

  private static final Pattern NATIVE_NAME =
      Pattern.compile("(?:layers|mtp)\\.\\d+\\.(?:attn|ffn|hc_attn|hc_ffn)[._].*|hc_head_.*");

  /// What lies beside a quantized weight whose input is rounded with stored scales.
  private static final List<String> STATIC =
      List.of("input_scale", "input_zero_point", "input_offset", "quant_bias", "deq_scale");

  private static final String OFFSET = "_offset";

  /// A companion of a weight in a format that is not read.
  private record Foreign(String ending, String format) {}

  private static final List<Foreign> FOREIGN =
      List.of(
          new Foreign(".weight_g_idx", "compressed-tensors packed weights with activation order"),
          new Foreign(".weight_zero_point", "compressed-tensors asymmetric weights"),
          new Foreign(".weight_global_scale", "compressed-tensors NVFP4 weights"),
          new Foreign(".weight_scale_2", "ModelOpt NVFP4 weights"),
          new Foreign(".qweight", "GPTQ or AWQ packed weights"),
          new Foreign(".qzeros", "GPTQ or AWQ packed weights"),
          new Foreign(".deq_scale", "Ascend static W8A8 weights without weight_scale"),
          new Foreign(".quant_bias", "Ascend static W8A8 weights without weight_scale"),
          new Foreign(".input_offset", "Ascend static W8A8 weights without weight_scale"),
          new Foreign(".input_scale", "static activation scales"),
          new Foreign(".input_zero_point", "static activation scales"),
          new Foreign(".k_scale", "scales of a quantized cache"),
          new Foreign(".v_scale", "scales of a quantized cache"));

  private final ModelConfig config;
  private final StoredTensors stored;
  private final Set<String> used;
  private Map<String, String> twins = Map.of();

  /// @param used names of the weights and scales
  UnusedTensors(ModelConfig config, StoredTensors stored, Set<String> used) {
    this.config = config;
    this.stored = stored;
    this.used = used;
  }

  /// Adds the tensors that must not be there to `problems`, and returns those that may be left
  /// behind.
  ///
  /// @throws UnsupportedException if one belongs to a format that is not read
  List<Leftover> account(List<Problem> problems) {
    List<SourceTensor> unused =
        stored.all().stream()
            .filter(t -> !used.contains(t.name()))
            .sorted(Comparator.comparing(SourceTensor::name))
            .toList();
    unused.stream().filter(t -> !isStaticInput(t)).forEach(UnusedTensors::refuseForeign);
    List<Leftover> leftovers = new ArrayList<>();
    for (SourceTensor tensor : unused) {
      Optional<Leftover.Reason> reason = harmless(tensor);
      if (reason.isPresent()) {
        leftovers.add(new Leftover(tensor, reason.get()));
      } else if (!belongsOutOfReach(tensor)) {
        problems.add(problem(tensor));
      }
    }
    return leftovers;
  }

  private static void refuseForeign(SourceTensor tensor) {
    String where = tensor.file() + ": " + tensor.name();
    if (NATIVE_NAME.matcher(tensor.name()).matches()) {
      throw Architecture.nativeNames(where);
    }
    for (Foreign foreign : FOREIGN) {
      if (tensor.name().endsWith(foreign.ending())) {
        throw new UnsupportedException(
            foreign.format() + " (" + where + ")", "weights that are read are " + Encodings.READ);
      }
    }
  }

  private Optional<Leftover.Reason> harmless(SourceTensor tensor) {
    String name = tensor.name();
    if (ROTARY_FREQUENCIES.matcher(name).matches()) {
      return Optional.of(Leftover.Reason.ROTARY_FREQUENCIES);
    }
    if (name.endsWith(CodesAndScale.PACKED_SHAPE)) {
      String weight = name.substring(0, name.length() - CodesAndScale.PACKED_SHAPE.length());
      return used.contains(weight + CodesAndScale.PACKED)
          ? Optional.of(Leftover.Reason.PACKED_SHAPE)
          : Optional.empty();
    }
    if (isStaticInput(tensor)) {
      return Optional.of(Leftover.Reason.STATIC_INPUT);
    }
    if (!name.endsWith(OFFSET)) {
      return Optional.empty();
    }
    String codes = name.substring(0, name.length() - OFFSET.length());
    boolean symmetric =
        stored.find(codes + CodesAndScale.SCALE).filter(s -> used.contains(s.name())).isPresent();
    return symmetric ? Optional.of(Leftover.Reason.ZERO_OFFSET) : Optional.empty();
  }

  /// Whether it lies beside a quantized weight and says how its input is rounded.
  private boolean isStaticInput(SourceTensor tensor) {
    int dot = tensor.name().lastIndexOf('.') + 1;
    String codes = tensor.name().substring(0, dot) + "weight";
    return STATIC.contains(tensor.name().substring(dot))
        && CodesAndScale.SCALE_SUFFIXES.stream().map(codes::concat).anyMatch(used::contains);
  }

  /// Whether it may be a scale of a weight whose shard could not be read.
  private boolean belongsOutOfReach(SourceTensor tensor) {
    String name = tensor.name();
    return CodesAndScale.SCALE_SUFFIXES.stream()
        .filter(name::endsWith)
        .anyMatch(s -> stored.isOutOfReach(name.substring(0, name.length() - s.length())));
  }

  private Problem problem(SourceTensor tensor) {
    String where = tensor.file() + ": " + tensor.name();
    for (String suffix : CodesAndScale.SCALE_SUFFIXES) {
      if (tensor.name().endsWith(suffix)) {
        String codes = tensor.name().substring(0, tensor.name().length() - suffix.length());
        return orphan(where, codes, stored.find(codes));
      }
    }
    String found = "a tensor that this architecture does not have";
    String twin = twins().get(tensor.name().toLowerCase(Locale.ROOT));
    return new Problem(
        where,
        twin == null ? found : found + ", which differs from " + twin + " only by case",
        "only the weights that " + ModelConfig.FILE + " implies (" + dimensions() + ")",
        "check that " + ModelConfig.FILE + " belongs to these weights");
  }

  private static Problem orphan(String where, String codes, Optional<SourceTensor> weight) {
    return new Problem(
        where,
        weight
            .map(w -> "a scale, but " + codes + " is " + w.type() + " or has another scale")
            .orElse("a scale without its weight " + codes),
        "one scale for each quantized weight, and no other",
        "download the shards again, or remove the scale");
  }

  private String dimensions() {
    String experts =
        config.routedExperts().isPresent()
            ? ", " + config.routedExperts().getAsInt() + " experts"
            : "";
    return config.numHiddenLayers() + " layers, " + config.mtpLayers() + " MTP layers" + experts;
  }

  /// Names of the used tensors by their lower-case form.
  private Map<String, String> twins() {
    if (twins.isEmpty()) {
      twins = HashMap.newHashMap(used.size());
      for (String name : used) {
        twins.put(name.toLowerCase(Locale.ROOT), name);
      }
    }
    return twins;
  }
}
