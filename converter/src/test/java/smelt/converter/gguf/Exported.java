package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufHeader;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.source.MemorySource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A model written as GGUF, and its header as read back.
record Exported(Path file, GgufPlan plan, GgufExport.Result result, GgufHeader header) {

  static Exported of(Path model, GgmlType type, Path file) throws IOException {
    return of(model, type, file, "auto");
  }

  static Exported of(Path model, GgmlType type, Path file, String kernels) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      Checkpoint checkpoint = Checkpoint.open(source);
      GgufPlan plan = GgufPlan.of(checkpoint, source, GgufOptions.of(type));
      AtomicLong progress = new AtomicLong();
      GgufExport.Result result =
          GgufExport.write(
              checkpoint, source, plan, file, KernelSet.choose(kernels), progress::addAndGet);
      if (progress.get() != result.bytes()) {
        throw new IllegalStateException(progress + " bytes reported of " + result.bytes());
      }
      byte[] bytes = Files.readAllBytes(file);
      GgufHeader header = GgufHeader.read(MemorySource.of(file.getFileName().toString(), bytes));
      return new Exported(file, plan, result, header);
    }
  }

  /// The data of a tensor, without padding.
  MemorySegment data(String name) throws IOException {
    GgufTensor tensor =
        header.tensors().stream().filter(t -> t.name().equals(name)).findFirst().orElseThrow();
    MemorySegment all = MemorySegment.ofArray(Files.readAllBytes(file));
    return all.asSlice(header.offset(tensor), tensor.bytes());
  }

  /// A tensor of F32.
  float[] floats(String name) throws IOException {
    return data(name).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }
}
