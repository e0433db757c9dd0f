package smelt.formats;

import java.util.ArrayList;
import java.util.List;

/// How much of a long suite runs: a fixed share in each check, all by `./dev long`.
public final class Share {

  private static final boolean WHOLE = Boolean.getBoolean("smelt.long");

  private Share() {}

  /// Some of the cases, the first among them and the others spread evenly: always the same.
  public static <T> List<T> of(List<T> cases, int count) {
    if (WHOLE || cases.size() <= count) {
      return cases;
    }
    List<T> some = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      some.add(cases.get(Math.toIntExact((long) i * cases.size() / count)));
    }
    return some;
  }

  /// A size: the first in each check, the second by `./dev long`.
  public static <T> T of(T small, T whole) {
    return WHOLE ? whole : small;
  }
}
