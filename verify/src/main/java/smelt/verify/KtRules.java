package smelt.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.experts.ExpertTensor;
import smelt.formats.experts.ExpertTensor.Content;

/// Rules on experts packed for KTransformers, merged or a `.kt` tree. The runtime itself compares
/// next to nothing: it copies as many bytes as its flags imply from wherever a name leads.
final class KtRules {

  private static final String UNKNOWN = "no layout fits the slices";
  private static final String NO_LISTING = "there is no " + KtListing.NAME;
  private static final int NAMED = 20;

  private KtRules() {}

  /// Looks at the facts of packed experts.
  private interface Test {
    void apply(Facts facts, KtFacts kt, Findings out);
  }

  static List<Rule> rules() {
    return List.of(
        rule(
            "kt-names",
            "headers, file names",
            "there are only names that the runtime looks for, each once",
            KtRules::names),
        rule(
            "kt-complete",
            "headers, file names",
            "every layer has all experts from 0, nodes from 0, projections, codes and scales",
            KtRules::complete),
        rule(
            "kt-sizes",
            "headers, file names",
            "every slice has the size and type of one layout, which its kernels can read",
            KtRules::sizes),
        rule(
            "kt-method",
            "headers",
            "nothing can break it: a note says with which flags the files are served",
            KtRules::method),
        rule(
            "kt-as-model",
            "headers, config",
            "layers, experts and shapes are those of the model's config",
            KtRules::asModel),
        rule(
            "kt-index",
            "index, headers",
            "an index, which the runtime does not read, maps the tensors as they are",
            KtRules::index),
        rule(
            "kt-listing",
            "kt-weight-manifest.json, file names",
            "kt-weight-manifest.json lists exactly the tree's files, each with its size",
            KtRules::listing),
        rule(
            "kt-listing-digests",
            "data, kt-weight-manifest.json",
            "every file has the SHA-256 that kt-weight-manifest.json gives",
            KtRules::digests),
        rule("kt-scales", "data", "every scale is finite and not negative", KtRules::scales),
        rule("kt-codes", "data", "no code is -128, and no nibble -8", KtRules::codes),
        rule(
            "kt-column-sums",
            "data",
            "the sums of MOE_INT8 panels are 128 times those of their codes",
            KtRules::sums));
  }

  private static Rule rule(String name, String reads, String meaning, Test test) {
    return Rule.any(
        name,
        reads,
        meaning,
        (facts, out) -> {
          if (facts.kind() instanceof FolderKind.Experts(KtFacts kt)) {
            test.apply(facts, kt, out);
          } else {
            out.skip("no packed experts");
          }
        });
  }

  private static void names(Facts facts, KtFacts kt, Findings out) {
    for (String other : kt.others().subList(0, Math.min(NAMED, kt.others().size()))) {
      if (kt.root().isPresent()) {
        out.fail(
            other,
            "a .kt file that the runtime does not look for",
            "_layer_L/_numa_T/NAME_proj_E_bytesByte_quant_.kt or _scale_.kt, in one tree",
            "it is never read; what it was meant to be is missing");
      } else {
        out.note(
            other,
            "a tensor that is no slice of an expert",
            "slices only",
            "nobody reads it: the runtime takes everything else from --model");
      }
    }
    for (String file : kt.twice()) {
      out.fail(
          file,
          "a second file for the same slice",
          "one file for each slice",
          "which one is read depends on --kt-method, not on what it holds");
    }
  }

  private static void complete(Facts facts, KtFacts kt, Findings out) {
    Map<Integer, Integer> experts = new TreeMap<>();
    int nodes = 0;
    for (KtFacts.Slice slice : kt.slices().values()) {
      experts.merge(slice.tensor().layer(), slice.tensor().expert() + 1, Math::max);
      nodes = Math.max(nodes, slice.tensor().node() + 1);
    }
    int most = experts.values().stream().mapToInt(Integer::intValue).max().orElse(0);
    int missing = 0;
    for (int layer : experts.keySet()) {
      for (int expert = 0; expert < most; expert++) {
        for (int node = 0; node < nodes; node++) {
          missing += missing(kt, layer, expert, node, missing, out);
        }
      }
    }
    if (missing > NAMED) {
      out.fail(
          facts.source().location(),
          missing + " tensors missing in all",
          most + " experts for " + nodes + " nodes in each layer",
          "the files are of several models, or a copy is incomplete");
    }
  }

