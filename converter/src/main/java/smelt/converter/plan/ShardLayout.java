package smelt.converter.plan;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.stream.Collectors;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.TensorEntry;

/// Where every byte of a unit's output will lie, whatever its format: one file with all tensors, or
/// a file for each. A file begins with its header; bytes that are neither header nor tensor are
/// zeros.
public sealed interface ShardLayout {

  /// A tensor of the file.
  ///
  /// @param type its element type, as the format names it
  /// @param shape dimensions as the format orders them
  /// @param offset first byte, from the start of the file
  record Part(String name, String type, List<Long> shape, long offset, long bytes) {}

  /// A file of the unit.
  record UnitFile(String name, long bytes) {}

  /// The first bytes of a file with tensors.
  byte[] header();

  /// Size in bytes of all files together.
  long fileSize();

  /// All tensors, in the order of the file where there is one.
  List<Part> parts();

  /// A tensor by its name.
  ///
  /// @throws java.util.NoSuchElementException if the file holds no such tensor
  Part part(String name);

  /// A safetensors file.
  record Safetensors(SafetensorsLayout layout) implements ShardLayout {

    @Override
    public byte[] header() {
      return layout.header();
    }

    @Override
    public long fileSize() {
      return layout.fileSize();
    }

    @Override
    public List<Part> parts() {
      return layout.tensors().stream().map(this::part).toList();
    }

    @Override
    public Part part(String name) {
      return part(layout.entry(name));
    }

    private Part part(TensorEntry entry) {
      return new Part(
          entry.name(),
          entry.type().name(),
          entry.shape().dims(),
          layout.offset(entry),
          entry.bytes());
    }
  }

  /// A GGUF file.
  record Gguf(GgufLayout layout) implements ShardLayout {

    @Override
    public byte[] header() {
      return layout.header();
    }

    @Override
    public long fileSize() {
      return layout.fileSize();
    }

    @Override
    public List<Part> parts() {
      return layout.tensors().stream().map(this::part).toList();
    }

    @Override
    public Part part(String name) {
      return part(layout.tensor(name));
    }

    private Part part(GgufTensor tensor) {
      return new Part(
          tensor.name(),
          tensor.type().name(),
          tensor.dims(),
          layout.offset(tensor),
          tensor.bytes());
    }
  }

  /// A tree of files without headers, each with one tensor.
  ///
  /// @param tensors by name, in the order of the work
  record Tree(SequencedMap<String, Leaf> tensors) implements ShardLayout {

    /// A tensor and the file that holds it.
    ///
    /// @param path within the tree, such as `_layer_3/_numa_0/NAME`
    public record Leaf(String path, Part part) {

      /// The folder directly below the tree's root, which is written as one.
      public String folder() {
        return path.substring(0, path.indexOf('/'));
      }

      /// The path within that folder.
      public String inFolder() {
        return path.substring(path.indexOf('/') + 1);
      }
    }

    public Tree {
      tensors = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(tensors));
    }

    static Tree of(List<Leaf> leaves) {
      SequencedMap<String, Leaf> tensors = new LinkedHashMap<>();
      leaves.forEach(leaf -> tensors.put(leaf.part().name(), leaf));
      return new Tree(tensors);
    }

    /// A tensor and the file that holds it.
    ///
    /// @throws java.util.NoSuchElementException if the tree holds no such tensor
    public Leaf leaf(String tensor) {
      Leaf leaf = tensors.get(tensor);
      if (leaf == null) {
        throw new NoSuchElementException(tensor);
      }
      return leaf;
    }

    /// Folders directly below the tree's root.
    public SequencedSet<String> folders() {
      return tensors.values().stream()
          .map(Leaf::folder)
          .collect(Collectors.toCollection(LinkedHashSet::new));
    }

    @Override
    public byte[] header() {
      return new byte[0];
    }

    @Override
    public long fileSize() {
      return tensors.values().stream()
          .mapToLong(leaf -> leaf.part().bytes())
          .reduce(0, Math::addExact);
    }

    @Override
    public List<Part> parts() {
      return tensors.values().stream().map(Leaf::part).toList();
    }

    @Override
    public Part part(String name) {
      return leaf(name).part();
    }
  }
}
