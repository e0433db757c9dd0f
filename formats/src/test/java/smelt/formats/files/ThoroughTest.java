package smelt.formats.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ThoroughTest {

  @Test
  void reachesAllAndThrowsTheFirstFailureWithTheOthers() {
    List<Integer> reached = new ArrayList<>();
    assertThatThrownBy(() ->
            Thorough.forEach(
                List.of(1, 2, 3, 4),
                number -> {
                  reached.add(number);
                  if (number == 2) {
                    throw new IOException("two");
                  }
                  if (number == 3) {
                    throw new IllegalStateException("three");
                  }
                }))
        .isInstanceOf(IOException.class)
        .hasMessage("two")
        .satisfies(failure ->
            assertThat(failure.getSuppressed())
                .singleElement()
                .isInstanceOf(IllegalStateException.class));
    assertThat(reached).containsExactly(1, 2, 3, 4);
  }

  @Test
  void throwsUncheckedOnesAsTheyAre() {
    assertThatThrownBy(() ->
            Thorough.forEach(
                List.of(1),
                number -> {
                  throw new IllegalStateException("" + number);
                }))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("1");
  }
}
