package smelt.calibrate.smooth;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import smelt.calibrate.model.WeightStream;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.TileDecoder;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Writes a copy of a checkpoint with factors in its weights: one shard, tensor by tensor, a few
/// rows of each at a time.
public final class FoldedModel {

  /// How the copy's numbers are stored.
  public enum Form {
    /// All in F32.
    F32,
    /// Each weight in its own type, BF16 or F32; a number that it cannot hold is an error.
    AS_STORED,
    /// The same, rounded half to even.
    ROUNDED
  }

  private static final List<String> SIDE_FILES =
      List.of("tokenizer.json", "tokenizer_config.json", "generation_config.json");
  private static final long BUFFER = 1 << 20;

  private final Checkpoint checkpoint;
  private final Folding folding;
  private final Form form;
  private final Kernels kernels = KernelSet.choose("auto");

  private FoldedModel(Checkpoint checkpoint, Folding folding, Form form) {
    this.checkpoint = checkpoint;
    this.folding = folding;
    this.form = form;
  }

  /// @param folder where the copy is written; made if it is not there
  /// @return `folder`
  public static Path write(Path model, Folding folding, Form form, Path folder) throws IOException {
    Files.createDirectories(folder);
    for (String name : SIDE_FILES) {
      if (Files.exists(model.resolve(name))) {
        Files.copy(model.resolve(name), folder.resolve(name));
      }
    }
    try (ModelSource source = ModelSources.open(model);
        OutputStream shard =
            new BufferedOutputStream(Files.newOutputStream(folder.resolve("model.safetensors")))) {
      FoldedModel copy = new FoldedModel(Checkpoint.open(source), folding, form);
      copy.writeConfig(folder.resolve("config.json"));
      copy.write(source, shard);
    }
    return folder;
  }

  private void writeConfig(Path file) throws IOException {
    ObjectNode config = checkpoint.config().tree().deepCopy();
    config.remove("quantization_config");
    Files.write(file, JsonMapper.shared().writeValueAsBytes(config));
  }

  private void write(ModelSource source, OutputStream out) throws IOException {
    SafetensorsLayout layout =
        SafetensorsLayout.of(
            checkpoint.weights().stream()
                .map(w -> new SafetensorsLayout.Tensor(w.name(), type(w), w.shape()))
                .toList(),
            Map.of("format", "pt"));
    out.write(layout.header());
    try (Arena arena = Arena.ofConfined();
        WeightStream stream = new WeightStream(source, arena.allocate(BUFFER, 64))) {
      for (TensorEntry entry : layout.tensors()) {
        write(checkpoint.weight(entry.name()).orElseThrow(), stream, out);
      }
    }
  }

  private ElementType type(Weight weight) {
    if (form == Form.F32) {
      return ElementType.F32;
    }
    if (weight.encoding() instanceof Encoding.Plain(ElementType type)
        && (type == ElementType.BF16 || type == ElementType.F32)) {
      return type;
    }
    throw new IllegalStateException(weight.name() + ": " + weight.encoding());
  }

  private void write(Weight weight, WeightStream stream, OutputStream out) throws IOException {
    int cols = Math.toIntExact(WeightStream.cols(weight));
    float[] numbers = new float[cols];
    MemorySegment row = MemorySegment.ofArray(numbers);
    MemorySegment scratch =
        MemorySegment.ofArray(new byte[(int) TileDecoder.scratchBytes(weight.encoding(), cols)]);
    stream.read(
        weight,
        0,
        WeightStream.rows(weight),
        (tile, first) -> {
          TileDecoder decoder = new TileDecoder(kernels, tile, scratch, 0);
          for (long r = 0; r < tile.rows(); r++) {
            decoder.read(r, 0, cols, row, 0);
            float[] before = numbers.clone();
            long number = first + r;
            folding.rows(weight).ifPresent(f -> f.multiply(number, 1, cols, row, 0));
            out.write(encoded(weight, before, numbers));
          }
        });
  }

  private byte[] encoded(Weight weight, float[] before, float[] numbers) {
    ElementType type = type(weight);
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(type.bytes(numbers.length)))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < numbers.length; i++) {
      int bits = Float.floatToRawIntBits(numbers[i]);
      boolean lost = !Float.isFinite(numbers[i]) || Math.abs(numbers[i]) < Float.MIN_NORMAL;
      boolean exact = type != ElementType.BF16 || (bits & 0xFFFF) == 0;
      if (before[i] != 0 && lost || !exact && form != Form.ROUNDED) {
        throw new IllegalStateException(
            weight.name() + ": " + before[i] + " became " + numbers[i] + ", no " + type);
      }
      if (type == ElementType.BF16) {
        bytes.putShort((short) ((bits + 0x7FFF + (bits >>> 16 & 1)) >>> 16));
      } else {
        bytes.putInt(bits);
      }
    }
    return bytes.array();
  }
}
