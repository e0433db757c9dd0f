package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.ElementType;

/// The sample model exists in BF16 and, made by another program, in FP8: converting the one must
/// give the other.
class SampleModelConversionTest {

  @ParameterizedTest
  @ValueSource(strings = {"scalar", "vector"})
  void bf16WeightsBecomeThePublishedFp8CodesAndScales(String name) throws IOException {
    Kernels kernels = KernelSet.choose(name);
    int compared = 0;
    try (Arena arena = Arena.ofConfined()) {
      Map<String, SampleModel.Entry> bf16 = SampleModel.open("tiny-deepseek-v3", arena).tensors();
      Map<String, SampleModel.Entry> fp8 =
          SampleModel.open("tiny-deepseek-v3-fp8", arena).tensors();
      for (Map.Entry<String, SampleModel.Entry> e : fp8.entrySet()) {
        if (e.getValue().type().equals("F8_E4M3")) {
          MemorySegment scales = fp8.get(e.getKey() + "_scale_inv").bytes();
          check(kernels, e.getKey(), bf16.get(e.getKey()), e.getValue().bytes(), scales, arena);
          compared++;
        }
      }
    }
    assertThat(compared).isGreaterThan(200);
  }

  private static void check(
      Kernels kernels,
      String name,
      SampleModel.Entry source,
      MemorySegment codes,
      MemorySegment scales,
      Arena arena) {
    long rows = source.shape().get(0);
    long cols = source.shape().get(1);
    Tile from = Tile.plain(ElementType.BF16, source.bytes(), 0, rows, cols);
    Encoding block = Encoding.fp8Block(ScaleFormat.FLOAT);
    MemorySegment newCodes = arena.allocate(codes.byteSize());
    MemorySegment newScales = arena.allocate(scales.byteSize());
    MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(from.encoding(), block, cols));
    Transcoder.transcode(
        kernels, from, new Tile(block, newCodes, 0, newScales, 0, rows, cols), scratch);
    assertThat(newCodes.mismatch(codes)).as("codes of %s", name).isEqualTo(-1);
    assertThat(newScales.mismatch(scales)).as("scales of %s", name).isEqualTo(-1);
  }
}
