package smelt.formats.codec;

import java.lang.foreign.MemorySegment;

/// Every kernel that goes from a run of elements to a run of elements, under one signature.
enum Codec {
  DECODE_BF16(2, 4) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.decodeBf16(in.memory(), in.offset(), out.memory(), out.offset(), count);
    }
  },
  DECODE_F16(2, 4) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.decodeF16(in.memory(), in.offset(), out.memory(), out.offset(), count);
    }
  },
  DECODE_E4M3(1, 4) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.decodeE4m3(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  },
  DECODE_E4M3_TO_BF16(1, 2) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.decodeE4m3ToBf16(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  },
  DECODE_E5M2(1, 4) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.decodeE5m2(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  },
  DECODE_INT8(1, 4) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.decodeInt8(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  },
  ENCODE_BF16(4, 2) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.encodeBf16(in.memory(), in.offset(), out.memory(), out.offset(), count);
    }
  },
  ENCODE_E4M3(4, 1) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.encodeE4m3(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  },
  ENCODE_INT8(4, 1) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.encodeInt8(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  },
  ENCODE_E4M3_FROM_BF16(2, 1) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.encodeE4m3FromBf16(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  },
  ENCODE_INT8_FROM_BF16(2, 1) {
    @Override
    void run(Kernels k, Span in, Span scales, long block, Span out, long count) {
      k.encodeInt8FromBf16(
          in.memory(),
          in.offset(),
          scales.memory(),
          scales.offset(),
          block,
          out.memory(),
          out.offset(),
          count);
    }
  };

  /// A place in memory.
  record Span(MemorySegment memory, long offset) {}

  final int inWidth;
  final int outWidth;

  Codec(int inWidth, int outWidth) {
    this.inWidth = inWidth;
    this.outWidth = outWidth;
  }

  abstract void run(Kernels k, Span in, Span scales, long block, Span out, long count);

  boolean encodes() {
    return name().startsWith("ENCODE");
  }
}
