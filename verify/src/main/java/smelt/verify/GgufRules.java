package smelt.verify;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import smelt.formats.Problem;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;

/// Rules on GGUF files: the container, what llama.cpp needs to load them, and their values.
final class GgufRules {

  private static final String EMBEDDING = "token_embd.weight";
  private static final String TOKENIZER = "tokenizer.ggml.";
  private static final Set<GgmlType> NO_WEIGHTS =
      Set.of(
          GgmlType.Q8_1,
          GgmlType.Q8_K,
          GgmlType.I8,
          GgmlType.I16,
          GgmlType.I32,
          GgmlType.I64,
          GgmlType.F64);

  private GgufRules() {}

  static List<Rule> rules() {
    return List.of(
        rule(
            "gguf-headers-readable",
            "headers",
            "every GGUF file has a strict header whose tensors fill the file exactly, in order",
            GgufRules::headersReadable),
        rule(
            "gguf-parts-complete",
            "headers, file names",
            "the files are one model: one file, or all parts of it under their numbers",
            GgufRules::partsComplete),
        rule("gguf-names-unique", "headers", "no tensor lies in two files", GgufRules::namesUnique),
        rule(
            "gguf-metadata-complete",
            "headers",
            "the metadata has the sizes without which the architecture cannot be built",
            GgufRules::metadataComplete),
        rule(
            "gguf-tensors-as-metadata",
            "headers",
            "the tensors are exactly those that the metadata implies, with their dimensions",
            GgufRules::tensorsAsMetadata),
        rule(
            "gguf-experts-consistent",
            "headers",
            "as many experts are used as there are, in groups that divide them",
            GgufRules::expertsConsistent),
        rule(
            "gguf-types-served",
            "headers",
            "every tensor has a type that files hold weights in",
            GgufRules::typesServed),
        rule(
            "gguf-interleaved-rows",
            "headers",
            "rows are interleaved where a CPU multiplies with them, for the engine that reads them",
            GgufRules::interleavedRows),
        rule(
            "gguf-vectors-f32",
            "headers",
            "norms, biases and routers are F32",
            GgufRules::vectorsF32),
        rule(
            "gguf-quantization-version",
            "headers",
            "quantized files say general.quantization_version 2",
            GgufRules::quantizationVersion),
        rule(
            "gguf-tokenizer-arrays",
            "headers",
            "the tokenizer's arrays have an entry for each row of the embedding, in their types",
            GgufRules::tokenizerArrays),
        rule(
            "gguf-special-tokens",
            "headers",
            "ids of special tokens are in the vocabulary",
            GgufRules::specialTokens),
        rule(
            "gguf-values-finite",
            "data",
            "no number and no scale of a block is NaN or infinite",
            GgufRules::valuesFinite),
        rule(
            "gguf-manifest-tensors",
            "manifest, headers",
            "the manifest lists exactly the tensors of the headers, each at its place",
            GgufRules::manifestTensors));
  }

  private interface Test {
    void apply(GgufFacts gguf, Facts facts, Findings out);
  }

  private static Rule rule(String name, String reads, String meaning, Test test) {
    return Rule.any(
        name,
        reads,
        meaning,
        (facts, out) -> {
          switch (facts.kind()) {
            case FolderKind.Gguf(GgufFacts gguf) -> test.apply(gguf, facts, out);
            case FolderKind.Checkpoint _, FolderKind.Experts _ -> out.skip("there is no GGUF file");
          }
        });
  }

  private static void problems(List<Problem> problems, Findings out, String consequence) {
    for (Problem problem : problems) {
      out.fail(problem.where(), problem.found(), problem.expected(), consequence);
    }
  }

  private static void headersReadable(GgufFacts gguf, Facts facts, Findings out) {
    problems(
        gguf.parts().unreadable(),
        out,
        "engines stop at this file, crash, or read other bytes than were written");
  }

  private static void partsComplete(GgufFacts gguf, Facts facts, Findings out) {
    if (!gguf.parts().unreadable().isEmpty()) {
      out.skip("a file cannot be read");
      return;
    }
    problems(gguf.parts().splitProblems(), out, "llama.cpp does not find or refuses the parts");
  }