  private static int missing(
      KtFacts kt, int layer, int expert, int node, int before, Findings out) {
    int missing = 0;
    for (Projection projection : Projection.values()) {
      for (Content content : Content.values()) {
        ExpertTensor tensor = new ExpertTensor(layer, projection, expert, node, content);
        if (!kt.slices().containsKey(tensor.tensorName()) && before + missing++ < NAMED) {
          out.fail(
              kt.root().map(root -> root + tensor.layerFolder() + ": ").orElse("")
                  + tensor.tensorName(),
              "nothing",
              "codes and scales of every expert for every node",
              "the runtime counts experts up to the first that is missing, and reads past the end");
        }
      }
    }
    return missing;
  }

  private static void sizes(Facts facts, KtFacts kt, Findings out) {
    if (kt.sizes().isEmpty()) {
      out.fail(
          facts.source().location(),
          UNKNOWN,
          "the sizes of AMXINT8, AMXINT4 or MOE_INT8",
          "no method of the runtime can read these files");
      return;
    }
    KtFacts.Sizes sizes = kt.sizes().get();
    for (Projection projection : Projection.values()) {
      List<String> misfits =
          sizes.format().misfits(projection, sizes.rows(projection), sizes.cols(projection));
      if (!misfits.isEmpty()) {
        out.fail(
            facts.source().location() + ": " + projection,
            String.join("; ", misfits),
            "slices that " + sizes.format() + " can read",
            "the runtime stops with 'n or k is not aligned'");
      }
    }
    for (KtFacts.Slice slice : kt.sorted()) {
      size(sizes, slice, out);
    }
  }

  private static void size(KtFacts.Sizes sizes, KtFacts.Slice slice, Findings out) {
    long expected = sizes.bytes(slice.tensor());
    List<String> found = new ArrayList<>();
    if (slice.bytes() != expected) {
      found.add(slice.bytes() + " bytes");
    }
    slice
        .named()
        .filter(file -> file.bytes() != slice.bytes())
        .ifPresent(file -> found.add("a name that says " + file.bytes() + " bytes"));
    slice
        .named()
        .filter(file -> file.format() != sizes.format())
        .ifPresent(file -> found.add("a name that says " + file.format()));
    slice
        .type()
        .filter(type -> type != wanted(slice.tensor().content()))
        .ifPresent(type -> found.add("type " + type));
    if (!found.isEmpty()) {
      out.fail(
          slice.where(),
          String.join(", ", found),
          expected + " bytes of " + wanted(slice.tensor().content()) + " for " + sizes.format(),
          "the runtime copies the bytes that it expects: garbage, or a read past the end");
    }
  }

  private static ElementType wanted(Content content) {
    return switch (content) {
      case CODES -> ElementType.I8;
      case SCALES -> ElementType.F32;
    };
  }

  private static void method(Facts facts, KtFacts kt, Findings out) {
    if (kt.sizes().isEmpty()) {
      out.skip(UNKNOWN);
      return;
    }
    KtFacts.Sizes sizes = kt.sizes().get();
    out.note(
        facts.source().location() + kt.root().map(root -> "/" + root).orElse(""),
        "slices of " + sizes.format() + " for " + sizes.nodes() + " NUMA nodes",
        "--kt-method " + sizes.format() + " --kt-threadpool-count " + sizes.nodes(),
        "nothing compares the flags with the files: with others the model answers gibberish");
  }

