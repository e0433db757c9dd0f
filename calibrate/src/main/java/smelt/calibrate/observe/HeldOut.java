package smelt.calibrate.observe;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The tokens of a sample that nothing is chosen from. What was chosen from the others is judged on
/// them.
///
/// They are whole documents, since pieces of one document are alike: one of each eight, at place 7
/// of the first eight, and five places further, modulo eight, in each eight after them, so that
/// documents that come from some sources in turn are not held out from one source alone. Of two to
/// seven documents it is the one with the fewest tokens, the last of these. A single document is
/// not divided: then nothing is held out.
public final class HeldOut {

  /// No token.
  public static final HeldOut NONE = new HeldOut(new BitSet());

  private static final int EVERY = 8;
  private static final int FIRST = 7;
  private static final int STEP = 5;

  private final BitSet tokens;

  private HeldOut(BitSet tokens) {
    this.tokens = tokens;
  }

  /// Of the sequences of a batch.
  ///
  /// @param sequences token ids, in the order of the batch
  /// @param documents for each sequence the number of its document; numbers rise by one with each
  ///   new document
  public static HeldOut of(List<int[]> sequences, List<Integer> documents) {
    if (documents.size() != sequences.size()) {
      throw new IllegalArgumentException(
          documents.size() + " documents of " + sequences.size() + " sequences");
    }
    List<Long> sizes = new ArrayList<>();
    Map<Integer, Integer> order = new HashMap<>();
    for (int i = 0; i < sequences.size(); i++) {
      int place = order.computeIfAbsent(documents.get(i), _ -> order.size());
      if (place == sizes.size()) {
        sizes.add(0L);
      }
      sizes.set(place, sizes.get(place) + sequences.get(i).length);
    }
    BitSet held = new BitSet();
    int first = 0;
    for (int i = 0; i < sequences.size(); i++) {
      int end = Math.addExact(first, sequences.get(i).length);
      held.set(first, end, isHeld(order.get(documents.get(i)), sizes));
      first = end;
    }
    return held.isEmpty() ? NONE : new HeldOut(held);
  }

  private static boolean isHeld(int document, List<Long> sizes) {
    if (sizes.size() >= EVERY) {
      return document % EVERY == (FIRST + STEP * (document / EVERY)) % EVERY;
    }
    int least = sizes.size() - 1;
    for (int i = least - 1; i >= 0; i--) {
      least = sizes.get(i) < sizes.get(least) ? i : least;
    }
    return sizes.size() > 1 && document == least;
  }

  public boolean isEmpty() {
    return tokens.isEmpty();
  }

  /// How many tokens are held out.
  public long tokens() {
    return tokens.cardinality();
  }

  /// Whether a token of the batch is.
  boolean has(long token) {
    return tokens.get(Math.toIntExact(token));
  }

  /// Of `count` tokens from `first` on, those that are, counted from `first`.
  BitSet within(long first, long count) {
    return tokens.get(Math.toIntExact(first), Math.toIntExact(Math.addExact(first, count)));
  }
}
