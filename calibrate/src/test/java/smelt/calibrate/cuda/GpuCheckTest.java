package smelt.calibrate.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;

/// The program that checks a GPU, on the stand-in driver.
@ResourceLock(FakeDriver.LOCK)
class GpuCheckTest {

  @Test
  void findsTheStandInRight() throws IOException, InterruptedException {
    FakeDriver driver = FakeDriver.fresh();
    assertThat(GpuCheck.run((CudaState.Ready) CudaProbe.probe(), true)).isZero();
    assertThat(driver.count("blocks")).isZero();
    assertThat(driver.count("streams")).isZero();
    assertThat(driver.count("pinned")).isZero();
    assertThat(driver.count("contexts")).isZero();
  }
}
