package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// Things that lie in memory of their own, made when they are first asked for and kept while they
/// are in use, and a few of the last. One is made at a time. Safe for several threads.
///
/// @param <K> what a thing is asked for by
/// @param <V> a thing
final class Shelf<K, V> implements AutoCloseable {

  /// Makes a thing; empty where there is none.
  @FunctionalInterface
  interface Maker<K, V> {
    /// @param memory the thing's own, given up with it
    Optional<V> make(K key, Arena memory) throws IOException;
  }

  /// A thing, if there is one, in its memory.
  private static final class Entry<V> {
    private final Arena arena = Arena.ofShared();
    private final Optional<V> value;
    private int users;

    <K> Entry(Maker<K, V> maker, K key) throws IOException {
      try {
        value = maker.make(key, arena);
      } catch (IOException | RuntimeException | Error e) {
        arena.close();
        throw e;
      }
    }
  }

  private final Maker<K, V> maker;
  private final int most;
  private final Map<K, Entry<V>> entries = new LinkedHashMap<>(16, 0.75f, true);

  /// @param most things that are kept, at least one for each thread that asks
  Shelf(int most, Maker<K, V> maker) {
    this.most = most;
    this.maker = maker;
  }

  /// A thing that stays in memory until this is closed.
  final class Use implements AutoCloseable {
    private final Entry<V> entry;

    private Use(Entry<V> entry) {
      this.entry = entry;
    }

    V value() {
      return entry.value.orElseThrow();
    }

    @Override
    public void close() {
      release(entry);
    }
  }

  /// Takes a thing; empty where there is none.
  synchronized Optional<Use> take(K key) throws IOException {
    Entry<V> entry = entries.get(key);
    if (entry == null) {
      makeRoom();
      entry = new Entry<>(maker, key);
      if (entry.value.isEmpty()) {
        entry.arena.close();
        return Optional.empty();
      }
      entries.put(key, entry);
    }
    entry.users++;
    return Optional.of(new Use(entry));
  }

  /// Gives up the thing that was asked for the longest ago and is not in use.
  private void makeRoom() {
    while (entries.size() >= most) {
      Optional<K> idle =
          entries.entrySet().stream()
              .filter(entry -> entry.getValue().users == 0)
              .map(Map.Entry::getKey)
              .findFirst();
      if (idle.isEmpty()) {
        return;
      }
      entries.remove(idle.get()).arena.close();
    }
  }

  private synchronized void release(Entry<V> entry) {
    entry.users--;
  }

  @Override
  public synchronized void close() {
    entries.values().forEach(entry -> entry.arena.close());
    entries.clear();
  }
}
