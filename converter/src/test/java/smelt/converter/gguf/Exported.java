package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import smelt.converter.recipe.MtpPolicy;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufHeader;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.source.MemorySource;

/// A model converted to one GGUF file, and its header as read back.
record Exported(Path file, PlannedGguf plan, GgufHeader header) {

  private static final long WHOLE_MODEL = 1L << 40;

  static Exported of(Path model, GgmlType type, Path file) throws IOException {
    return of(model, type, file, "auto");
  }

  static Exported of(Path model, GgmlType type, Path file, String kernels) throws IOException {
    return of(model, GgufOptions.of(type), file, kernels);
  }

  static Exported of(Path model, GgufOptions options, Path file, String kernels)
      throws IOException {
    Recipe recipe =
        new Recipe(
            "test",
            "",
            List.of(TargetSpec.of(Target.GGUF).with(options)),
            MtpPolicy.KEEP,
            false,
            WHOLE_MODEL);
    Path folder = file.resolveSibling(file.getFileName() + ".folder");
    try {
      Converting.with(recipe).kernels(kernels).run(model, folder);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    Files.move(folder.resolve("model.gguf"), file);
    byte[] bytes = Files.readAllBytes(file);
    GgufHeader header = GgufHeader.read(MemorySource.of(file.getFileName().toString(), bytes));
    return new Exported(file, PlannedGguf.of(model, options), header);
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
