package smelt.verify;

import java.util.Optional;
import smelt.formats.gguf.GgufValue;

/// Whole numbers of metadata, of whatever width: engines take any.
final class GgufNumbers {

  private GgufNumbers() {}

  /// A number that is not negative; empty for anything else, or nothing.
  static Optional<Long> whole(GgufValue value) {
    Optional<Long> number =
        switch (value) {
          case GgufValue.U8(int v) -> Optional.of((long) v);
          case GgufValue.I8(byte v) -> Optional.of((long) v);
          case GgufValue.U16(int v) -> Optional.of((long) v);
          case GgufValue.I16(short v) -> Optional.of((long) v);
          case GgufValue.U32(long v) -> Optional.of(v);
          case GgufValue.I32(int v) -> Optional.of((long) v);
          case GgufValue.U64(long v) -> Optional.of(v);
          case GgufValue.I64(long v) -> Optional.of(v);
          case GgufValue.F32 _, GgufValue.F64 _, GgufValue.Bool _ -> Optional.empty();
          case GgufValue.Text _, GgufValue.Array _ -> Optional.empty();
          case null -> Optional.empty();
        };
    return number.filter(v -> v >= 0);
  }
}
