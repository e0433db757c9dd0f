package smelt.formats.files;

import java.lang.foreign.MemorySegment;
import java.util.zip.CRC32C;

/// CRC-32C (Castagnoli, reflected, as in iSCSI): names the tensor in which bytes differ. The proof
/// that a file is whole is its SHA-256.
public final class Crc32c {

  private static final int POLYNOMIAL = 0x82F63B78;
  private static final long CHUNK = 1 << 30;

  private Crc32c() {}

  /// Checksum of a native segment.
  public static int of(MemorySegment bytes) {
    CRC32C crc = new CRC32C();
    update(crc, bytes);
    return (int) crc.getValue();
  }

  /// Goes on with a checksum over a native segment.
  public static void update(CRC32C crc, MemorySegment bytes) {
    for (long done = 0; done < bytes.byteSize(); done += CHUNK) {
      long length = Math.min(CHUNK, bytes.byteSize() - done);
      crc.update(bytes.asSlice(done, length).asByteBuffer());
    }
  }

  /// Checksum of two runs of bytes, one after the other, from the checksums of both.
  ///
  /// The checksum is linear over GF(2): appending `secondBytes` zero bytes to the first run
  /// multiplies its checksum by x^(8 secondBytes) modulo the polynomial, found by repeated
  /// squaring.
  public static int combine(int first, int second, long secondBytes) {
    int power = 1 << 23;
    int factor = 1 << 31;
    for (long n = secondBytes; n != 0; n >>>= 1) {
      if ((n & 1) != 0) {
        factor = multiply(factor, power);
      }
      power = multiply(power, power);
    }
    return multiply(first, factor) ^ second;
  }

  /// Product of two polynomials modulo the CRC's; bit 31 is the coefficient of x^0.
  private static int multiply(int a, int b) {
    int product = 0;
    int shifted = b;
    for (int bit = 31; bit >= 0; bit--) {
      if ((a >>> bit & 1) != 0) {
        product ^= shifted;
      }
      shifted = (shifted & 1) != 0 ? shifted >>> 1 ^ POLYNOMIAL : shifted >>> 1;
    }
    return product;
  }

  /// Eight lower-case hex digits.
  public static String hex(int crc) {
    return String.format(java.util.Locale.ROOT, "%08x", crc);
  }
}
