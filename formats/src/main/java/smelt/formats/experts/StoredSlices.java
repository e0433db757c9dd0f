package smelt.formats.experts;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.formats.BadInputException;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// Where codes and scales of slices are stored in KTransformers' files, merged or a tree. Merged
/// files stay open from their first use; those of a tree, which can be hundreds of thousands, are
/// opened for each read. Safe for several threads.
final class StoredSlices implements AutoCloseable {

  private static final String SHARD = ".safetensors";

  /// As many files as the runtime looks at to tell its own from a checkpoint.
  private static final int LOOKED_AT = 3;

  /// Bytes of a file that hold codes or scales.
  record Stored(String file, long offset, long bytes) {}

  private final SourceFiles files;
  private final Map<ExpertTensor, Stored> stored;
  private final boolean tree;

  private StoredSlices(ModelSource source, Map<ExpertTensor, Stored> stored, boolean tree) {
    this.files = new SourceFiles(source);
    this.stored = stored;
    this.tree = tree;
  }

  /// Whether a folder holds packed experts. One with a `config.json` is taken for a checkpoint
  /// unless one of its first files says otherwise.
  static boolean isIn(ModelSource source) throws IOException {
    if (source.names().stream().anyMatch(name -> ExpertTensor.ofPath(name).isPresent())) {
      return true;
    }
    List<String> shards = source.names().stream().filter(name -> name.endsWith(SHARD)).toList();
    boolean checkpoint = source.names().contains("config.json");
    for (String name : checkpoint ? firstOf(shards) : shards) {
      if (!slices(source, name).isEmpty()) {
        return true;
      }
    }
    return false;
  }

  private static List<String> firstOf(List<String> shards) {
    return shards.subList(0, Math.min(LOOKED_AT, shards.size()));
  }

  /// Reads where everything is. A folder with safetensors directly in it is merged, as for the
  /// runtime. The source stays the caller's to close.
  ///
  /// @throws BadInputException if there are several trees
  static StoredSlices read(ModelSource source) throws IOException {
    Map<ExpertTensor, Stored> stored = new HashMap<>();
    for (String name : source.names()) {
      if (name.endsWith(SHARD)) {
        stored.putAll(slices(source, name));
      }
    }
    if (!stored.isEmpty()) {
      return new StoredSlices(source, stored, false);
    }
    Optional<String> root = Optional.empty();
    for (String name : source.names()) {
      Optional<ExpertTensor.KtFile> file = ExpertTensor.ofPath(name);
      if (file.isPresent()) {
        if (root.isPresent() && !root.get().equals(file.get().root())) {
          throw new BadInputException(
              source.location(),
              "trees of experts in '" + root.get() + "' and in '" + file.get().root() + "'",
              "one",
              "name the folder of one of them");
        }
        root = Optional.of(file.get().root());
        stored.put(file.get().tensor(), new Stored(name, 0, size(source, name)));
      }
    }
    return new StoredSlices(source, stored, true);
  }

  private static Map<ExpertTensor, Stored> slices(ModelSource source, String name)
      throws IOException {
    Map<ExpertTensor, Stored> slices = new HashMap<>();
    try (ByteSource file = source.open(name)) {
      SafetensorsHeader header = SafetensorsHeader.read(file);
      for (TensorEntry entry : header.tensors()) {
        ExpertTensor.ofTensor(entry.name())
            .ifPresent(
                slice -> slices.put(slice, new Stored(name, header.offset(entry), entry.bytes())));
      }
    }
    return slices;
  }

  private static long size(ModelSource source, String name) throws IOException {
    try (ByteSource file = source.open(name)) {
      return file.size();
    }
  }

  /// What the files are of, for messages.
  String location() {
    return files.model().location();
  }

  /// Everything that was found.
  Collection<ExpertTensor> all() {
    return stored.keySet();
  }

  /// Where codes or scales are, if they are there.
  Optional<Stored> find(ExpertTensor tensor) {
    return Optional.ofNullable(stored.get(tensor));
  }

  /// Reads a part.
  ///
  /// @param offset from the first byte of codes or scales on
  void read(Stored from, long offset, MemorySegment into) throws IOException {
    if (tree) {
      try (ByteSource file = files.model().open(from.file())) {
        file.read(offset, into);
      }
    } else {
      files.file(from.file()).read(Math.addExact(from.offset(), offset), into);
    }
  }

  /// @throws BadInputException if the file was changed since the folder was opened
  void checkUnchanged(Stored from) throws IOException {
    if (tree) {
      files.model().open(from.file()).close();
    } else {
      files.file(from.file()).checkUnchanged();
    }
  }

  /// The stamp of the file.
  String stamp(Stored from) throws IOException {
    return files.model().stamp(from.file());
  }

  @Override
  public void close() throws IOException {
    files.close();
  }
}
