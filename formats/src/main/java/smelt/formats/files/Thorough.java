package smelt.formats.files;

import java.util.Collection;

/// Does a thing to each of some, whatever fails.
public final class Thorough {

  /// What is done to each.
  ///
  /// @param <E> what it may throw
  @FunctionalInterface
  public interface Step<T, E extends Exception> {
    void apply(T thing) throws E;
  }

  private Thorough() {}

  /// Goes through all. The first failure is thrown in the end, with the later ones suppressed in
  /// it.
  @SuppressWarnings("unchecked") // what is checked is declared by the step
  public static <T, E extends Exception> void forEach(Collection<T> things, Step<T, E> step)
      throws E {
    Exception first = null;
    for (T thing : things) {
      try {
        step.apply(thing);
      } catch (Exception e) {
        if (first == null) {
          first = e;
        } else {
          first.addSuppressed(e);
        }
      }
    }
    if (first instanceof RuntimeException e) {
      throw e;
    }
    if (first != null) {
      throw (E) first;
    }
  }
}
