package smelt.formats.gguf;

import java.io.IOException;
import java.util.List;
import java.util.SequencedMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import smelt.formats.source.ModelSource;

/// A complete model in GGUF, to be copied: its files, and what they say of the whole of it.
///
/// @param stem the file's name without its ending, and without the numbers of a part
public record GgufModel(String stem, GgufParts files) {

  private static final Pattern PART = Pattern.compile("(.*)-\\d{5}-of-(\\d{5})\\.gguf");

  /// Whether a folder holds a model in GGUF, and not beside one in safetensors.
  public static boolean isIn(ModelSource source) {
    return GgufParts.isIn(source)
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
  /// @throws smelt.formats.BadInputException as [GgufParts#open]
  public static GgufModel open(ModelSource source) throws IOException {
    GgufParts files = GgufParts.open(source);
    String name = files.parts().getFirst().file();
    Matcher part = PART.matcher(name);
    String stem =
        part.matches()
            ? part.group(1)
            : name.substring(0, name.length() - GgufParts.SUFFIX.length());
    return new GgufModel(stem, files);
  }

  /// The files in order.
  public List<GgufParts.Part> parts() {
    return files.parts();
  }

  /// The metadata of the whole model: that of the first part, without what says that it is one.
  public SequencedMap<String, GgufValue> metadata() {
    return GgufSplit.removed(files.metadata());
  }

  /// Tensors in all parts.
  public long tensors() {
    return parts().stream().mapToLong(part -> part.header().tensors().size()).sum();
  }
}
