package smelt.formats.codec;

import static smelt.formats.codec.Layouts.F32;
import static smelt.formats.codec.Layouts.U16;
import static smelt.formats.codec.Layouts.U32;
import static smelt.formats.codec.Layouts.U8;

import java.lang.foreign.MemorySegment;

/// The kernels as they are defined: one element after the other, each by its rule in `Scalars`.
final class ScalarKernels implements Kernels {

  @Override
  public String name() {
    return "scalar";
  }

  @Override
  public void decodeBf16(
      MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count) {
    for (long i = 0; i < count; i++) {
      int bits = in.get(U16, inOffset + Short.BYTES * i) << 16;
      out.set(U32, outOffset + Float.BYTES * i, bits);
    }
  }

  @Override
  public void decodeF16(
      MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count) {
    for (long i = 0; i < count; i++) {
      float x = Scalars.decodeF16(in.get(U16, inOffset + Short.BYTES * i));
      out.set(F32, outOffset + Float.BYTES * i, x);
    }
  }

  @Override
  public void decodeE4m3(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = Scalars.decodeE4m3(codes.get(U8, codesOffset + i), scale);
      out.set(F32, outOffset + Float.BYTES * i, x);
    }
  }

  @Override
  public void decodeE4m3ToBf16(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = Scalars.decodeE4m3(codes.get(U8, codesOffset + i), scale);
      out.set(U16, outOffset + Short.BYTES * i, Scalars.encodeBf16(x));
    }
  }

  @Override
  public boolean anyNanE4m3(MemorySegment codes, long codesOffset, long count) {
    for (long i = 0; i < count; i++) {
      if (Scalars.isNanE4m3(codes.get(U8, codesOffset + i))) {
        return true;
      }
    }
    return false;
  }

  @Override
  public void decodeE5m2(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = Scalars.decodeE5m2(codes.get(U8, codesOffset + i), scale);
      out.set(F32, outOffset + Float.BYTES * i, x);
    }
  }

  @Override
  public void decodeInt8(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = Scalars.decodeInt8(codes.get(U8, codesOffset + i), scale);
      out.set(F32, outOffset + Float.BYTES * i, x);
    }
  }

  @Override
  public void encodeBf16(
      MemorySegment in, long inOffset, MemorySegment out, long outOffset, long count) {
    for (long i = 0; i < count; i++) {
      float x = in.get(F32, inOffset + Float.BYTES * i);
      out.set(U16, outOffset + Short.BYTES * i, Scalars.encodeBf16(x));
    }
  }

  @Override
  public void absmax(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment maxima,
      long maximaOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      long b = maximaOffset + Float.BYTES * (i / block);
      int magnitude = in.get(U32, inOffset + Float.BYTES * i) & 0x7FFFFFFF;
      maxima.set(U32, b, Math.max(maxima.get(U32, b), magnitude));
    }
  }

  @Override
  public void absmaxBf16(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment maxima,
      long maximaOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      long b = maximaOffset + Float.BYTES * (i / block);
      int magnitude = (in.get(U16, inOffset + Short.BYTES * i) << 16) & 0x7FFFFFFF;
      maxima.set(U32, b, Math.max(maxima.get(U32, b), magnitude));
    }
  }

  @Override
  public void encodeE4m3(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = in.get(F32, inOffset + Float.BYTES * i);
      out.set(U8, outOffset + i, Scalars.encodeE4m3(x, scale));
    }
  }

  @Override
  public void encodeInt8(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = in.get(F32, inOffset + Float.BYTES * i);
      out.set(U8, outOffset + i, Scalars.encodeInt8(x, scale));
    }
  }

  @Override
  public void encodeE4m3FromBf16(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = Scalars.decodeBf16(in.get(U16, inOffset + Short.BYTES * i));
      out.set(U8, outOffset + i, Scalars.encodeE4m3(x, scale));
    }
  }

  @Override
  public void encodeInt8FromBf16(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      float x = Scalars.decodeBf16(in.get(U16, inOffset + Short.BYTES * i));
      out.set(U8, outOffset + i, Scalars.encodeInt8(x, scale));
    }
  }

  @Override
  public void raise(
      MemorySegment in, long inOffset, MemorySegment maxima, long maximaOffset, long count) {
    for (long i = 0; i < count; i++) {
      long at = maximaOffset + Float.BYTES * i;
      int magnitude = in.get(U32, inOffset + Float.BYTES * i) & 0x7FFFFFFF;
      maxima.set(U32, at, Math.max(maxima.get(U32, at), magnitude));
    }
  }

  @Override
  public void raiseBf16(
      MemorySegment in, long inOffset, MemorySegment maxima, long maximaOffset, long count) {
    for (long i = 0; i < count; i++) {
      long at = maximaOffset + Short.BYTES * i;
      int magnitude = in.get(U16, inOffset + Short.BYTES * i) & 0x7FFF;
      maxima.set(U16, at, (short) Math.max(maxima.get(U16, at), magnitude));
    }
  }

  @Override
  public void decodeInt4(
      MemorySegment codes,
      long codesOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i++) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      int pair = codes.get(U8, codesOffset + i / 2);
      int stored = (i % 2 == 0 ? pair : pair >>> 4) & 0xF;
      out.set(F32, outOffset + Float.BYTES * i, Scalars.decodeInt4(stored, scale));
    }
  }

  @Override
  public void encodeInt4(
      MemorySegment in,
      long inOffset,
      MemorySegment scales,
      long scalesOffset,
      long block,
      MemorySegment out,
      long outOffset,
      long count) {
    for (long i = 0; i < count; i += 2) {
      float scale = scales.get(F32, scalesOffset + Float.BYTES * (i / block));
      int low = Scalars.encodeInt4(in.get(F32, inOffset + Float.BYTES * i), scale);
      int high = Scalars.encodeInt4(in.get(F32, inOffset + Float.BYTES * (i + 1)), scale);
      out.set(U8, outOffset + i / 2, (byte) (high << 4 | low));
    }
  }

  @Override
  public void searchInt4(
      MemorySegment in,
      long inOffset,
      long block,
      MemorySegment scales,
      long scalesOffset,
      long count) {
    for (long start = 0, b = 0; start < count; start += block, b++) {
      long at = scalesOffset + Float.BYTES * b;
      long n = Math.min(block, count - start);
      float scale = Int4Search.best(in, inOffset + Float.BYTES * start, n, scales.get(F32, at));
      scales.set(F32, at, scale);
    }
  }
}