  private static void namesUnique(GgufFacts gguf, Facts facts, Findings out) {
    problems(gguf.parts().twice(), out, "llama.cpp refuses the model");
  }

  /// The architecture, where its tensors are known here.
  private static Optional<String> known(GgufFacts gguf, Findings out) {
    Optional<String> name = gguf.parts().architecture();
    if (gguf.parts().parts().isEmpty() || !gguf.parts().unreadable().isEmpty()) {
      out.skip("a file cannot be read");
      return Optional.empty();
    }
    if (name.isEmpty() || !GgufImplied.knows(name.get())) {
      out.skip("the tensors of " + name.orElse("no architecture") + " are not known");
      return Optional.empty();
    }
    return name;
  }

  private static GgufImplied implied(String architecture, GgufFacts gguf) {
    return GgufImplied.of(architecture, gguf.metadata(), vocabulary(gguf));
  }

  /// Rows of the embedding.
  private static OptionalLong vocabulary(GgufFacts gguf) {
    return gguf.parts().tensors().stream()
        .map(GgufParts.Located::tensor)
        .filter(tensor -> tensor.name().equals(EMBEDDING))
        .mapToLong(GgufTensor::rows)
        .findFirst();
  }

  private static void metadataComplete(GgufFacts gguf, Facts facts, Findings out) {
    if (!gguf.parts().parts().isEmpty() && gguf.parts().architecture().isEmpty()) {
      out.fail(
          gguf.parts().parts().getFirst().file(),
          "no general.architecture",
          "the architecture's name",
          "no engine knows what model this is");
      return;
    }
    Optional<String> architecture = known(gguf, out);
    if (architecture.isPresent()) {
      for (String missing : implied(architecture.get(), gguf).missing()) {
        out.fail(
            gguf.parts().parts().getFirst().file(),
            missing,
            "the size",
            "llama.cpp stops: key not found, or a wrong type");
      }
    }
  }

  private static void tensorsAsMetadata(GgufFacts gguf, Facts facts, Findings out) {
    Optional<String> architecture = known(gguf, out);
    if (architecture.isEmpty()) {
      return;
    }
    Map<String, GgufImplied.Tensor> implied = implied(architecture.get(), gguf).tensors();
    if (implied.isEmpty()) {
      out.skip("sizes are missing in the metadata");
      return;
    }
    Set<String> found = new HashSet<>();
    for (GgufParts.Located located : gguf.parts().tensors()) {
      GgufTensor tensor = located.tensor();
      found.add(tensor.name());
      GgufImplied.Tensor expected = implied.get(tensor.name());
      if (expected == null) {
        out.fail(
            GgufFacts.where(located),
            "a tensor that " + architecture.get() + " does not have",
            "only tensors that the metadata implies",
            "llama.cpp stops: wrong number of tensors");
      } else if (!expected.dims().equals(tensor.dims())) {
        out.fail(
            GgufFacts.where(located),
            "dimensions " + tensor.dims(),
            expected.dims() + ", as the metadata implies",
            "llama.cpp stops: a tensor of wrong shape");
      }
    }
    implied.forEach((name, tensor) -> {
      if (tensor.required() && !found.contains(name)) {
        out.fail(
            gguf.parts().location(),
            "no tensor " + name,
            "dimensions " + tensor.dims() + ", as the metadata implies",
            "llama.cpp stops: missing tensor");
      }
    });
  }

  private static void expertsConsistent(GgufFacts gguf, Facts facts, Findings out) {
    Optional<String> architecture = known(gguf, out);
    if (architecture.isEmpty()) {
      return;
    }
    String prefix = architecture.get() + ".expert_";
    long experts = number(gguf, prefix + "count").orElse(0L);
    long used = number(gguf, prefix + "used_count").orElse(0L);
    long groups = number(gguf, prefix + "group_count").orElse(1L);
    long usedGroups = number(gguf, prefix + "group_used_count").orElse(groups);
    String file = gguf.parts().parts().getFirst().file();
    if (experts == 0) {
      out.skip("there are no experts");
    } else if (used < 1 || used > experts) {
      out.fail(
          file,
          prefix + "used_count " + used,
          "from 1 to the " + experts + " experts",
          "llama.cpp stops, or routes tokens to nothing");
    } else if (groups < 1 || experts % groups != 0 || usedGroups < 1 || usedGroups > groups) {
      out.fail(
          file,
          groups + " groups of " + experts + " experts, of which " + usedGroups + " are used",
          "groups that divide the experts, not more used than there are",
          "experts are chosen otherwise than in training");
    }
  }