  private static void asModel(Facts facts, KtFacts kt, Findings out) {
    if (kt.model().isEmpty() || kt.sizes().isEmpty()) {
      out.skip(kt.model().isEmpty() ? "no model to compare with (--model)" : UNKNOWN);
      return;
    }
    TreeMap<String, Shape> expected = new TreeMap<>();
    TreeMap<String, Shape> found = new TreeMap<>();
    try {
      expected.putAll(matrices(kt.model().get()));
    } catch (UnsupportedException | BadInputException e) {
      out.skip(String.valueOf(e.getMessage()));
      return;
    }
    KtFacts.Sizes sizes = kt.sizes().get();
    Shape up = Shape.of(sizes.intermediate(), sizes.hidden());
    Shape down = Shape.of(sizes.hidden(), sizes.intermediate());
    for (KtFacts.Slice slice : kt.slices().values()) {
      ExpertTensor t = slice.tensor();
      found.put(
          name(t.layer(), t.expert(), t.projection()),
          t.projection() == Projection.DOWN ? down : up);
    }
    SortedSet<String> names = new TreeSet<>(expected.keySet());
    names.addAll(found.keySet());
    int differing = 0;
    for (String name : names) {
      Shape is = found.get(name);
      Shape wanted = expected.get(name);
      if (!java.util.Objects.equals(is, wanted) && differing++ < NAMED) {
        out.fail(
            name,
            is == null ? "no such expert" : is.toString(),
            wanted == null ? "no such expert in the model" : wanted.toString(),
            "the experts are of another model than --model: the runtime reads past their end");
      }
    }
  }

  private static Map<String, Shape> matrices(ModelConfig config) {
    Map<String, Shape> matrices = new TreeMap<>();
    Architecture.of(config)
        .weights(
            config,
            weight -> {
              if (weight.role() instanceof TensorRole.RoutedExpert expert
                  && expert.layerIndex() < config.numHiddenLayers()) {
                matrices.put(
                    name(expert.layerIndex(), expert.expert(), expert.projection()),
                    weight.shape());
              }
            });
    return matrices;
  }

  private static String name(int layer, int expert, Projection projection) {
    return "layer " + layer + ", expert " + expert + ", " + projection;
  }

  private static void index(Facts facts, KtFacts kt, Findings out) {
    Optional<TensorIndex> index = facts.index().value();
    if (index.isEmpty() || kt.root().isPresent()) {
      out.skip("there is no index");
      return;
    }
    Map<String, String> found = new TreeMap<>();
    facts.tensors().forEach((name, tensor) -> found.put(name, tensor.file()));
    if (!found.equals(index.get().fileOf())) {
      out.add(
          facts.promised(),
          ServingRuntime.all(),
          "index: weight_map",
          index.get().fileOf().size() + " entries that are not those of the headers",
          found.size() + " tensors, each in its file",
          "the runtime does not read it, but whoever goes by it misses tensors");
    }
  }

  private static void listing(Facts facts, KtFacts kt, Findings out) {
    switch (kt.listing()) {
      case Document.Absent<KtListing> _ -> out.skip(NO_LISTING);
      case Document.Broken<KtListing> broken ->
          out.fail(
              broken.file(),
              broken.found(),
              broken.expected(),
              "the runtime's validator refuses the tree");
      case Document.Read<KtListing>(String file, KtListing listing) ->
          listing(facts, kt, file, listing, out);
    }
  }

  private static void listing(
      Facts facts, KtFacts kt, String file, KtListing listing, Findings out) {
    String root = kt.root().orElse("");
    Map<String, Long> listed = new TreeMap<>();
    for (KtListing.Layer layer : listing.layers()) {
      layer.files().forEach(entry -> listed.put(root + entry.path(), entry.size_bytes()));
    }
    Map<String, Long> found = new TreeMap<>();
    kt.slices().values().forEach(slice -> found.put(slice.file(), slice.bytes()));
    SortedSet<String> names = new TreeSet<>(listed.keySet());
    names.addAll(found.keySet());
    for (String name : names) {
      if (!java.util.Objects.equals(listed.get(name), found.get(name))) {
        out.fail(
            name,
            found.containsKey(name) ? found.get(name) + " bytes" : "no such file",
            listed.containsKey(name) ? listed.get(name) + " bytes" : "listed by " + KtListing.NAME,
            "the runtime's validator refuses the tree");
      }
    }
    for (String name : facts.source().names()) {
      if (name.startsWith(root) && !names.contains(name) && !name.equals(file)) {
        out.fail(
            name,
            "a file in the tree's root beside layers and " + KtListing.NAME,
            "nothing else",
            "the runtime's validator refuses the tree");
      }
    }
    header(kt, file, listing, out);
  }

