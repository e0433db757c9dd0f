package smelt.converter.run;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import smelt.calibrate.cuda.CudaProducts;
import smelt.calibrate.cuda.CudaState;
import smelt.calibrate.cuda.DeviceException;
import smelt.calibrate.cuda.ProductsCheck;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.DeviceProducts;
import smelt.converter.RefusedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// The GPU that multiplies with the weights of models, if any. Before it is used, it multiplies
/// with a small weight in each of their encodings, and the bits must be those of the processor.
public final class ProductOffload implements AutoCloseable {

  /// Bytes of memory that the host needs besides, for the driver and what is on its way.
  public static final long HOST_BYTES = MemoryPlan.DRIVER_BYTES + CudaProducts.HOST_BYTES;

  private final String text;
  private final Optional<CudaProducts> products;

  private ProductOffload(String text, Optional<CudaProducts> products) {
    this.text = text;
    this.products = products;
  }

  /// What a run is like with a GPU.
  ///
  /// @param compute what computes the rest
  /// @param peak bytes of memory, `HOST_BYTES` among them
  /// @param budget bytes that it may take; empty for no limit
  /// @param hindered whether it would take more steps, as less of the budget is left for the model
  public record Run(Compute compute, long peak, OptionalLong budget, boolean hindered) {}

  /// No GPU.
  ///
  /// @param text for the log, why
  public static ProductOffload none(String text) {
    return new ProductOffload(text, Optional.empty());
  }

  /// A GPU if one is there and fits, else none.
  public static ProductOffload ifFit(CudaState state, List<Checkpoint> models, Run run) {
    if (state instanceof CudaState.Ready && run.hindered) {
      return none("cpu: a GPU's driver leaves too little of --memory");
    }
    try {
      return require(state, models, run);
    } catch (RefusedException e) {
      return none("cpu: " + e.problems().getFirst().found());
    }
  }

  /// A GPU that fits.
  ///
  /// @throws RefusedException if there is none
  public static ProductOffload require(CudaState state, List<Checkpoint> models, Run run) {
    CudaState.Ready ready = GpuRefusal.requireReady(state);
    if (!run.compute.matchesDevices()) {
      throw GpuRefusal.of(
          "scalar kernels, which sum in another order than a GPU",
          "vector kernels",
          "leave --kernels out, or use --device cpu");
    }
    GpuRefusal.requireHostMemory(run.peak, run.budget);
    long largest = weights(models).mapToLong(Weight::bytes).max().orElse(0);
    GpuRefusal.requireDeviceMemory(
        ready, CudaProducts.deviceBytes(largest), "the largest weight and tokens");
    return open(ready, models);
  }

  private static ProductOffload open(CudaState.Ready ready, List<Checkpoint> models) {
    try {
      CudaProducts products = CudaProducts.open(ready);
      try {
        List<Encoding> encodings = encodings(models, products);
        if (encodings.isEmpty()) {
          throw GpuRefusal.of(
              "no weight that GPU kernels multiply with",
              "one in BF16 or F32, or in E4M3 or INT8 with F32 scales",
              "use --device cpu");
        }
        encodings.forEach(encoding -> ProductsCheck.check(products, encoding));
        return new ProductOffload(products.name(), Optional.of(products));
      } catch (RuntimeException e) {
        products.close();
        throw e;
      }
    } catch (DeviceException e) {
      throw GpuRefusal.broken(ready, e, "bits");
    }
  }

  /// The different encodings of weights that a device takes.
  private static List<Encoding> encodings(List<Checkpoint> models, DeviceProducts products) {
    return weights(models).map(Weight::encoding).distinct().filter(products::takes).toList();
  }

  private static Stream<Weight> weights(List<Checkpoint> models) {
    return models.stream().flatMap(model -> model.weights().stream());
  }

  /// What is used, for the log.
  public String text() {
    return text;
  }

  /// What multiplies on the GPU.
  public Optional<DeviceProducts> products() {
    return products.map(found -> found);
  }

  @Override
  public void close() {
    products.ifPresent(CudaProducts::close);
  }
}
