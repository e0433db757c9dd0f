package smelt.calibrate.model;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.MemorySource;

/// A whole safetensors file in memory, to look at and to change.
record TensorFile(Map<String, Tensor> tensors) {

  @SuppressWarnings("ArrayRecordComponent")
  record Tensor(ElementType type, Shape shape, byte[] bytes) {

    int rows() {
      return Math.toIntExact(shape.dim(0));
    }

    /// The numbers of an `F32`, `F64` or `I64` tensor, row by row.
    double[][] numbers() {
      ByteBuffer from = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      int cols = Math.toIntExact(shape.elements() / rows());
      double[][] out = new double[rows()][cols];
      for (double[] row : out) {
        Arrays.setAll(row, _ -> next(from));
      }
      return out;
    }

    private double next(ByteBuffer from) {
      return switch (type) {
        case F32 -> from.getFloat();
        case F64 -> from.getDouble();
        case I64 -> from.getLong();
        default -> throw new IllegalStateException("numbers of " + type);
      };
    }

    /// The same tensor with row `order[i]` at row `i`.
    Tensor reordered(int[] order) {
      int row = bytes.length / rows();
      byte[] out = new byte[bytes.length];
      for (int i = 0; i < order.length; i++) {
        System.arraycopy(bytes, order[i] * row, out, i * row, row);
      }
      return new Tensor(type, shape, out);
    }
  }

  static TensorFile read(Path file) throws IOException {
    byte[] all = Files.readAllBytes(file);
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    SafetensorsHeader header = SafetensorsHeader.read(MemorySource.of(file.toString(), all));
    for (TensorEntry entry : header.tensors()) {
      int at = Math.toIntExact(header.offset(entry));
      byte[] bytes = Arrays.copyOfRange(all, at, at + Math.toIntExact(entry.bytes()));
      tensors.put(entry.name(), new Tensor(entry.type(), entry.shape(), bytes));
    }
    return new TensorFile(tensors);
  }

  Optional<double[][]> numbers(String name) {
    return Optional.ofNullable(tensors.get(name)).map(Tensor::numbers);
  }

  void write(Path file) throws IOException {
    List<SafetensorsLayout.Tensor> entries =
        tensors.entrySet().stream()
            .map(e ->
                new SafetensorsLayout.Tensor(e.getKey(), e.getValue().type(), e.getValue().shape()))
            .toList();
    SafetensorsLayout layout = SafetensorsLayout.of(entries, Map.of("format", "pt"));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(layout.header());
    layout.tensors().forEach(entry -> out.writeBytes(tensors.get(entry.name()).bytes()));
    Files.write(file, out.toByteArray());
  }
}
