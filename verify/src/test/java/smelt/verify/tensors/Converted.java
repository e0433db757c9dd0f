package smelt.verify.tensors;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.CheckpointDraft;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.safetensors.SafetensorsLayout.Tensor;
import smelt.formats.source.ModelSources;

/// Fills a draft with the weights of another model, transcoded: a conversion without the converter.
final class Converted {

  private Converted() {}

  /// Writes the draft, each weight made from that of the same name.
  static Path write(CheckpointDraft draft, Path folder, Path source) throws IOException {
    draft.write(folder);
    Checkpoint from = Checkpoint.open(ModelSources.open(source));
    for (Weight weight : Checkpoint.open(ModelSources.open(folder)).weights()) {
      transcode(from.weight(weight.name()).orElseThrow(), source, weight, folder);
    }
    return folder;
  }

  private static void transcode(Weight from, Path source, Weight to, Path folder)
      throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      Tile in = tile(from, source, arena, FileChannel.MapMode.READ_ONLY);
      Tile out = tile(to, folder, arena, FileChannel.MapMode.READ_WRITE);
      long scratch = Transcoder.scratchBytes(in.encoding(), out.encoding(), in.cols());
      Transcoder.transcode(KernelSet.choose("scalar"), in, out, arena.allocate(scratch, 8));
    }
  }

  /// A whole weight, mapped.
  static Tile tile(Weight weight, Path folder, Arena arena, FileChannel.MapMode mode)
      throws IOException {
    MemorySegment codes = map(weight.codes(), folder, arena, mode);
    MemorySegment scales =
        weight.scale().isPresent()
            ? map(weight.scale().get(), folder, arena, mode)
            : MemorySegment.NULL;
    boolean matrix = weight.shape().rank() == 2;
    return new Tile(
        weight.encoding(),
        codes,
        0,
        scales,
        0,
        matrix ? weight.shape().dim(0) : 1,
        matrix ? weight.shape().dim(1) : weight.shape().elements());
  }

  private static MemorySegment map(
      SourceTensor tensor, Path folder, Arena arena, FileChannel.MapMode mode) throws IOException {
    StandardOpenOption[] options =
        mode.equals(FileChannel.MapMode.READ_ONLY)
            ? new StandardOpenOption[] {StandardOpenOption.READ}
            : new StandardOpenOption[] {StandardOpenOption.READ, StandardOpenOption.WRITE};
    try (FileChannel file = FileChannel.open(folder.resolve(tensor.file()), options)) {
      return file.map(mode, tensor.offset(), tensor.bytes(), arena);
    }
  }

  /// Gives the draft's scaled matrices another block size.
  static CheckpointDraft blocks(CheckpointDraft draft, int blockRows, int blockCols) {
    draft
        .config()
        .withObject("quantization_config")
        .putArray("weight_block_size")
        .add(blockRows)
        .add(blockCols);
    Encoding.Block block =
        new Encoding.Block(
            ElementType.F8_E4M3, blockRows, blockCols, ElementType.F32, ScaleFormat.FLOAT);
    for (String name : List.copyOf(draft.weightMap().keySet())) {
      if (name.endsWith("_scale_inv")) {
        Shape codes = draft.tensor(name.substring(0, name.length() - 10)).shape();
        Shape scales = block.scaleShape(codes).orElseThrow();
        draft.retype(name, ElementType.F32, scales.dim(0), scales.dim(1));
      }
    }
    return draft;
  }

  /// Gives all tensors of one type another one.
  static CheckpointDraft retype(CheckpointDraft draft, ElementType from, ElementType to) {
    for (Map.Entry<String, List<Tensor>> shard : draft.shards().entrySet()) {
      shard.getValue().replaceAll(t -> t.type() == from ? new Tensor(t.name(), to, t.shape()) : t);
    }
    return draft;
  }
}
