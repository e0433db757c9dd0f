package smelt.verify.tensors;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import smelt.calibrate.smooth.ChannelMap;
import smelt.calibrate.smooth.Coupling;
import smelt.calibrate.smooth.Couplings;
import smelt.calibrate.smooth.Pair;
import smelt.formats.checkpoint.Checkpoint;

/// The pairs of a smoothed result, and the factors that passed between their weights, as far as
/// they are in use.
///
/// The first producer of a pair tells its factors, see [SourceFactors], so it is compared before
/// all others of the pair: [#order]. Nothing is read for that but what is compared anyway. The
/// factors are kept from then until the pair's last weight was compared. Any thread may ask.
final class SmoothedPairs {

  /// Factors of a pair, four bytes a channel on the heap while they are in use.
  private static final class Passed {
    private final Coupling coupling;
    private final String teller;
    private int left;
    private boolean told;
    private float[] factors = {};

    Passed(Coupling coupling) {
      this.coupling = coupling;
      this.teller = coupling.producers().getFirst().weight().name();
    }

    long bytes() {
      return (long) Float.BYTES * coupling.channels();
    }
  }

  /// What of a weight a pair's factors go to.
  private record Share(Passed passed, ChannelMap map, boolean divided) {
    boolean isTold(String name) {
      return passed.teller.equals(name);
    }
  }

  private final Map<String, List<Share>> shares = new HashMap<>();
  private boolean stopped;

  private SmoothedPairs() {}

  /// The pairs of some kinds. One whose first producer is not in both models has no factors.
  ///
  /// @param pairs the weights that are in both
  static SmoothedPairs of(Checkpoint source, Set<Pair.Kind> kinds, List<Pairing.Pair> pairs) {
    SmoothedPairs found = new SmoothedPairs();
    if (kinds.isEmpty()) {
      return found;
    }
    Set<String> inBoth = new HashSet<>();
    pairs.forEach(pair -> inBoth.add(pair.source().name()));
    for (Coupling coupling : Couplings.of(source).all(kinds)) {
      Passed passed = new Passed(coupling);
      if (inBoth.contains(passed.teller)) {
        coupling
            .producers()
            .forEach(producer ->
                found.add(producer.weight().name(), new Share(passed, producer.map(), true)));
        coupling
            .consumers()
            .forEach(
                weight -> found.add(weight.name(), new Share(passed, coupling.columns(), false)));
        passed.left =
            (int) coupling.weights().stream().filter(w -> inBoth.contains(w.name())).count();
      }
    }
    return found;
  }

  private void add(String name, Share share) {
    shares.computeIfAbsent(name, _ -> new ArrayList<>()).add(share);
  }

  private List<Share> shares(String name) {
    return shares.getOrDefault(name, List.of());
  }

  /// Whether a weight may have factors.
  boolean touches(String name) {
    return shares.containsKey(name);
  }

  /// In which order some weights are compared: as they come, but for those that tell factors, which
  /// come before the first that has them.
  ///
  /// @return places in the list
  /// @throws IllegalStateException if factors are needed that neither these weights nor earlier
  ///   ones tell
  List<Integer> order(List<Pairing.Pair> pairs) {
    Map<String, Integer> places = new HashMap<>();
    for (int i = 0; i < pairs.size(); i++) {
      places.put(pairs.get(i).source().name(), i);
    }
    Set<Integer> order = new LinkedHashSet<>();
    for (Pairing.Pair pair : pairs) {
      add(pair.source().name(), places, order);
    }
    return List.copyOf(order);
  }

  private synchronized void add(String name, Map<String, Integer> places, Set<Integer> order) {
    for (Share share : shares(name)) {
      String teller = share.passed().teller;
      if (places.containsKey(teller)) {
        if (!teller.equals(name)) {
          add(teller, places, order);
        }
      } else if (!share.passed().told) {
        throw new IllegalStateException(name + " is compared before " + teller);
      }
    }
    order.add(places.get(name));
  }

  /// Waits until the factors of a weight are told by the others.
  ///
  /// @return false if the comparison was stopped
  synchronized boolean await(String name) {
    for (Share share : shares(name)) {
      while (!stopped && !share.isTold(name) && !share.passed().told) {
        try {
          wait();
        } catch (InterruptedException _) {
          Thread.currentThread().interrupt();
          return false;
        }
      }
    }
    return !stopped;
  }

  /// Lets nobody wait any more.
  synchronized void stop() {
    stopped = true;
    notifyAll();
  }

  /// The factors of a weight, for one piece of it. A weight reads the channels of one pair at most,
  /// and produces those of one.
  synchronized SourceFactors factors(Pairing.Pair pair) {
    String name = pair.source().name();
    Optional<float[]> columns = Optional.empty();
    Optional<SourceFactors.Divisors> divisors = Optional.empty();
    for (Share share : shares(name)) {
      Passed passed = share.passed();
      if (passed.factors.length == 0) {
        passed.factors = new float[passed.coupling.channels()];
        Arrays.fill(passed.factors, 1);
      }
      if (share.divided()) {
        divisors =
            Optional.of(
                new SourceFactors.Divisors(passed.factors, share.map(), share.isTold(name)));
      } else {
        columns = Optional.of(spread(passed.factors, share.map(), passed.coupling.inputs()));
      }
    }
    return new SourceFactors(pair, divisors, columns);
  }

  private static float[] spread(float[] factors, ChannelMap map, int count) {
    float[] spread = new float[count];
    for (int i = 0; i < count; i++) {
      spread[i] = map.covers(i) ? factors[map.channel(i)] : 1;
    }
    return spread;
  }

  /// A weight was compared whole.
  synchronized void finished(String name) {
    for (Share share : shares(name)) {
      Passed passed = share.passed();
      passed.told |= share.isTold(name);
      passed.left--;
      if (passed.left == 0) {
        passed.factors = new float[0];
      }
    }
    notifyAll();
  }

  /// Heap memory of the factors in use, at most, while weights are compared in their order.
  long bytes(List<Pairing.Pair> pairs) {
    Map<Passed, Integer> left = new HashMap<>();
    long inUse = 0;
    long most = 0;
    for (int place : order(pairs)) {
      List<Share> own = shares(pairs.get(place).source().name());
      for (Share share : own) {
        inUse += left.containsKey(share.passed()) ? 0 : share.passed().bytes();
        left.putIfAbsent(share.passed(), share.passed().left);
      }
      most = Math.max(most, inUse);
      for (Share share : own) {
        inUse -= left.merge(share.passed(), -1, Integer::sum) == 0 ? share.passed().bytes() : 0;
      }
    }
    return most;
  }

  /// Heap memory that a thread takes for the factors of one weight's columns.
  long bytesOfThread() {
    return Float.BYTES
        * shares.values().stream()
            .flatMap(List::stream)
            .mapToLong(share -> share.passed().coupling.inputs())
            .max()
            .orElse(0);
  }
}
