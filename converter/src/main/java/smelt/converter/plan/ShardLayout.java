package smelt.converter.plan;

import java.util.List;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.TensorEntry;

/// Where every byte of an output file will lie, whatever its format. A file begins with its header;
/// bytes that are neither header nor tensor are zeros.
public sealed interface ShardLayout {

  /// A tensor of the file.
  ///
  /// @param type its element type, as the format names it
  /// @param shape dimensions as the format orders them
  /// @param offset first byte, from the start of the file
  record Part(String name, String type, List<Long> shape, long offset, long bytes) {}

  /// The file's first bytes.
  byte[] header();

  /// Size of the whole file in bytes.
  long fileSize();

  /// All tensors in the order of the file.
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
}
