package smelt.formats.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// A model in GGUF: one file, or all the parts of a split one. Only headers were read.
///
/// @param stem the file's name without its ending, and without the numbers of a part
/// @param parts in order, at least one
public record GgufModel(String stem, List<Part> parts) {

  private static final Pattern PART = Pattern.compile("(.*)-\\d{5}-of-(\\d{5})\\.gguf");
  private static final String ENDING = ".gguf";

  /// One file of the model.
  public record Part(String file, GgufHeader header) {}

  public GgufModel {
    parts = List.copyOf(parts);
    if (parts.isEmpty()) {
      throw new IllegalArgumentException(stem + " without a file");
    }
  }

  /// Whether a folder holds a model in GGUF, and not beside one in safetensors.
  public static boolean isIn(ModelSource source) {
    return source.names().stream().anyMatch(name -> name.endsWith(ENDING))
        && source.names().stream().noneMatch(name -> name.endsWith(".safetensors"));
  }

  /// The names of a file and of the other parts of its model, of those that there are.
  public static List<String> partsOf(String file, List<String> names) {
    return names.stream().filter(name -> family(name).equals(family(file))).sorted().toList();
  }

  /// What the names of all parts of a model have in common.
  private static String family(String name) {
    Matcher part = PART.matcher(name);
    return part.matches() ? part.group(1) + " of " + part.group(2) : name;
  }

  /// Reads the headers of the GGUF files of a source, which must be one model.
  ///
  /// @throws BadInputException naming all that is wrong: several models, a part that is missing or
  ///   of another model, a tensor in two parts
  public static GgufModel open(ModelSource source) throws IOException {
    List<String> files = source.names().stream().filter(name -> name.endsWith(ENDING)).toList();
    TreeSet<String> families = new TreeSet<>(files.stream().map(GgufModel::family).toList());
    if (families.size() != 1) {
      throw new BadInputException(
          source.location(),
          files.isEmpty() ? "no GGUF file" : "several GGUF models: " + String.join(", ", families),
          "one GGUF model, in one file or in parts",
          "name a folder that holds one model, or one of its files");
    }
    List<Problem> problems = new ArrayList<>();
    List<Part> parts = new ArrayList<>();
    for (String name : files) {
      try (ByteSource file = source.open(name)) {
        parts.add(new Part(name, GgufHeader.read(file)));
      } catch (BadInputException e) {
        problems.addAll(e.problems());
      }
    }
    if (problems.isEmpty()) {
      parts = inOrder(source.location(), parts, problems);
    }
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
    Matcher part = PART.matcher(files.getFirst());
    String name = files.getFirst();
    return new GgufModel(
        part.matches() ? part.group(1) : name.substring(0, name.length() - ENDING.length()), parts);
  }

  private static List<Part> inOrder(String where, List<Part> found, List<Problem> problems) {
    TreeMap<Integer, Part> byNumber = new TreeMap<>();
    Map<String, String> tensors = new HashMap<>();
    Optional<GgufSplit> first = found.getFirst().header().split();
    int count = first.map(GgufSplit::count).orElse(1);
    long total = 0;
    for (Part part : found) {
      Optional<GgufSplit> split = part.header().split();
      int number = split.map(GgufSplit::number).orElse(0);
      if (split.map(GgufSplit::count).orElse(1) != count
          || !split.map(GgufSplit::tensors).equals(first.map(GgufSplit::tensors))
          || byNumber.put(number, part) != null) {
        problems.add(
            problem(
                part.file(),
                split.map(GgufModel::words).orElse("a whole model"),
                "a part of the same model as " + found.getFirst().file()));
      }
      for (GgufTensor tensor : part.header().tensors()) {
        total++;
        String other = tensors.put(tensor.name(), part.file());
        if (other != null) {
          problems.add(
              problem(part.file(), "tensor " + tensor.name() + " of " + other, "distinct names"));
        }
      }
    }
    for (int number = 0; number < count; number++) {
      if (!byNumber.containsKey(number)) {
        problems.add(problem(where, "no part " + (number + 1), "all " + count + " parts"));
      }
    }
    if (problems.isEmpty() && first.isPresent() && total != first.get().tensors()) {
      problems.add(
          problem(where, total + " tensors in all parts", first.get().tensors() + " tensors"));
    }
    return List.copyOf(byNumber.values());
  }

  private static String words(GgufSplit split) {
    return "part "
        + (split.number() + 1)
        + " of "
        + split.count()
        + " with "
        + split.tensors()
        + " tensors in all";
  }

  private static Problem problem(String where, String found, String expected) {
    return new Problem(where, found, expected, "get the files of the model again");
  }

  /// The metadata of the whole model: that of the first part, without what says that it is one.
  public SequencedMap<String, GgufValue> metadata() {
    return GgufSplit.removed(parts.getFirst().header().metadata());
  }

  /// Tensors in all parts.
  public long tensors() {
    return parts.stream().mapToLong(part -> part.header().tensors().size()).sum();
  }
}
