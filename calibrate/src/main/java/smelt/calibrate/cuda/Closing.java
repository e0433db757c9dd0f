package smelt.calibrate.cuda;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;
import smelt.formats.files.Thorough;

/// What was opened, closed in the other order, all of it whatever fails.
final class Closing {

  private final Deque<Runnable> open = new ArrayDeque<>();

  /// @param close what closes it, later
  /// @return what was opened
  <T> T add(T opened, Consumer<T> close) {
    open.push(() -> close.accept(opened));
    return opened;
  }

  /// Closes all after a failure, to which further ones are added.
  void after(RuntimeException failure) {
    try {
      close();
    } catch (RuntimeException e) {
      failure.addSuppressed(e);
    }
  }

  /// Closes all. The first failure is thrown, with the others.
  void close() {
    List<Runnable> tasks = List.copyOf(open);
    open.clear();
    Thorough.forEach(tasks, Runnable::run);
  }
}
