package smelt.formats.experts;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import smelt.formats.checkpoint.Projection;

/// The forms in which KTransformers' CPU kernels read an expert, by the names of its `--kt-method`
/// option. One matrix `[n, k]` of an expert, or a NUMA node's slice of it, is packed codes and F32
/// scales, one a row.
///
/// | form | codes | value |
/// |---|---|---|
/// | `AMXINT8` | [AmxLayout#INT8] | code x scale |
/// | `AMXINT4` | [AmxLayout#INT4] | code x 16 x scale |
/// | `MOE_INT8` | [AoclLayout], panels of 32 rows for gate and up, of 64 for down | code x scale |
public enum ExpertFormat {
  AMXINT8("INT8", 127, 1),
  AMXINT4("INT4", 7, 16),
  MOE_INT8("MOE_INT8", 127, 1);

  private final String treeName;
  private final int largest;
  private final float codeStep;

  ExpertFormat(String treeName, int largest, float codeStep) {
    this.treeName = treeName;
    this.largest = largest;
    this.codeStep = codeStep;
  }

  /// What the names of `.kt` files begin with.
  public String treeName() {
    return treeName;
  }

  /// The form of a tree's files; empty where there is no such form.
  public static Optional<ExpertFormat> ofTreeName(String name) {
    return Stream.of(values()).filter(format -> format.treeName.equals(name)).findFirst();
  }

  /// Largest magnitude of a code.
  public int largest() {
    return largest;
  }

  /// What a code of 1 is with a stored scale of 1.
  public float codeStep() {
    return codeStep;
  }

  /// Why a slice cannot be packed, in words; empty when it can.
  public List<String> misfits(Projection projection, long n, long k) {
    return switch (this) {
      case AMXINT8 -> AmxLayout.INT8.misfits(n, k);
      case AMXINT4 -> AmxLayout.INT4.misfits(n, k);
      case MOE_INT8 -> aocl(projection).misfits(n, k);
    };
  }

  /// Rows that lie together: a slice is packed as blocks of so many rows, one after the other, each
  /// as if it were a slice of its own.
  public int rowBlock(Projection projection) {
    return switch (this) {
      case AMXINT8 -> AmxLayout.INT8.rowBlock();
      case AMXINT4 -> AmxLayout.INT4.rowBlock();
      case MOE_INT8 -> aocl(projection).panel();
    };
  }

  /// Bytes of a packed slice.
  public long bytes(Projection projection, long n, long k) {
    return switch (this) {
      case AMXINT8 -> AmxLayout.INT8.bytes(n, k);
      case AMXINT4 -> AmxLayout.INT4.bytes(n, k);
      case MOE_INT8 -> aocl(projection).bytes(n, k);
    };
  }

  /// Packs a slice.
  ///
  /// @param codes one signed byte a weight, rows of `k` codes that are `stride` bytes apart
  /// @param out where `bytes(projection, n, k)` are written from `outOffset` on
  /// @throws IllegalArgumentException if there are [#misfits]
  public void pack(
      Projection projection,
      MemorySegment codes,
      long codesOffset,
      long stride,
      long n,
      long k,
      MemorySegment out,
      long outOffset) {
    switch (this) {
      case AMXINT8 -> AmxLayout.INT8.pack(codes, codesOffset, stride, n, k, out, outOffset);
      case AMXINT4 -> AmxLayout.INT4.pack(codes, codesOffset, stride, n, k, out, outOffset);
      case MOE_INT8 -> aocl(projection).pack(codes, codesOffset, stride, n, k, out, outOffset);
    }
  }

  /// Takes a packed slice apart: the inverse of [#pack].
  public void unpack(
      Projection projection,
      MemorySegment packed,
      long offset,
      long n,
      long k,
      MemorySegment codes,
      long codesOffset,
      long stride) {
    switch (this) {
      case AMXINT8 -> AmxLayout.INT8.unpack(packed, offset, n, k, codes, codesOffset, stride);
      case AMXINT4 -> AmxLayout.INT4.unpack(packed, offset, n, k, codes, codesOffset, stride);
      case MOE_INT8 -> aocl(projection).unpack(packed, offset, n, k, codes, codesOffset, stride);
    }
  }

  /// How the runtime's own converter rounds a row.
  RowRule upstreamRule() {
    return switch (this) {
      case AMXINT8 -> RowRule.KT_INT8;
      case AMXINT4 -> RowRule.KT_INT4;
      case MOE_INT8 -> RowRule.AOCL_INT8;
    };
  }

  private static AoclLayout aocl(Projection projection) {
    return switch (projection) {
      case GATE, UP -> AoclLayout.GATE_UP;
      case DOWN -> AoclLayout.DOWN;
    };
  }
}
