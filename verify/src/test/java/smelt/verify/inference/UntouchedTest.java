package smelt.verify.inference;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import smelt.verify.quality.ExpertUse;

class UntouchedTest {

  @Test
  void namesTheExpertsThatNoTokenReached() {
    List<ExpertUse> uses =
        List.of(new ExpertUse(1, 0, 4, 2.5), new ExpertUse(1, 1, 0, 0), new ExpertUse(2, 3, 0, 0));
    assertThat(Untouched.note(uses))
        .hasValue(
            "No token reached 2 of 3 routed experts, so only their weights were compared:"
                + " layer 1 expert 1, layer 2 expert 3.");
    assertThat(Untouched.note(uses.subList(0, 1))).isEmpty();
    List<ExpertUse> many =
        IntStream.range(0, 12).mapToObj(expert -> new ExpertUse(0, expert, 0, 0)).toList();
    assertThat(Untouched.note(many).orElseThrow()).endsWith("layer 0 expert 9, and 2 more.");
  }
}