  private static Optional<Long> number(GgufFacts gguf, String key) {
    return GgufNumbers.whole(gguf.metadata().get(key));
  }

  private static void typesServed(GgufFacts gguf, Facts facts, Findings out) {
    for (GgufParts.Located located : gguf.parts().tensors()) {
      if (NO_WEIGHTS.contains(located.tensor().type())) {
        out.fail(
            GgufFacts.where(located),
            located.tensor().type().name(),
            "a type for weights",
            "no engine has kernels for weights of this type");
      }
    }
  }

  private static void interleavedRows(GgufFacts gguf, Facts facts, Findings out) {
    List<GgufParts.Located> interleaved =
        gguf.parts().tensors().stream()
            .filter(located -> located.tensor().type().interleavedRows() > 1)
            .toList();
    if (interleaved.isEmpty()) {
      return;
    }
    for (GgufParts.Located located : interleaved) {
      if (located.tensor().name().equals(EMBEDDING)) {
        out.fail(
            GgufFacts.where(located),
            located.tensor().type().name(),
            "a type whose rows stand alone",
            "the engine takes single rows of it, and would take parts of others");
      }
    }
    GgufTensor first = interleaved.getFirst().tensor();
    out.note(
        gguf.parts().location(),
        interleaved.size() + " tensors, the first " + first.name() + " in " + first.type(),
        "to be served by ik_llama.cpp, these tensors on a CPU",
        "llama.cpp stops at the type's number; no GPU computes with it");
  }

  private static void vectorsF32(GgufFacts gguf, Facts facts, Findings out) {
    for (GgufParts.Located located : gguf.parts().tensors()) {
      GgufTensor tensor = located.tensor();
      boolean vector = tensor.dims().size() == 1;
      boolean router = tensor.name().endsWith(".ffn_gate_inp.weight");
      if (vector && tensor.type() != GgmlType.F32) {
        out.fail(
            GgufFacts.where(located),
            tensor.type().name(),
            "F32",
            "llama.cpp has no operation on such vectors: it stops when it runs");
      } else if (router && tensor.type() != GgmlType.F32) {
        out.warn(
            GgufFacts.where(located),
            tensor.type().name(),
            "F32",
            "rounding flips the choice of experts");
      }
    }
  }

  private static void quantizationVersion(GgufFacts gguf, Facts facts, Findings out) {
    boolean quantized =
        gguf.parts().tensors().stream().anyMatch(located -> located.tensor().type().isQuantized());
    if (!quantized) {
      out.skip("nothing is quantized");
      return;
    }
    Optional<Long> version = number(gguf, "general.quantization_version");
    if (version.isEmpty() || version.get() != 2) {
      out.fail(
          gguf.parts().parts().getFirst().file(),
          "general.quantization_version " + version.map(String::valueOf).orElse("absent"),
          "2",
          "readers cannot know which layout the blocks have");
    }
  }

  private static Optional<GgufValue.Array> tokens(GgufFacts gguf, Findings out) {
    if (gguf.metadata().get(TOKENIZER + "tokens") instanceof GgufValue.Array tokens) {
      return Optional.of(tokens);
    }
    out.skip("there is no tokenizer");
    return Optional.empty();
  }

  private static void tokenizerArrays(GgufFacts gguf, Facts facts, Findings out) {
    Optional<GgufValue.Array> tokens = tokens(gguf, out);
    if (tokens.isEmpty()) {
      return;
    }
    long rows = vocabulary(gguf).orElse(tokens.get().values().size());
    array(gguf, "tokens", rows, GgufValue.Kind.TEXT, out);
    array(gguf, "token_type", rows, GgufValue.Kind.I32, out);
    array(gguf, "scores", rows, GgufValue.Kind.F32, out);
    merges(gguf, out);
  }

