package smelt.verify;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.gguf.GgufParts;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Integrity and loader rules on a checkpoint, offline: on Smelt's results and on those of others.
///
/// Everything is derived from what lies on disk. All rules run, and all that they find is reported.
public final class Check {

  private static final List<Rule> RULES =
      Stream.of(
              ShardRules.rules(),
              IndexRules.rules(),
              ModelRules.rules(),
              CompanionRules.rules(),
              DataRules.rules(),
              FusionRules.rules(),
              ParallelRules.rules(),
              ConfigRules.rules(),
              IgnoreRules.rules(),
              CtRules.rules(),
              AscendRules.rules(),
              NativeInt4Rules.rules(),
              NativeFp8Rules.rules(),
              ManifestRules.rules())
          .flatMap(List::stream)
          .toList();

  private static final List<Rule> GGUF_RULES =
      Stream.concat(GgufRules.rules().stream(), ManifestRules.untyped().stream()).toList();

  private static final List<Rule> EXPERT_RULES =
      Stream.of(ShardRules.untyped(), KtRules.rules(), ManifestRules.untyped())
          .flatMap(List::stream)
          .toList();

  private Check() {}

  /// All rules, in the order in which they run.
  public static List<RuleText> rules() {
    return Stream.of(RULES, GgufRules.rules(), KtRules.rules())
        .flatMap(List::stream)
        .map(Rule::text)
        .toList();
  }

  /// Checks a folder, a cache snapshot, a plain archive of either, or GGUF files.
  ///
  /// @param runtimes whom it is for; empty for all that could load what the checkpoint declares
  /// @throws BadInputException if it cannot be read as a model at all
  public static CheckReport run(Path model, Set<ServingRuntime> runtimes, CheckOptions options)
      throws IOException {
    List<String> traces = new ArrayList<>();
    if (Files.isDirectory(model.resolve(Facts.WORK_FOLDER))) {
      traces.add(Facts.WORK_FOLDER);
    }
    try (ModelSource source = ModelSources.open(model)) {
      return run(Facts.read(source).with(traces), runtimes, options);
    }
  }

  /// Checks a model that the caller has opened, and closes.
  ///
  /// @param runtimes whom it is for; empty for all that could load what the checkpoint declares
  /// @throws BadInputException if it cannot be read as a model at all
  public static CheckReport run(
      ModelSource source, Set<ServingRuntime> runtimes, CheckOptions options) throws IOException {
    return run(Facts.read(source), runtimes, options);
  }

  private static CheckReport run(Facts read, Set<ServingRuntime> asked, CheckOptions options)
      throws IOException {
    if (read.kind() instanceof FolderKind.Checkpoint
        && read.shards().isEmpty()
        && read.unreadable().isEmpty()
        && read.unfinished().isEmpty()) {
      throw new BadInputException(
          read.source().location(),
          "no *.safetensors file",
          "the shards of a model",
          "name the folder that holds config.json and the weights");
    }
    Facts facts = read.of(options.model());
    facts = options.readData() ? facts.scanned(options.threads()) : facts;
    Set<ServingRuntime> runtimes = asked.isEmpty() ? derived(facts) : EnumSet.copyOf(asked);
    List<Finding> findings = new ArrayList<>();
    List<String> passed = new ArrayList<>();
    List<CheckReport.Skipped> skipped = new ArrayList<>();
    for (Rule rule : rules(facts.kind())) {
      if (rule.text().runtimes().stream().noneMatch(runtimes::contains)) {
        skipped.add(new CheckReport.Skipped(rule.name(), "for other runtimes"));
        continue;
      }
      Findings out = new Findings(rule.text(), runtimes);
      rule.test().apply(facts, out);
      findings.addAll(out.findings());
      if (out.skipped().isPresent()) {
        skipped.add(new CheckReport.Skipped(rule.name(), out.skipped().get()));
      } else if (out.findings().stream().allMatch(f -> f.severity() == Severity.NOTE)) {
        passed.add(rule.name());
      }
    }
    findings.sort(Comparator.comparing(Finding::severity));
    return new CheckReport(
        facts.source().location(),
        runtimes,
        why(facts, asked, runtimes),
        findings,
        passed,
        skipped,
        figures(facts));
  }

  private static List<Rule> rules(FolderKind kind) {
    return switch (kind) {
      case FolderKind.Checkpoint _ -> RULES;
      case FolderKind.Experts _ -> EXPERT_RULES;
      case FolderKind.Gguf _ -> GGUF_RULES;
    };
  }

  private static Set<ServingRuntime> derived(Facts facts) {
    boolean experts =
        facts.modules().keySet().stream().anyMatch(name -> LinearNames.expert(name).isPresent());
    Set<ServingRuntime> served = facts.quantization().servedBy(experts);
    Set<ServingRuntime> derived = EnumSet.copyOf(served.isEmpty() ? ServingRuntime.all() : served);
    derived.remove(ServingRuntime.KTRANSFORMERS);
    return derived;
  }

  private static String why(Facts facts, Set<ServingRuntime> asked, Set<ServingRuntime> runtimes) {
    if (facts.kind() instanceof FolderKind.Gguf) {
      return "checked for llama.cpp, because it is GGUF";
    }
    if (facts.kind() instanceof FolderKind.Experts) {
      return "checked for KTransformers, because it holds packed experts";
    }
    return asked.isEmpty()
        ? "checked for "
            + ServingRuntime.labels(runtimes)
            + ", because the checkpoint declares "
            + facts.quantization().label()
        : "checked for " + ServingRuntime.labels(runtimes) + ", as asked";
  }

  private static Map<String, Long> figures(Facts facts) {
    Map<String, Long> figures = new LinkedHashMap<>();
    figures.put("files", (long) facts.source().names().size());
    switch (facts.kind()) {
      case FolderKind.Checkpoint _ -> {
        figures.put("shards", (long) facts.shards().size());
        figures.put("tensors", (long) facts.tensors().size());
        figures.put(
            "tensor_bytes", facts.tensors().values().stream().mapToLong(SourceTensor::bytes).sum());
        figures.put("quantized_weights", (long) facts.quantized().size());
      }
      case FolderKind.Experts(KtFacts kt) -> {
        figures.put("tensors", (long) kt.slices().size());
        figures.put(
            "tensor_bytes", kt.slices().values().stream().mapToLong(KtFacts.Slice::bytes).sum());
      }
      case FolderKind.Gguf(GgufFacts gguf) -> {
        List<GgufParts.Located> tensors = gguf.parts().tensors();
        figures.put("shards", (long) gguf.parts().parts().size());
        figures.put("tensors", (long) tensors.size());
        figures.put("tensor_bytes", gguf.parts().tensorBytes());
        figures.put(
            "quantized_weights",
            tensors.stream().filter(located -> located.tensor().type().isQuantized()).count());
      }
    }
    figures.put("data_bytes_read", facts.data().map(DataScan.Result::bytesRead).orElse(0L));
    return figures;
  }
}
