package smelt.converter.plan;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import smelt.converter.plan.Plan.Dropped;
import smelt.converter.plan.TargetPlan.SmallFile;
import smelt.formats.checkpoint.SideFile;
import smelt.formats.source.ModelSource;

/// Which of the source's files beside the weights come along: tokenizer, generation config, chat
/// template, licence and the like. What does not is named with its reason.
record SideFiles(List<SmallFile> carried, List<Dropped> leftOut) {

  private static final long LIMIT = 64L << 20;

  private static final String IN_SUBFOLDER = "in a subfolder; loaders read the model's own folder";

  private static final Set<String> CARRIED_ENDINGS =
      Set.of("json", "txt", "jinja", "model", "tiktoken", "md", "");

  SideFiles {
    carried = List.copyOf(carried);
    leftOut = List.copyOf(leftOut);
  }

  /// Index and config are not mentioned: the output has its own.
  static SideFiles of(ModelSource source, List<SideFile> files, boolean copyCode)
      throws IOException {
    List<SmallFile> carried = new ArrayList<>();
    List<Dropped> leftOut = new ArrayList<>();
    Set<String> taken = new HashSet<>();
    for (SideFile file : files) {
      String name = file.name();
      Optional<String> reason =
          switch (file.kind()) {
            case CONFIG, INDEX -> Optional.of("");
            case STRAY_SHARD -> Optional.of("a shard that the index does not list");
            case OTHER_WEIGHTS -> Optional.of("weights in another form");
            case CODE -> reasonToLeaveOutCode(name, copyCode);
            case OTHER -> reasonToLeaveOut(name);
          };
      if (reason.isEmpty() && !taken.add(outputName(name))) {
        reason = Optional.of("another file is carried as " + outputName(name));
      }
      if (reason.isEmpty()) {
        carried.add(new SmallFile(outputName(name), source.readSmall(name, LIMIT), name));
      } else if (!reason.get().isEmpty()) {
        leftOut.add(new Dropped(name, reason.get()));
      }
    }
    return new SideFiles(carried, leftOut);
  }

  /// The model card describes the source, so it comes along under a name that says so.
  private static String outputName(String name) {
    return name.equalsIgnoreCase("README.md") ? "SOURCE_README.md" : name;
  }

  private static Optional<String> reasonToLeaveOutCode(String name, boolean copyCode) {
    if (!copyCode) {
      return Optional.of("remote code; `copy_code: true` in the recipe carries it");
    }
    return name.contains("/") ? Optional.of(IN_SUBFOLDER) : Optional.empty();
  }

  private static Optional<String> reasonToLeaveOut(String name) {
    if (name.contains("/")) {
      return Optional.of(IN_SUBFOLDER);
    }
    if (name.startsWith(".")) {
      return Optional.of("hidden file");
    }
    if (describesOtherWeights(name)) {
      return Optional.of("describes the source's weights, not the output's");
    }
    return CARRIED_ENDINGS.contains(ending(name))
        ? Optional.empty()
        : Optional.of("no file that a loader reads");
  }

  private static boolean describesOtherWeights(String name) {
    return name.endsWith(".index.json")
        || name.equals(TargetPlan.MANIFEST)
        || name.equals("hf_quant_config.json")
        || name.equals("quantize_config.json")
        || name.startsWith("quant_model_description");
  }

  private static String ending(String name) {
    int dot = name.lastIndexOf('.');
    return dot < 0 ? "" : name.substring(dot + 1).toLowerCase(Locale.ROOT);
  }
}
