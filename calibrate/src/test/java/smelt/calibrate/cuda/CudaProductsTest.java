package smelt.calibrate.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.DeviceProducts;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;

/// Products on the stand-in, which runs the kernels' sources, beside those of the processor.
@ResourceLock(FakeDriver.LOCK)
class CudaProductsTest {

  /// Three tokens of the tests, so that they go in many parts.
  private static final long PART_BYTES = 3 * 272 * Float.BYTES;

  private final Arena arena = Arena.ofAuto();
  private CudaProducts products;

  @BeforeEach
  void open() throws IOException, InterruptedException {
    FakeDriver.fresh();
    products = CudaProducts.open((CudaState.Ready) CudaProbe.probe(), PART_BYTES);
  }

  @AfterEach
  void close() throws IOException, InterruptedException {
    if (products != null) {
      products.close();
      FakeDriver driver = FakeDriver.fresh();
      for (String open : List.of("blocks", "pinned", "streams", "overruns")) {
        assertThat(driver.count(open)).as(open).isZero();
      }
    }
  }

  /// Few tokens and many, rows and results that are parts of wider ones.
  @ParameterizedTest
  @MethodSource("smelt.calibrate.cuda.DeviceTiles#weights")
  void haveTheBitsOfTheProcessor(Encoding encoding) {
    Random random = new Random(23);
    assertThat(products.takes(encoding)).isTrue();
    try (Compute compute =
        Compute.steady(MathKernelSet.choose("vector"), KernelSet.choose("vector"), 1)) {
      for (int[] size : List.of(new int[] {1, 3}, new int[] {7, 130}, new int[] {140, 33})) {
        Matrix wide = MathBounds.random(arena, size[0], 300, 1, random);
        Matrix x = wide.columns(20, 272);
        Tile w = DeviceTiles.random(arena, encoding, size[1], 272, random);
        Matrix expected = Matrix.zeros(arena, size[0], size[1] + 2).columns(1, size[1]);
        Matrix found = Matrix.zeros(arena, size[0], size[1] + 2).columns(1, size[1]);
        compute.multiply(x, w, expected);
        products.multiply(x, w, found);
        assertThat(found.data().mismatch(expected.data())).isEqualTo(-1);
        compute.useDevice(products);
        found.data().fill((byte) 0);
        compute.multiply(x, w, found);
        assertThat(found.data().mismatch(expected.data())).isEqualTo(-1);
        compute.useDevice(new Refusing());
      }
    }
  }

  /// Whatever fails, and whenever: it is said, and the next product is right.
  @ParameterizedTest
  @CsvSource({"failAlloc, 1", "failAlloc, 2", "failLaunch, 1", "failLaunch, 2", "failLaunch, 3"})
  void goOnAfterAFailure(String call, int number) throws Exception {
    Random random = new Random(5);
    Encoding encoding = Encoding.fp8Block(ScaleFormat.FLOAT);
    Matrix x = MathBounds.random(arena, 20, 272, 1, random);
    Tile w = DeviceTiles.random(arena, encoding, 130, 272, random);
    Matrix expected = Matrix.zeros(arena, 20, 130);
    products.multiply(x, w, expected);
    Matrix lost = Matrix.zeros(arena, 20, 130);
    FakeDriver.fresh().set(call, number);
    assertThatThrownBy(() -> products.multiply(x, w, lost)).isInstanceOf(DeviceException.class);
    lost.data().fill((byte) 0);
    Matrix found = Matrix.zeros(arena, 20, 130);
    products.multiply(x, w, found);
    assertThat(found.data().mismatch(expected.data())).isEqualTo(-1);
    assertThat(lost.data().toArray(Matrix.F32)).as("of the product that failed").containsOnly(0);
  }

  @ParameterizedTest
  @CsvSource({"failAlloc, 1", "failAlloc, 4", "failRegister, 1", "failRegister, 2"})
  void leaveNothingOpenWhenTheyCannotBeOpened(String call, int number) throws Exception {
    products.close();
    products = null;
    FakeDriver driver = FakeDriver.fresh();
    driver.set(call, number);
    CudaState.Ready state = (CudaState.Ready) CudaProbe.probe();
    assertThatThrownBy(() -> CudaProducts.open(state, PART_BYTES))
        .isInstanceOf(DeviceException.class);
    for (String open : List.of("blocks", "pinned", "streams", "modules")) {
      assertThat(driver.count(open)).as(open).isZero();
    }
  }

  /// A device that takes nothing leaves all to the processor.
  private static final class Refusing implements DeviceProducts {

    @Override
    public String name() {
      return "none";
    }

    @Override
    public boolean takes(Encoding weight) {
      return false;
    }

    @Override
    public void multiply(Matrix x, Tile w, Matrix out) {
      throw new AssertionError("takes nothing");
    }

    @Override
    public void close() {}
  }

  @Test
  void leaveToTheProcessorWhatKernelsDoNotRead() {
    assertThat(products.takes(new Encoding.Plain(ElementType.F16))).isFalse();
    assertThat(products.takes(new Encoding.Channel(ElementType.I8, ElementType.BF16))).isFalse();
  }

  @Test
  void areCheckedBeforeTheyAreTrusted() {
    DeviceTiles.weights().forEach(encoding -> ProductsCheck.check(products, encoding));
    DeviceProducts wrong = new Wrong();
    Encoding encoding = Encoding.fp8Block(ScaleFormat.FLOAT);
    assertThatThrownBy(() -> ProductsCheck.check(wrong, encoding))
        .isInstanceOf(DeviceException.class)
        .hasMessageContaining("other products than the processor");
  }

  /// The last bit of one number is another.
  private final class Wrong implements DeviceProducts {

    @Override
    public String name() {
      return products.name();
    }

    @Override
    public boolean takes(Encoding weight) {
      return products.takes(weight);
    }

    @Override
    public void multiply(Matrix x, Tile w, Matrix out) {
      products.multiply(x, w, out);
      out.set(3, 5, Math.nextUp(out.get(3, 5)));
    }

    @Override
    public void close() {}
  }
}
