package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Locale;
import java.util.TimeZone;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;
import smelt.converter.SampleModel;
import smelt.converter.target.Target;

/// Where the machine is makes no difference to the output. Changes this process's locale.
@Isolated
class LocaleTest {

  private static final Path FP8 = SampleModel.path(SampleModel.FP8);

  @TempDir Path folder;

  @Test
  void localeAndTimeZoneMakeNoDifference() throws Exception {
    Path here = folder.resolve("here");
    Converting.to(Target.INT8_CHANNEL, Target.ASCEND_W8A8).run(FP8, here);
    Locale locale = Locale.getDefault();
    TimeZone zone = TimeZone.getDefault();
    try {
      Locale.setDefault(Locale.of("tr", "TR"));
      TimeZone.setDefault(TimeZone.getTimeZone("Asia/Kathmandu"));
      Path second = folder.resolve("second");
      Converting.to(Target.INT8_CHANNEL, Target.ASCEND_W8A8).run(FP8, second);
      assertThat(Converting.digests(second)).isEqualTo(Converting.digests(here));
    } finally {
      Locale.setDefault(locale);
      TimeZone.setDefault(zone);
    }
  }
}
