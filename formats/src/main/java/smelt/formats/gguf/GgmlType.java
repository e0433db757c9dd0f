package smelt.formats.gguf;

import java.util.Arrays;
import java.util.Optional;

/// The element types of a GGUF file, as ggml numbers them. A row is cut into blocks of consecutive
/// elements, and each block has its own bytes: codes, and for the quantized types scales with them.
///
/// Types that end in `_R4` or `_R8` are those of ik_llama.cpp alone: blocks of as many consecutive
/// rows lie interleaved (`InterleavedRows`), as its kernels for CPUs read them. A row takes the
/// bytes that it takes in the plain type.
///
/// Numbers that ggml gave up (4, 5, 31 to 33, 36 to 38) belong to no type: nothing reads such files
/// any more.
public enum GgmlType {
  F32(0, 1, 4),
  F16(1, 1, 2),
  Q4_0(2, 32, 18),
  Q4_1(3, 32, 20),
  Q5_0(6, 32, 22),
  Q5_1(7, 32, 24),
  Q8_0(8, 32, 34),
  /// For activations only; no file holds weights in it.
  Q8_1(9, 32, 36),
  Q2_K(10, 256, 84),
  Q3_K(11, 256, 110),
  Q4_K(12, 256, 144),
  Q5_K(13, 256, 176),
  Q6_K(14, 256, 210),
  /// For activations only; no file holds weights in it.
  Q8_K(15, 256, 292),
  IQ2_XXS(16, 256, 66),
  IQ2_XS(17, 256, 74),
  IQ3_XXS(18, 256, 98),
  IQ1_S(19, 256, 50),
  IQ4_NL(20, 32, 18),
  IQ3_S(21, 256, 110),
  IQ2_S(22, 256, 82),
  IQ4_XS(23, 256, 136),
  I8(24, 1, 1),
  I16(25, 1, 2),
  I32(26, 1, 4),
  I64(27, 1, 8),
  F64(28, 1, 8),
  IQ1_M(29, 256, 56),
  BF16(30, 1, 2),
  TQ1_0(34, 256, 54),
  TQ2_0(35, 256, 66),
  MXFP4(39, 32, 17),
  NVFP4(40, 64, 36),
  Q1_0(41, 128, 18),
  Q2_0(42, 64, 18),
  Q4_0_R8(202, Q4_0, 8),
  Q8_0_R8(208, Q8_0, 8),
  Q4_K_R4(212, Q4_K, 4),
  Q6_K_R4(214, Q6_K, 4);

  private final int id;
  private final int blockElements;
  private final int blockBytes;
  private final GgmlType plain;
  private final int interleavedRows;

  GgmlType(int id, int blockElements, int blockBytes) {
    this.id = id;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
    plain = this;
    interleavedRows = 1;
  }

  GgmlType(int id, GgmlType plain, int interleavedRows) {
    this.id = id;
    blockElements = plain.blockElements;
    blockBytes = plain.blockBytes;
    this.plain = plain;
    this.interleavedRows = interleavedRows;
  }

  /// The number that stands for the type in a file.
  public int id() {
    return id;
  }

  /// Elements of a block; 1 for plain numbers.
  public int blockElements() {
    return blockElements;
  }

  /// Bytes of a block.
  public int blockBytes() {
    return blockBytes;
  }

  /// Rows whose blocks lie interleaved; 1 for types of which every row stands alone.
  public int interleavedRows() {
    return interleavedRows;
  }

  /// Bytes that belong together: a block, or one block of each of the rows that are interleaved.
  public int groupBytes() {
    return blockBytes * interleavedRows;
  }

  /// The type of the same blocks row by row; this one if it is that.
  public GgmlType plain() {
    return plain;
  }

  /// Whether the type has scales, so that what is read is not what was written.
  public boolean isQuantized() {
    return blockElements > 1;
  }

  /// Bytes of a run of elements that fills whole blocks.
  ///
  /// @throws ArithmeticException if the size overflows a long, or a block is not filled
  public long bytes(long elements) {
    if (elements % blockElements != 0) {
      throw new ArithmeticException(
          elements + " elements do not fill blocks of " + blockElements + " of " + this);
    }
    return Math.multiplyExact(elements / blockElements, (long) blockBytes);
  }

  /// The type of a number in a file; empty for what is none, or no longer one.
  public static Optional<GgmlType> of(long id) {
    return Arrays.stream(values()).filter(type -> type.id == id).findFirst();
  }

  /// Whether a number once stood for a type that ggml has given up.
  public static boolean isRemoved(long id) {
    return id == 4 || id == 5 || (id >= 31 && id <= 33) || (id >= 36 && id <= 38);
  }
}