  private static void header(KtFacts kt, String file, KtListing listing, Findings out) {
    if (kt.sizes().isEmpty()) {
      return;
    }
    KtFacts.Sizes sizes = kt.sizes().get();
    long bytes = kt.slices().values().stream().mapToLong(KtFacts.Slice::bytes).sum();
    List<Object> expected =
        List.of(
            KtListing.LAYOUT,
            KtListing.READY,
            sizes.nodes(),
            sizes.experts(),
            sizes.hidden(),
            sizes.intermediate(),
            bytes);
    List<Object> found =
        List.of(
            listing.layout(),
            listing.state(),
            listing.threadpool_count(),
            listing.expert_num(),
            listing.hidden_size(),
            listing.intermediate_size(),
            listing.bytes());
    if (!found.equals(expected)) {
      out.fail(
          file + ": layout, state, nodes, experts, hidden and intermediate size, bytes",
          found.toString(),
          expected.toString(),
          "the runtime's validator refuses the tree, or takes it for another");
    }
  }

  private static void digests(Facts facts, KtFacts kt, Findings out) {
    if (kt.listing().value().isEmpty() || kt.values().isEmpty()) {
      out.skip(kt.listing().value().isEmpty() ? NO_LISTING : DataRules.NOT_READ);
      return;
    }
    Map<String, String> found = kt.values().get().sha256();
    for (KtListing.Layer layer : kt.listing().value().get().layers()) {
      for (KtListing.Entry entry : layer.files()) {
        String file = kt.root().orElse("") + entry.path();
        String sha256 = found.get(file);
        if (sha256 != null && !sha256.equals(entry.sha256())) {
          out.fail(
              file,
              "SHA-256 " + sha256,
              entry.sha256(),
              "the file is not the one that was written: copy it again");
        }
      }
    }
  }

  private static void scales(Facts facts, KtFacts kt, Findings out) {
    each(
        kt,
        KtScan.Kind.SCALE,
        out,
        wrong ->
            out.fail(
                wrong.slice().where(),
                wrong.count() + " scales, the first " + wrong.first(),
                "finite scales, none negative",
                "NaN spreads to every token that uses this expert; a sign turns its rows around"));
  }

  /// The cost is that of the kernels: products of -128 with a negative input get the wrong sign.
  private static void codes(Facts facts, KtFacts kt, Findings out) {
    each(
        kt,
        KtScan.Kind.LEAST_CODE,
        out,
        wrong ->
            out.add(
                facts.promised(),
                ServingRuntime.all(),
                wrong.slice().where(),
                wrong.count() + " codes of -128 or nibbles of -8, the first " + wrong.first(),
                "codes from -127 to 127, nibbles from -7 to 7",
                "kernels give the product with a negative input the wrong sign: 0.8 % of such codes"
                    + " make an error as large as the result"));
  }

  private static void sums(Facts facts, KtFacts kt, Findings out) {
    each(
        kt,
        KtScan.Kind.COLUMN_SUM,
        out,
        wrong ->
            out.fail(
                wrong.slice().where(),
                wrong.count() + " sums, the first " + wrong.first(),
                "128 times the sum of the row's codes",
                "kernels subtract it from every product: the expert answers with an offset"));
  }

  private static void each(
      KtFacts kt, KtScan.Kind kind, Findings out, java.util.function.Consumer<KtScan.Wrong> found) {
    if (kt.values().isEmpty()) {
      out.skip(DataRules.NOT_READ);
      return;
    }
    kt.values().get().wrong().stream().filter(w -> w.kind() == kind).forEach(found);
  }
}