  private static void array(
      GgufFacts gguf, String name, long length, GgufValue.Kind kind, Findings out) {
    GgufValue value = gguf.metadata().get(TOKENIZER + name);
    if (value == null) {
      return;
    }
    String file = gguf.parts().parts().getFirst().file();
    if (!(value instanceof GgufValue.Array array) || array.elements() != kind) {
      out.fail(
          file,
          TOKENIZER + name + " of another kind",
          "an array of " + kind,
          "engines read the array as another type, beyond its end");
    } else if (array.values().size() != length) {
      out.fail(
          file,
          array.values().size() + " entries of " + TOKENIZER + name,
          length + ", one for each row of " + EMBEDDING,
          "engines stop, or read beyond the array");
    }
  }

  private static void merges(GgufFacts gguf, Findings out) {
    if (!(gguf.metadata().get(TOKENIZER + "merges") instanceof GgufValue.Array merges)) {
      return;
    }
    for (int i = 0; i < merges.values().size(); i++) {
      boolean pair =
          merges.values().get(i) instanceof GgufValue.Text(String text) && text.indexOf(' ', 1) > 0;
      if (!pair) {
        out.fail(
            gguf.parts().parts().getFirst().file(),
            TOKENIZER + "merges[" + i + "] that is no pair",
            "two texts with a space between them",
            "text is cut into other tokens than in training");
        return;
      }
    }
  }

  private static void specialTokens(GgufFacts gguf, Facts facts, Findings out) {
    Optional<GgufValue.Array> tokens = tokens(gguf, out);
    if (tokens.isEmpty()) {
      return;
    }
    gguf.metadata()
        .forEach((key, value) -> {
          if (key.startsWith(TOKENIZER) && key.endsWith("_token_id")) {
            Optional<Long> id = GgufNumbers.whole(value);
            if (id.isEmpty() || id.get() >= tokens.get().values().size()) {
              out.fail(
                  gguf.parts().parts().getFirst().file(),
                  key + " " + id.map(String::valueOf).orElse("of another kind"),
                  "an id below " + tokens.get().values().size(),
                  "engines read beyond the vocabulary, or never stop to generate");
            }
          }
        });
  }

  private static void valuesFinite(GgufFacts gguf, Facts facts, Findings out) {
    if (gguf.nonFinite().isEmpty()) {
      out.skip(DataRules.NOT_READ);
      return;
    }
    for (GgufFacts.NonFinite found : gguf.nonFinite().get()) {
      out.fail(
          found.file() + ": " + found.tensor(),
          (found.type().isQuantized() ? "a scale in block " : "a number at ")
              + found.block()
              + " that is NaN or infinite",
          "finite numbers",
          "one such number makes every logit NaN");
    }
  }

  private static void manifestTensors(GgufFacts gguf, Facts facts, Findings out) {
    Optional<Manifest> manifest = facts.manifest().value();
    if (manifest.isEmpty() || !gguf.parts().unreadable().isEmpty()) {
      out.skip(manifest.isEmpty() ? "there is no readable manifest.json" : "a file cannot be read");
      return;
    }
    Map<String, String> found = new HashMap<>();
    for (GgufParts.Located located : gguf.parts().tensors()) {
      GgufTensor t = located.tensor();
      List<Long> shape = t.dims();
      found.put(
          t.name(), text(t.type().name(), shape, located.file(), located.offset(), t.bytes()));
    }
    List<String> listed = new ArrayList<>();
    for (Manifest.Tensor t : manifest.get().tensors()) {
      listed.add(t.name());
      String expected = text(t.type(), t.shape(), t.file(), t.offset(), t.bytes());
      String is = found.getOrDefault(t.name(), "no such tensor");
      if (!is.equals(expected)) {
        out.fail(
            t.file() + ": " + t.name(), is, expected, "the file is not the one that was written");
      }
    }
    listed.forEach(found::remove);
    found.forEach((name, is) ->
        out.fail(
            name,
            is + ", which the manifest does not list",
            "only tensors that were written",
            "the file is not the one that was written"));
  }

  private static String text(String type, List<Long> shape, String file, long offset, long bytes) {
    return type + " " + shape + " in " + file + " at " + offset + ", " + bytes + " bytes";
  }
}
