package smelt.formats.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.regex.Pattern;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// The GGUF files of a model: one, or the parts of a split one, which are found by their names as
/// llama.cpp finds them. Only headers are read.
///
/// @param location what the user named, for messages
/// @param parts the readable files, by number of the part, then by name
/// @param unreadable what is wrong with the headers of the others
public record GgufParts(String location, List<Part> parts, List<Problem> unreadable) {

  /// The ending of the files.
  public static final String SUFFIX = ".gguf";

  private static final Pattern NUMBERED = Pattern.compile("-\\d{5}-of-\\d{5}\\.gguf");

  /// A file and its header.
  public record Part(String file, GgufHeader header) {

    /// Which part it is; 0 for a model of one file.
    int number() {
      return header.split().map(GgufSplit::number).orElse(0);
    }
  }

  /// A tensor and the file that it lies in.
  ///
  /// @param offset its first byte in the file
  public record Located(String file, GgufTensor tensor, long offset) {}

  public GgufParts {
    parts = List.copyOf(parts);
    unreadable = List.copyOf(unreadable);
  }

  /// Whether there are GGUF files, at the root of a source.
  public static boolean isIn(ModelSource source) {
    return source.names().stream().anyMatch(GgufParts::isPart);
  }

  /// Reads all headers. What is wrong with them is kept, not thrown.
  public static GgufParts read(ModelSource source) throws IOException {
    List<Part> parts = new ArrayList<>();
    List<Problem> unreadable = new ArrayList<>();
    for (String name : source.names().stream().filter(GgufParts::isPart).toList()) {
      try (ByteSource file = source.open(name)) {
        parts.add(new Part(name, GgufHeader.read(file)));
      } catch (BadInputException e) {
        unreadable.addAll(e.problems());
      }
    }
    parts.sort(Comparator.comparingInt(Part::number).thenComparing(Part::file));
    return new GgufParts(source.location(), parts, unreadable);
  }

  /// A complete model.
  ///
  /// @throws BadInputException naming every header that cannot be read, every part that is missing
  ///   or does not belong to the others, and every name that occurs twice
  public static GgufParts open(ModelSource source) throws IOException {
    GgufParts read = read(source);
    List<Problem> problems = new ArrayList<>(read.unreadable());
    if (problems.isEmpty()) {
      problems.addAll(read.splitProblems());
      problems.addAll(read.twice());
    }
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
    return read;
  }

  private static boolean isPart(String name) {
    return name.endsWith(SUFFIX) && name.indexOf('/') < 0;
  }

  /// The metadata of the model, that of the first part; empty where there is no readable file.
  public SequencedMap<String, GgufValue> metadata() {
    return parts.isEmpty() ? new java.util.LinkedHashMap<>() : parts.getFirst().header().metadata();
  }

  /// All tensors, by their order in the files. Of a name that occurs twice, both.
  public List<Located> tensors() {
    List<Located> tensors = new ArrayList<>();
    for (Part part : parts) {
      for (GgufTensor tensor : part.header().tensors()) {
        tensors.add(new Located(part.file(), tensor, part.header().offset(tensor)));
      }
    }
    return tensors;
  }

  /// Bytes of all tensors, without padding.
  public long tensorBytes() {
    return tensors().stream().mapToLong(t -> t.tensor().bytes()).reduce(0, Math::addExact);
  }

  /// The kind of architecture in llama.cpp's words.
  public Optional<String> architecture() {
    return metadata().get("general.architecture") instanceof GgufValue.Text(String name)
        ? Optional.of(name)
        : Optional.empty();
  }

  /// Names that occur twice.
  public List<Problem> twice() {
    Map<String, String> files = new HashMap<>();
    List<Problem> problems = new ArrayList<>();
    for (Located located : tensors()) {
      String before = files.putIfAbsent(located.tensor().name(), located.file());
      if (before != null) {
        problems.add(
            new Problem(
                located.file() + ": " + located.tensor().name(),
                "the tensor again, which is in " + before + " too",
                "each tensor once",
                "get the parts of one model, all from one place"));
      }
    }
    return problems;
  }

  /// What is wrong with a model of several files: parts that are missing, of another model, or
  /// under other names than a runtime looks for.
  public List<Problem> splitProblems() {
    List<Problem> problems = new ArrayList<>();
    if (parts.isEmpty()) {
      problems.add(problem(location, "no GGUF file", "a model", "name its file or its folder"));
      return problems;
    }
    Part first = parts.getFirst();
    Optional<GgufSplit> split = first.header().split();
    if (split.isEmpty()) {
      if (parts.size() > 1) {
        problems.add(severalModels());
      }
      return problems;
    }
    int count = split.get().count();
    String prefix = NUMBERED.matcher(first.file()).replaceFirst("");
    int next = 0;
    for (Part part : parts) {
      part(part, prefix, split.get(), next).ifPresent(problems::add);
      next = part.number() + 1;
    }
    if (parts.size() < count) {
      problems.add(
          problem(
              location,
              parts.size() + " of " + count + " parts",
              "all parts of the model",
              "get the parts that are missing"));
    }
    long held = tensors().size();
    if (problems.isEmpty() && held != split.get().tensors()) {
      problems.add(
          problem(
              location,
              held + " tensors in all parts",
              split.get().tensors() + ", as " + GgufSplit.TENSORS + " says",
              "get all parts again, from one place"));
    }
    return problems;
  }

  private Problem severalModels() {
    return problem(
        location,
        parts.size() + " GGUF files that are no parts of one model",
        "the files of one model",
        "name one of them: " + parts.stream().map(Part::file).toList());
  }

  private static Optional<Problem> part(Part part, String prefix, GgufSplit of, int expected) {
    Optional<GgufSplit> split = part.header().split();
    String wanted =
        new GgufSplit(Math.min(expected, of.count() - 1), of.count(), of.tensors())
            .fileName(prefix);
    boolean fits =
        split.isPresent()
            && split.get().count() == of.count()
            && split.get().tensors() == of.tensors()
            && split.get().number() == expected
            && part.file().equals(wanted);
    return fits
        ? Optional.empty()
        : Optional.of(
            problem(
                part.file(),
                split
                    .map(s ->
                        "part "
                            + (s.number() + 1)
                            + " of "
                            + s.count()
                            + " with "
                            + s.tensors()
                            + " tensors")
                    .orElse("no part of a model"),
                wanted + " with " + of.tensors() + " tensors in all parts",
                "name parts as they were named when they were made, and get those that are missing"));
  }

  private static Problem problem(String where, String found, String expected, String remedy) {
    return new Problem(where, found, expected, remedy);
  }
}
