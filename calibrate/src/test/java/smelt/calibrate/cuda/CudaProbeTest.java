package smelt.calibrate.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;
import smelt.formats.ElementType;
import smelt.formats.codec.DeviceTranscoder;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// What is said of each thing that may be missing, and that nothing stays open when something
/// fails.
@ResourceLock(FakeDriver.LOCK)
class CudaProbeTest {

  private FakeDriver driver;

  @BeforeEach
  void start() throws IOException, InterruptedException {
    driver = FakeDriver.fresh();
  }

  @AfterEach
  void nothingIsOpen() {
    for (String kind : List.of("blocks", "streams", "pinned", "modules", "contexts")) {
      assertThat(driver.count(kind)).as(kind).isZero();
    }
  }

  @Test
  void tellsAMissingDriver() {
    CudaState state = CudaProbe.probe("libcuda-that-is-not-there.so.1");
    assertThat(state).isInstanceOf(CudaState.NoDriver.class);
    assertThat(state.text()).contains("libcuda-that-is-not-there.so.1");
  }

  @Test
  void tellsAnOldDriver() {
    driver.set("driver", 12040);
    CudaState state = CudaProbe.probe();
    assertThat(state).isEqualTo(new CudaState.OldDriver(12040));
    assertThat(state.text()).contains("12.4");
    assertThat(state.expected()).contains("13.0");
  }

  @Test
  void tellsAMissingDevice() {
    driver.set("devices", 0);
    assertThat(CudaProbe.probe()).isInstanceOf(CudaState.NoDevice.class);
  }

  @Test
  void tellsAnOldDevice() {
    driver.set("capability", 75);
    CudaState state = CudaProbe.probe();
    assertThat(state.text()).isEqualTo("Stand-in, compute capability 7.5");
    assertThat(state.expected()).contains("8.0");
  }

  @Test
  void tellsADriverThatDoesNotStart() {
    driver.set("init", 999);
    CudaState state = CudaProbe.probe();
    assertThat(state).isInstanceOf(CudaState.Broken.class);
    assertThat(state.text()).contains("CUDA_ERROR_UNKNOWN");
  }

  @Test
  void describesTheDevice() {
    CudaState state = CudaProbe.probe();
    assertThat(state).isEqualTo(new CudaState.Ready("Stand-in", 13000, 90, 2, 1L << 30, 1L << 30));
    assertThat(state.text())
        .isEqualTo("Stand-in, compute capability 9.0, 1.0 of 1.0 GiB free, driver for CUDA 13.0");
  }

  @Test
  void closesWhatIsOpenWhenKernelsDoNotLoad() {
    driver.set("noBinary", 1);
    CudaState.Ready state = (CudaState.Ready) CudaProbe.probe();
    assertThatThrownBy(() -> CudaDevice.open(state))
        .isInstanceOf(DeviceException.class)
        .hasMessageContaining("CUDA_ERROR_NO_BINARY_FOR_GPU");
  }

  @Test
  void goesOnAfterMemoryRanOut() {
    try (CudaDevice device = CudaDevice.open((CudaState.Ready) CudaProbe.probe());
        CudaTranscoder transcoder = new CudaTranscoder(device, 1);
        Arena arena = Arena.ofConfined()) {
      driver.set("failAlloc", 1);
      assertThatThrownBy(() -> convert(transcoder, arena, 128))
          .isInstanceOfSatisfying(
              DeviceException.class, e -> assertThat(e.isOutOfMemory()).isTrue());
      convert(transcoder, arena, 128);
    }
  }

  @Test
  void goesOnAfterAKernelFailed() {
    try (CudaDevice device = CudaDevice.open((CudaState.Ready) CudaProbe.probe());
        CudaTranscoder transcoder = new CudaTranscoder(device, 1);
        Arena arena = Arena.ofConfined()) {
      driver.set("failLaunch", 1);
      assertThatThrownBy(() -> convert(transcoder, arena, 128))
          .isInstanceOf(DeviceException.class)
          .hasMessageContaining("running kernels");
      convert(transcoder, arena, 256);
      convert(transcoder, arena, 128);
    }
  }

  @Test
  void pinsMemoryUntilItIsClosed() {
    try (CudaDevice device = CudaDevice.open((CudaState.Ready) CudaProbe.probe());
        CudaTranscoder transcoder = new CudaTranscoder(device, 1);
        Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(4096);
      try (DeviceTranscoder.Pinned _ = transcoder.pin(memory)) {
        assertThat(driver.count("pinned")).isEqualTo(1);
      }
      assertThat(driver.count("pinned")).isZero();
    }
  }

  /// The driver does its work as late as it may: buffers that are used again too early give wrong
  /// numbers.
  @Test
  void twoLanesWorkOnTwoTilesAtOnce() {
    Encoding from = new Encoding.Plain(ElementType.BF16);
    Encoding to = Encoding.fp8Block(ScaleFormat.FLOAT);
    try (CudaDevice device = CudaDevice.open((CudaState.Ready) CudaProbe.probe());
        CodecLane first = new CodecLane(device);
        CodecLane second = new CodecLane(device);
        Arena arena = Arena.ofConfined()) {
      CodecLane[] lanes = {first, second};
      Tile[] outputs = new Tile[6];
      Random random = new Random(1);
      Tile[] inputs = new Tile[6];
      for (int i = 0; i < inputs.length; i++) {
        inputs[i] = DeviceTiles.random(arena, from, 64 + i, 128, random);
        outputs[i] = DeviceTiles.empty(arena, to, 64 + i, 128);
        if (i >= 2) {
          lanes[i % 2].finish(128);
        }
        lanes[i % 2].start(inputs[i], outputs[i]);
      }
      first.finish(128);
      second.finish(128);
      for (int i = 0; i < inputs.length; i++) {
        Tile expected = DeviceTiles.empty(arena, to, 64 + i, 128);
        MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(from, to, 128));
        Transcoder.transcode(KernelSet.choose("scalar"), inputs[i], expected, scratch);
        assertThat(outputs[i].codes().mismatch(expected.codes())).isEqualTo(-1);
      }
    }
  }

  private static void convert(CudaTranscoder transcoder, Arena arena, long rows) {
    Encoding from = new Encoding.Plain(ElementType.BF16);
    Tile in = DeviceTiles.random(arena, from, rows, 64, new Random(2));
    transcoder.transcode(
        in, DeviceTiles.empty(arena, Encoding.fp8Block(ScaleFormat.FLOAT), rows, 64));
  }
}
