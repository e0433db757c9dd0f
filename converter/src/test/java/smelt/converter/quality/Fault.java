package smelt.converter.quality;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Plants faults in a converted model on disk.
final class Fault {

  private final Path model;

  Fault(Path model) {
    this.model = model;
  }

  /// A copy of a model to spoil.
  static Fault inCopyOf(Path made, Path folder) throws IOException {
    Files.createDirectories(folder);
    try (Stream<Path> files = Files.list(made)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    return new Fault(folder);
  }

  Path model() {
    return model;
  }

  /// Exchanges two weights of one shape, codes and scales.
  Fault exchange(String a, String b) throws IOException {
    Weight first = weight(a);
    Weight second = weight(b);
    exchange(first.codes(), second.codes());
    if (first.scale().isPresent()) {
      exchange(first.scale().get(), second.scale().get());
    }
    return this;
  }

  private void exchange(SourceTensor a, SourceTensor b) throws IOException {
    byte[] ofA = read(a);
    byte[] ofB = read(b);
    write(a, ofB);
    write(b, ofA);
  }

  /// Exchanges all weights whose names differ only by two parts.
  Fault exchangeAll(String partA, String partB) throws IOException {
    for (String name : names()) {
      if (name.contains(partA)) {
        exchange(name, name.replace(partA, partB));
      }
    }
    return this;
  }

  /// Multiplies the decode scales of a weight.
  Fault scale(String name, float factor) throws IOException {
    SourceTensor scale = weight(name).scale().orElseThrow();
    return floats(scale, number -> number * factor);
  }

  /// Makes a weight of F32 zero.
  Fault zero(String name) throws IOException {
    return floats(weight(name).codes(), _ -> 0f);
  }

  private Fault floats(SourceTensor tensor, UnaryOperator<Float> change) throws IOException {
    ByteBuffer numbers = ByteBuffer.wrap(read(tensor)).order(ByteOrder.LITTLE_ENDIAN);
    for (int at = 0; at < numbers.capacity(); at += Float.BYTES) {
      numbers.putFloat(at, change.apply(numbers.getFloat(at)));
    }
    write(tensor, numbers.array());
    return this;
  }

  /// Transposes the codes of a square weight with one byte a code.
  Fault transpose(String name) throws IOException {
    SourceTensor codes = weight(name).codes();
    int size = Math.toIntExact(codes.shape().dim(0));
    byte[] before = read(codes);
    byte[] after = new byte[before.length];
    for (int row = 0; row < size; row++) {
      for (int col = 0; col < size; col++) {
        after[col * size + row] = before[row * size + col];
      }
    }
    write(codes, after);
    return this;
  }

  /// Replaces text in `config.json`.
  Fault config(String before, String after) throws IOException {
    Path file = model.resolve("config.json");
    String text = Files.readString(file);
    if (!text.contains(before)) {
      throw new AssertionError("no " + before + " in " + text);
    }
    Files.writeString(file, text.replace(before, after));
    return this;
  }

  private List<String> names() throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Checkpoint.open(source).weights().stream().map(Weight::name).toList();
    }
  }

  private Weight weight(String name) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Checkpoint.open(source).weight(name).orElseThrow();
    }
  }

  private byte[] read(SourceTensor tensor) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(tensor.bytes()));
    try (FileChannel file = FileChannel.open(model.resolve(tensor.file()))) {
      while (bytes.hasRemaining()) {
        file.read(bytes, tensor.offset() + bytes.position());
      }
    }
    return bytes.array();
  }

  private void write(SourceTensor tensor, byte[] bytes) throws IOException {
    try (FileChannel file =
        FileChannel.open(model.resolve(tensor.file()), StandardOpenOption.WRITE)) {
      ByteBuffer from = ByteBuffer.wrap(bytes);
      while (from.hasRemaining()) {
        file.write(from, tensor.offset() + from.position());
      }
    }
  }
}
